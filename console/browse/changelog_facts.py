"""What decides how much of a changelog's past is left: its settings in force and its offsets, asked of Kafka now. Blocking.

Used where a limit of compaction has to be stated: snapshots, histories, the compaction page. What Kafka does not tell (how
large a topic is on disk and when it was last cleaned are the broker's own) stays None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from console.observe.topic import kafka_settings
from engine.changelog.topics import Topics
from engine.errors import StatehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable

# setting -> (name here, how it is read)
_NUMBERS = {
    "min.compaction.lag.ms": "min_compaction_lag_ms",
    "max.compaction.lag.ms": "max_compaction_lag_ms",
    "delete.retention.ms": "delete_retention_ms",
    "retention.ms": "retention_ms",
    "retention.bytes": "retention_bytes",
    "segment.ms": "segment_ms",
    "segment.bytes": "segment_bytes",
}
_LONG_MAX = 2**63 - 1


class KafkaAway(Exception):
    """Kafka does not answer; the words say what it said."""


def settings_of(topic: str) -> dict[str, Any]:
    """Return the settings that bear on what is left, or raise ``KafkaAway``. A number without a bound is None."""
    try:
        found = Topics({**kafka_settings(), "log_level": 2}).settings([topic])[topic]
    except (StatehouseError, KafkaException, OSError, ValueError) as error:
        raise KafkaAway(str(error)) from error
    ratio = found.get("min.cleanable.dirty.ratio")
    return {
        "cleanup_policy": found.get("cleanup.policy"),
        "min_cleanable_dirty_ratio": float(ratio) if ratio else None,
        **{name: _number(found.get(setting)) for setting, name in _NUMBERS.items()},
    }


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    number = int(text)
    return None if number in {-1, _LONG_MAX} else number


def offsets_at(topic: str, partitions: Iterable[int], time_ms: int) -> dict[int, int | None]:
    """Return, by partition, the first offset whose record is stamped at that time or later; None when there is none.

    The stamp is the record's own: the time of the event that changed the store, not that of the writing.
    """
    try:
        spec = OffsetSpec.for_timestamp(time_ms)
        found = Topics({**kafka_settings(), "log_level": 2}).offsets([(topic, each) for each in partitions], spec)
    except (StatehouseError, KafkaException, OSError, ValueError) as error:
        raise KafkaAway(str(error)) from error
    return {partition: offset if offset >= 0 else None for (_, partition), offset in found.items()}


def limits_in_words(facts: dict[str, Any]) -> list[str]:
    """Say what the settings mean for someone who looks at the past."""
    words = []
    policy = str(facts.get("cleanup_policy") or "")
    if "compact" in policy:
        words.append(
            "Compaction keeps the newest record of each key and drops older ones some time after they were superseded: a key "
            "that was changed since may lack its old value here, and is then missing altogether."
        )
        lag = facts.get("min_compaction_lag_ms")
        if lag:
            words.append(f"Records younger than {_span(lag)} are still there for certain (min.compaction.lag.ms).")
        else:
            words.append(
                "Nothing protects young records (min.compaction.lag.ms is 0); only the active segment is never compacted."
            )
        if facts.get("delete_retention_ms") is not None:
            words.append(f"Deletions are remembered for {_span(facts['delete_retention_ms'])} (delete.retention.ms).")
    if "delete" in policy and facts.get("retention_ms") is not None:
        words.append(f"Records older than {_span(facts['retention_ms'])} are deleted (retention.ms).")
    return words


def _span(ms: int) -> str:
    for size, unit in ((86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "seconds")):
        if ms >= 2 * size or (ms >= size and ms % size == 0):
            amount = ms / size
            text = f"{amount:,.0f}" if ms % size == 0 else f"{amount:,.1f}"
            return f"{text} {unit if text != '1' else unit[:-1]}"
    return f"{ms:,} ms"
