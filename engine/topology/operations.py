"""Operations every topology has: where records come in and where they go out.

An operation is plain data. The families stand beside this module, one file each: `stateless`, `aggregations`,
`windowed`, `joins`, `tables`, `processors` under `engine.topology.operation`-named dataclasses that extend `Operation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, eq=False)
class Operation:
    """What one node does. `prefix` starts its generated name, `label` is what people read in a description."""

    prefix: ClassVar[str] = "KSTREAM-PROCESSOR-"
    label: ClassVar[str] = "process"


@dataclass(frozen=True, eq=False)
class Source(Operation):
    """Read topics. `topics` are names as the user wrote them, or internal names without the application id.

    `internal` marks a repartition topic: its real name is `<application-id>-<topic>-repartition`.
    `partitions` is the asked-for partition count of a repartition topic (None: as its upstream).
    `timestamp_extractor(record, partition_time) -> ms` replaces the record's own time.
    `offset_reset` is `earliest`, `latest`, or None for the configured default. `change_format` reads a table's changes
    (new, old) as the `Sink` of that kind writes them.
    """

    prefix: ClassVar[str] = "KSTREAM-SOURCE-"
    label: ClassVar[str] = "source"
    topics: tuple[str, ...] = ()
    key_serde: Any = None
    value_serde: Any = None
    internal: bool = False
    partitions: int | None = None
    timestamp_extractor: Callable[..., int] | None = None
    offset_reset: str | None = None
    change_format: bool = False


@dataclass(frozen=True, eq=False)
class GlobalSource(Operation):
    """Read every partition of one topic into a global store; each instance has it all, without a changelog."""

    prefix: ClassVar[str] = "KSTREAM-SOURCE-"
    label: ClassVar[str] = "global source"
    topic: str = ""
    key_serde: Any = None
    value_serde: Any = None
    store: str = ""
    timestamp_extractor: Callable[..., int] | None = None


@dataclass(frozen=True, eq=False)
class Sink(Operation):
    """Write to a topic: a name, or `topic(key, value) -> name`.

    `internal` marks a repartition topic (see `Source`). `partitioner(topic, key, value, partitions) -> int | None`
    replaces murmur2 of the serialised key. A table's changes into a repartition topic set `change_format`: the value is
    then the pair (new, old) in Kafka Streams' ChangedSerializer bytes.
    """

    prefix: ClassVar[str] = "KSTREAM-SINK-"
    label: ClassVar[str] = "sink"
    topic: str | Callable[[Any, Any], str] = ""
    key_serde: Any = None
    value_serde: Any = None
    internal: bool = False
    partitions: int | None = None
    partitioner: Callable[..., int | None] | None = None
    change_format: bool = False
