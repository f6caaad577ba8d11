"""`WindowedStream` and `SessionWindowedStream`: a grouped stream cut into windows, on its way into a table of windows.

The table's keys are `Windowed(key, start, end)`. Each aggregation keeps its windows in a store that must be named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from engine import serdes
from engine.errors import TopologyError
from engine.topology.callables import FOLD, NOTHING, check_callable
from engine.topology.options import Materialized, Named, name_of, need_materialized
from engine.topology.stores import StoreSpec
from engine.topology.table import Table
from engine.topology.window_operations import (
    SessionWindowedAggregate,
    SlidingWindowedAggregate,
    TimeWindowedAggregate,
    WindowedAggregate,
)
from engine.topology.windows import EmitStrategy, SessionWindows, SlidingWindows, TimeWindows

if TYPE_CHECKING:
    from engine.topology.grouped import GroupedStream

Name = Named | str | None
Aggregator = Callable[[Any, Any, Any], Any]


def windowed_by(
    grouped: GroupedStream, windows: TimeWindows | SlidingWindows | SessionWindows
) -> WindowedStream | SessionWindowedStream:
    """Cut a grouped stream into windows; raises TopologyError for what is no window definition."""
    if isinstance(windows, SessionWindows):
        return SessionWindowedStream(grouped, windows)
    if isinstance(windows, (TimeWindows, SlidingWindows)):
        return WindowedStream(grouped, windows)
    raise TopologyError(f"windowed_by takes TimeWindows, SlidingWindows or SessionWindows, not {windows!r}")


class _Windowed:
    """What all windowed streams have: the group, the windows and when to emit."""

    def __init__(
        self, grouped: GroupedStream, windows: Any, emit: EmitStrategy = EmitStrategy.on_window_update
    ) -> None:
        self.grouped = grouped
        self.windows = windows
        self.emit = emit

    def emit_strategy(self, strategy: EmitStrategy | str) -> Self:
        """Emit at each update (the default), or once per window, when it has closed: `EmitStrategy.on_window_close`.

        The strategy's name does as well: `"on_window_close"`.
        """
        if isinstance(strategy, str) and strategy in EmitStrategy.__members__:
            strategy = EmitStrategy[strategy]
        if not isinstance(strategy, EmitStrategy):
            raise TopologyError(f"emit_strategy takes an EmitStrategy, not {strategy!r}")
        return type(self)(self.grouped, self.windows, strategy)

    def _count_spec(self, materialized: Materialized | str | None) -> StoreSpec:
        return self._spec(materialized, "windowed count", serdes.int64)

    def _spec(self, materialized: Materialized | str | None, what: str, value_serde: Any) -> StoreSpec:
        return window_spec(materialized, what, self.windows, self.grouped.key_serde, value_serde, emit=self.emit)

    def _table(self, operation: WindowedAggregate, spec: StoreSpec, name: Name) -> Table:
        grouped = self.grouped
        grouped.graph.add_store(spec)
        source = grouped.source(spec.name)
        operation = replace(operation, emit=self.emit, holds_back=spec.caching)
        node = grouped.graph.add(operation, [source.node], [spec.name], name_of(name))
        return Table(
            grouped.builder,
            node,
            source.sources,
            windowed_key_serde(spec, self.windows),
            spec.value_serde,
            store=spec.name,
        )


class WindowedStream(_Windowed):
    """A grouped stream cut into tumbling, hopping or sliding windows."""

    def count(self, materialized: Materialized | str | None = None, name: Name = None) -> Table:
        """Count the records of each key and window; values are int64 unless the store says otherwise."""
        return self._add(self._count_spec(materialized), zero, add_one, name, counts=True)

    def reduce(
        self, reducer: Callable[[Any, Any], Any], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Fold the values of each key and window with `reducer(aggregate, value)`, beginning at the first value."""
        spec = self._spec(materialized, "windowed reduce", self.grouped.value_serde)
        return self._add(spec, nothing, reducing(reducer), name)

    def aggregate(
        self,
        initializer: Callable[[], Any],
        aggregator: Aggregator,
        materialized: Materialized | str | None = None,
        name: Name = None,
    ) -> Table:
        """Fold the values of each key and window with `aggregator(key, value, aggregate)`, from `initializer()`."""
        check_callable(initializer, "initializer", NOTHING)
        check_callable(aggregator, "aggregator", FOLD)
        spec = self._spec(materialized, "windowed aggregate", None)
        return self._add(spec, initializer, aggregator, name)

    def _add(
        self,
        spec: StoreSpec,
        initializer: Callable[[], Any],
        aggregator: Aggregator,
        name: Name,
        *,
        counts: bool = False,
    ) -> Table:
        operation = windowed_operation(spec.name, self.windows, initializer, aggregator)
        return self._table(replace(operation, counts=counts), spec, name)


