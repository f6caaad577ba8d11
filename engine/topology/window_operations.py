"""Operations on windows of a grouped stream, and suppression: plain data, done by `engine.operators`.

Every aggregation is described by one pair of functions: `count` and `reduce` are aggregations with their own first value
and step, as in Kafka Streams. `counts` tells the operator that it may count a whole batch without calling them. `send_old`
marks that something below asks what an update replaces; these operations always tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.topology.aggregations import Aggregate
from engine.topology.operations import Operation
from engine.topology.windows import EmitStrategy, SessionWindows, SlidingWindows, TimeWindows


@dataclass(frozen=True, eq=False)
class WindowedAggregate(Operation):
    """Aggregate a grouped stream per key and window into the window store `store`.

    `initializer() -> aggregate` and `aggregator(key, value, aggregate) -> aggregate`, whose None deletes the window.
    `holds_back` says that the store is cached: with the record cache on, updates wait for the commit.
    """

    prefix: ClassVar[str] = "KSTREAM-AGGREGATE-"
    label: ClassVar[str] = "windowed aggregate"
    store: str = ""
    initializer: Callable[[], Any] = lambda: None
    aggregator: Callable[[Any, Any, Any], Any] = lambda _key, value, _aggregate: value
    emit: EmitStrategy = EmitStrategy.on_window_update
    holds_back: bool = False
    counts: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class TimeWindowedAggregate(WindowedAggregate):
    """Aggregate over tumbling or hopping windows."""

    label: ClassVar[str] = "time-windowed aggregate"
    windows: TimeWindows = TimeWindows(1, 1)  # noqa: RUF009 - a frozen value


@dataclass(frozen=True, eq=False)
class SlidingWindowedAggregate(WindowedAggregate):
    """Aggregate over sliding windows."""

    label: ClassVar[str] = "sliding-windowed aggregate"
    windows: SlidingWindows = SlidingWindows(1)  # noqa: RUF009 - a frozen value


@dataclass(frozen=True, eq=False)
class SessionWindowedAggregate(WindowedAggregate):
    """Aggregate over sessions; `merger(key, one, other) -> aggregate` joins what two sessions held."""

    label: ClassVar[str] = "session-windowed aggregate"
    windows: SessionWindows = SessionWindows(1)  # noqa: RUF009 - a frozen value
    merger: Callable[[Any, Any, Any], Any] = lambda _key, one, other: other if one is None else one


@dataclass(frozen=True, eq=False)
class CogroupAggregate(Aggregate):
    """One stream's part of a cogroup without windows: an aggregation whose store others write too."""

    prefix: ClassVar[str] = "COGROUPKSTREAM-AGGREGATE-"
    label: ClassVar[str] = "cogroup aggregate"


@dataclass(frozen=True, eq=False)
class MergeUpdates(Operation):
    """Bring the updates of a cogroup's aggregates together: one table, one store."""

    prefix: ClassVar[str] = "COGROUPKSTREAM-MERGE-"
    label: ClassVar[str] = "cogroup merge"
    store: str = ""
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class Suppress(Operation):
    """Hold a table's updates in the buffer `store` until their time has come, or the buffer is full.

    `wait_ms` is how much stream time must pass since the update's time: its timestamp, or with `until_close` the end of
    its window. `max_records` and `max_bytes` bound the buffer (None: unbounded); when it is full, `emit_early` sends the
    oldest on, otherwise the engine stops. Tombstones are dropped with `until_close`: nothing was ever sent before them.
    """

    prefix: ClassVar[str] = "KTABLE-SUPPRESS-"
    label: ClassVar[str] = "suppress"
    store: str = ""
    wait_ms: int = 0
    until_close: bool = False
    max_records: int | None = None
    max_bytes: int | None = None
    emit_early: bool = True
    key_serde: Any = None
    value_serde: Any = None
    send_old: bool = False
