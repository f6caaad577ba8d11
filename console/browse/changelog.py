"""Reading a stretch of one changelog partition: a plain consumer that is assigned it, read-committed, in no group.

Used by a key's history and by jobs that look at what came after a copy. One thread; use it in a ``with`` statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from console import limits
from console.observe.topic import kafka_settings
from engine import broker_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

_RECORDS = 10_000
_POLL_S = 0.2


class Stopped(Exception):
    """The caller's bound was reached before the end of the stretch."""


class Changelog:
    """One partition of a changelog. Raises ``KafkaException`` when the brokers do not answer."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self._place = TopicPartition(topic, partition)
        self._consumer = Consumer(
            {
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 16 * 1024,
                **kafka_settings(),
                "group.id": "statehouse-read",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "check.crcs": True,
                "allow.auto.create.topics": False,
                "log_level": 2,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def bounds(self) -> tuple[int, int]:
        """Return the first offset and the last stable one: what a read-committed reader can get to now."""
        begin, end = self._consumer.get_watermark_offsets(self._place, timeout=limits.KAFKA_TIMEOUT_S)
        return int(begin), int(end)

    def read(self, start: int, end: int, stop: Callable[[], bool]) -> Iterator[Message]:
        """Yield the committed records from ``start`` to before ``end``. Raises ``Stopped`` once ``stop()`` holds.

        Transaction markers and compacted records leave gaps, so the end is a position and never a count.
        """
        if start >= end:
            return
        self._consumer.assign([TopicPartition(self.topic, self.partition, start)])
        while self._position(start) < end:
            if stop():
                raise Stopped
            for message in self._consumer.consume(_RECORDS, _POLL_S):
                if _failed(message):
                    continue
                if int(message.offset() or 0) >= end:
                    return
                yield message

    def _position(self, start: int) -> int:
        found: Any = self._consumer.position([self._place])[0].offset
        return max(int(found), start)


def _failed(message: Message) -> bool:
    """Say whether it is not a record; raises for what does not pass by itself."""
    error = message.error()
    if error is None:
        return False
    if error.retriable() or error.code() in {broker_errors.TRANSPORT, broker_errors.ALL_BROKERS_DOWN}:
        return True
    raise KafkaException(error)
