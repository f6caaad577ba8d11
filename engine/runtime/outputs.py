"""What the topics that are written to take: sizes, keys, times. Asked for at start, and again when one refuses a record.

Owner: the producer; the loop's thread. A record that a topic would refuse is found here, before it enters a transaction:
the broker's own refusal fails the whole transaction, and with it records that are fine. Sizes are those of the record
format, version 2 (https://kafka.apache.org/documentation/#recordbatch).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import ProductionError

# The header of a batch, and what a record has beside key, value and headers, at most.
BATCH_BYTES = 61
RECORD_BYTES = 30
HEADER_BYTES = 10
# Kafka's own defaults, for brokers that do not say.
MESSAGE_BYTES_MAX = 1_048_588
LONG_MAX = 2**63 - 1


class Settings(Protocol):
    """Where topics' settings come from; `engine.changelog.topics.Topics` is one."""

    def settings(self, names: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        """The settings in force of each topic."""


@dataclass(frozen=True)
class TopicLimits:
    """What one topic takes. Times are ms before and after the broker's clock; None takes every time."""

    bytes_max: int = MESSAGE_BYTES_MAX
    needs_key: bool = False
    before_max_ms: int | None = None
    after_max_ms: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, str | None]) -> TopicLimits:
        """The limits that a topic's settings say."""
        appended = settings.get("message.timestamp.type") == "LogAppendTime"

        def bound(name: str) -> int | None:
            value = int(settings.get(name) or LONG_MAX)
            return None if appended or value == LONG_MAX else value

        return cls(
            int(settings.get("max.message.bytes") or MESSAGE_BYTES_MAX),
            "compact" in (settings.get("cleanup.policy") or ""),
            bound("message.timestamp.before.max.ms"),
            bound("message.timestamp.after.max.ms"),
        )

    def takes_all(
        self,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Any] | None,
        now_ms: int,
        bytes_from: int,
    ) -> bool:
        """Whether every record is certainly taken; False only asks for a closer look. Sizes matter below `bytes_from`."""
        if self.needs_key and None in keys:
            return False
        if self.after_max_ms is not None and max(timestamps) > now_ms + self.after_max_ms:
            return False
        if self.before_max_ms is not None and min(timestamps) < now_ms - self.before_max_ms:
            return False
        if self.bytes_max >= bytes_from:
            return True
        longest = max(len(v) for v in values if v is not None) if any(values) else 0
        longest += max(len(k) for k in keys if k is not None) if any(keys) else 0
        return headers is None and BATCH_BYTES + RECORD_BYTES + longest <= self.bytes_max

    def refusal(
        self,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Any,
        now_ms: int,
        bytes_from: int,
    ) -> ProductionError | None:
        """Why one record is not taken, or None."""
        if self.needs_key and key is None:
            return ProductionError("it has no key, and the topic is compacted")
        if self.after_max_ms is not None and timestamp > now_ms + self.after_max_ms:
            return ProductionError(f"its time is {timestamp}, beyond message.timestamp.after.max.ms of the topic")
        if self.before_max_ms is not None and timestamp < now_ms - self.before_max_ms:
            return ProductionError(f"its time is {timestamp}, before message.timestamp.before.max.ms of the topic")
        size = BATCH_BYTES + RECORD_BYTES + len(key or b"") + len(value or b"")
        size += sum(HEADER_BYTES + len(name) + len(content or b"") for name, content in headers or ())
        if self.bytes_max < bytes_from and size > self.bytes_max:
            return ProductionError(f"it has {size:,} bytes, and max.message.bytes of the topic is {self.bytes_max:,}")
        return None


class Outputs:
    """The limits of every topic that is written to. `names` are those known at start; others are asked for when met."""

    def __init__(self, settings: Settings, names: Iterable[str]) -> None:
        self._settings = settings
        self._names = set(names)
        self.limits: dict[str, TopicLimits] = {}
        self.learn()

    def learn(self) -> bool:
        """Ask for all of them again; returns whether anything has changed since. Raises BrokerUnavailable, MissingTopic."""
        found = {name: TopicLimits.of(each) for name, each in self._settings.settings(self._names).items()}
        changed, self.limits = found != self.limits, found
        return changed

    def of(self, topic: str) -> TopicLimits:
        """The limits of a topic; one that is met for the first time is asked for."""
        found = self.limits.get(topic)
        if found is None:
            self._names.add(topic)
            self.learn()
            found = self.limits[topic]
        return found

    @property
    def batch_bytes_max(self) -> int:
        """What a batch may have, so that every topic takes it: one that is too large is refused with all its records."""
        return min((each.bytes_max for each in self.limits.values()), default=MESSAGE_BYTES_MAX)
