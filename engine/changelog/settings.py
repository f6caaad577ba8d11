"""Settings of internal topics, as Kafka Streams makes them, so that either can carry on with the other's topics.

Precedence is Kafka Streams': the library's defaults, then the engine's `topic_settings`, then those of the one store.
Pure functions; any thread. Source: `InternalTopicConfig` and its subclasses, Kafka 4.3.
"""

from collections.abc import Mapping

from engine.topology.stores import StoreSpec

DAY_MS = 24 * 60 * 60 * 1000
LONG_MAX = 2**63 - 1
# Small segments, so that purging a repartition topic below its committed offset frees disk soon.
REPARTITION_SEGMENT_BYTES = 50 * 1024 * 1024
_EVERY = {"message.timestamp.type": "CreateTime"}


def changelog_settings(spec: StoreSpec, common: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings of the changelog of a store."""
    given = {**(common or {}), **spec.topic_config}
    if spec.kind in {"window", "session"}:
        kept = min((spec.retention_ms or 0) + DAY_MS, LONG_MAX)
        own = {"cleanup.policy": "compact,delete", **(common or {}), "retention.ms": str(kept)}
    elif spec.kind == "versioned":
        kept = min((spec.history_ms or 0) + DAY_MS, LONG_MAX)
        own = {"cleanup.policy": "compact", **(common or {}), "min.compaction.lag.ms": str(kept)}
    else:
        own = {"cleanup.policy": "compact", **given}
    return {**_EVERY, **own, **spec.topic_config}


def repartition_settings(common: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings of a repartition topic: nothing expires by age, the engine purges what is committed."""
    return {
        **_EVERY,
        "cleanup.policy": "delete",
        "segment.bytes": str(REPARTITION_SEGMENT_BYTES),
        "retention.ms": "-1",
        **(common or {}),
    }


def tasks_settings() -> dict[str, str]:
    """Settings of the tasks topic: it holds one live record, the mapping."""
    return {**_EVERY, "cleanup.policy": "compact", "segment.bytes": str(1024 * 1024)}