class SessionWindowedStream(_Windowed):
    """A grouped stream cut into sessions."""

    def count(self, materialized: Materialized | str | None = None, name: Name = None) -> Table:
        """Count the records of each session; values are int64 unless the store says otherwise."""
        return self._add(self._count_spec(materialized), zero, add_one, add_both, name)

    def reduce(
        self, reducer: Callable[[Any, Any], Any], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Fold the values of each session with `reducer(aggregate, value)`, which also merges sessions, oldest first."""
        spec = self._spec(materialized, "session reduce", self.grouped.value_serde)
        fold = reducing(reducer)
        return self._add(spec, nothing, fold, lambda key, one, other: fold(key, other, one), name)

    def aggregate(
        self,
        initializer: Callable[[], Any],
        aggregator: Aggregator,
        merger: Aggregator,
        materialized: Materialized | str | None = None,
        name: Name = None,
    ) -> Table:
        """Fold each session with `aggregator(key, value, aggregate)`; `merger(key, one, other)` joins sessions.

        The merger is called with `initializer()` and the oldest session first, then with that result and the next.
        """
        check_callable(initializer, "initializer", NOTHING)
        check_callable(aggregator, "aggregator", FOLD)
        check_callable(merger, "merger", "key, one, other")
        spec = self._spec(materialized, "session aggregate", None)
        return self._add(spec, initializer, aggregator, merger, name)

    def _add(
        self,
        spec: StoreSpec,
        initializer: Callable[[], Any],
        aggregator: Aggregator,
        merger: Aggregator,
        name: Name,
    ) -> Table:
        operation = windowed_operation(spec.name, self.windows, initializer, aggregator, merger)
        return self._table(operation, spec, name)


def windowed_operation(
    store: str,
    windows: TimeWindows | SlidingWindows | SessionWindows,
    initializer: Callable[[], Any],
    aggregator: Aggregator,
    merger: Aggregator | None = None,
) -> WindowedAggregate:
    """The operation that aggregates over `windows`; only sessions take a merger, and they need it."""
    if isinstance(windows, SessionWindows):
        if merger is None:
            raise TopologyError(f"store {store}: sessions need a merger, since a record can join two of them")
        return SessionWindowedAggregate(store, initializer, aggregator, windows=windows, merger=merger)
    if isinstance(windows, SlidingWindows):
        return SlidingWindowedAggregate(store, initializer, aggregator, windows=windows)
    return TimeWindowedAggregate(store, initializer, aggregator, windows=windows)


def window_spec(
    materialized: Materialized | str | None,
    what: str,
    windows: TimeWindows | SlidingWindows | SessionWindows,
    key_serde: Any,
    value_serde: Any,
    *,
    emit: EmitStrategy = EmitStrategy.on_window_update,
) -> StoreSpec:
    """The store of a windowed aggregation. Raises TopologyError without a name, a value serde or enough retention."""
    materialized = need_materialized(materialized, what)
    final = emit is EmitStrategy.on_window_close
    shape: dict[str, Any] = {"retention_ms": windows.retention_ms, "emit_final": final}
    kind = "session"
    if not isinstance(windows, SessionWindows):
        kind, shape["window_ms"] = "window", windows.size_ms
    if final and not isinstance(windows, TimeWindows):
        # As in Kafka Streams: what is scanned at every step gains nothing from a cache.
        materialized = materialized.with_caching(enabled=False)
    spec = materialized.spec(kind, key_serde=key_serde, value_serde=value_serde, **shape)
    if spec.value_serde is None:
        raise TopologyError(
            f"{what} into store {spec.name} needs a value serde: Materialized('{spec.name}', key, value)"
        )
    if spec.retention_ms is None or spec.retention_ms < windows.retention_ms:
        raise TopologyError(
            f"store {spec.name}: a retention of {spec.retention_ms} ms is too short for {windows}: "
            f"use at least {windows.retention_ms} ms"
        )
    return spec


def windowed_key_serde(spec: StoreSpec, windows: TimeWindows | SlidingWindows | SessionWindows) -> Any:
    """The serde of the table's keys on topics."""
    key_serde = spec.key_serde or serdes.bytes
    if isinstance(windows, SessionWindows):
        return serdes.SessionWindowedSerde(key_serde)
    return serdes.TimeWindowedSerde(key_serde, windows.size_ms)


def zero() -> int:
    """Where counting begins."""
    return 0


def nothing() -> None:
    """Where reducing begins."""


def add_one(_key: Any, _value: Any, aggregate: int) -> int:
    """Count a record; a null value counts too."""
    return aggregate + 1


def add_both(_key: Any, one: int, other: int) -> int:
    """Merge two sessions' counts."""
    return one + other


def reducing(reducer: Callable[[Any, Any], Any]) -> Aggregator:
    """An aggregator that takes the first value as it is and calls `reducer(aggregate, value)` from then on."""
    check_callable(reducer, "reducer", "aggregate, value")

    def aggregate(_key: Any, value: Any, seen: Any) -> Any:
        return value if seen is None else reducer(seen, value)

    return aggregate
