"""`CogroupedStream`: several grouped streams folded into one aggregate, each with an aggregator of its own (KIP-150)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.errors import TopologyError
from engine.topology.callables import FOLD, NOTHING, check_callable
from engine.topology.grouped import GroupedStream
from engine.topology.operations import Operation
from engine.topology.options import Materialized, Named, name_of, need_materialized, of_type
from engine.topology.stores import StoreSpec
from engine.topology.table import Table
from engine.topology.window_operations import CogroupAggregate, MergeUpdates
from engine.topology.windowed import window_spec, windowed_key_serde, windowed_operation
from engine.topology.windows import SessionWindows, SlidingWindows, TimeWindows

Name = Named | str | None
Aggregator = Callable[[Any, Any, Any], Any]
Part = tuple[GroupedStream, Aggregator]


def cogroup(grouped: GroupedStream, aggregator: Aggregator) -> CogroupedStream:
    """Begin a cogroup with its first stream."""
    return CogroupedStream(()).cogroup(grouped, aggregator)


class CogroupedStream:
    """Grouped streams with their aggregators; all must have the same key type and as many partitions."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts

    def cogroup(self, grouped: GroupedStream, aggregator: Aggregator) -> CogroupedStream:
        """Add a stream, whose records `aggregator(key, value, aggregate)` folds in."""
        check_callable(aggregator, "aggregator", FOLD)
        of_type(GroupedStream, grouped, "what is cogrouped")
        for known, _ in self.parts:
            known.builder.check_same(grouped)
        others = tuple(part for part in self.parts if part[0] is not grouped)
        return CogroupedStream((*others, (grouped, aggregator)))

    def windowed_by(
        self, windows: TimeWindows | SlidingWindows | SessionWindows
    ) -> WindowedCogroupedStream | SessionWindowedCogroupedStream:
        """Cut the records into windows; updates are emitted as they come."""
        if isinstance(windows, SessionWindows):
            return SessionWindowedCogroupedStream(self.parts, windows)
        if isinstance(windows, (TimeWindows, SlidingWindows)):
            return WindowedCogroupedStream(self.parts, windows)
        raise TopologyError(f"windowed_by takes TimeWindows, SlidingWindows or SessionWindows, not {windows!r}")

    def aggregate(
        self, initializer: Callable[[], Any], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Fold the records of each key, from `initializer()`. Null keys and values are dropped."""
        check_callable(initializer, "initializer", NOTHING)
        materialized = need_materialized(materialized, "cogroup")
        spec = materialized.spec("key-value", key_serde=_key_serde(self.parts))
        if spec.value_serde is None:
            raise TopologyError(
                f"cogroup into store {spec.name} needs a value serde: Materialized('{spec.name}', key, value)"
            )
        versioned = spec.kind == "versioned"

        def operation(aggregator: Aggregator) -> Operation:
            return CogroupAggregate(spec.name, initializer, aggregator, versioned, send_old=True)

        return _merge(self.parts, spec, operation, spec.key_serde, name)


class WindowedCogroupedStream:
    """A cogroup cut into tumbling, hopping or sliding windows."""

    def __init__(self, parts: tuple[Part, ...], windows: TimeWindows | SlidingWindows) -> None:
        self.parts = parts
        self.windows = windows

    def aggregate(
        self, initializer: Callable[[], Any], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Fold the records of each key and window, from `initializer()`."""
        return _windowed(self.parts, self.windows, initializer, None, materialized, name)


class SessionWindowedCogroupedStream:
    """A cogroup cut into sessions."""

    def __init__(self, parts: tuple[Part, ...], windows: SessionWindows) -> None:
        self.parts = parts
        self.windows = windows

    def aggregate(
        self,
        initializer: Callable[[], Any],
        merger: Aggregator,
        materialized: Materialized | str | None = None,
        name: Name = None,
    ) -> Table:
        """Fold the records of each session, from `initializer()`; `merger(key, one, other)` joins sessions."""
        check_callable(merger, "merger", "key, one, other")
        return _windowed(self.parts, self.windows, initializer, merger, materialized, name)


def _windowed(
    parts: tuple[Part, ...],
    windows: TimeWindows | SlidingWindows | SessionWindows,
    initializer: Callable[[], Any],
    merger: Aggregator | None,
    materialized: Materialized | str | None,
    name: Name,
) -> Table:
    check_callable(initializer, "initializer", NOTHING)
    spec = window_spec(materialized, "windowed cogroup", windows, _key_serde(parts), None)

    def operation(aggregator: Aggregator) -> Operation:
        described = windowed_operation(spec.name, windows, initializer, aggregator, merger)
        return replace(described, holds_back=spec.caching)

    return _merge(parts, spec, operation, windowed_key_serde(spec, windows), name)


def _key_serde(parts: tuple[Part, ...]) -> Any:
    return next((grouped.key_serde for grouped, _ in parts if grouped.key_serde is not None), None)


def _merge(
    parts: tuple[Part, ...],
    spec: StoreSpec,
    operation: Callable[[Aggregator], Operation],
    key_serde: Any,
    name: Name,
) -> Table:
    """One aggregate a stream, all on one store, and a node that takes their updates together."""
    first = parts[0][0]
    graph, builder = first.graph, first.builder
    graph.add_store(spec)
    label = name_of(name)
    sources = [grouped.source(spec.name) for grouped, _ in parts]
    nodes = [
        graph.add(
            operation(aggregator),
            [source.node],
            [spec.name],
            None if label is None else f"{label}-cogroup-agg-{number}",
        )
        for number, (source, (_, aggregator)) in enumerate(zip(sources, parts, strict=True))
    ]
    merge = graph.add(MergeUpdates(spec.name), nodes, name=label)
    builder.copartition(merge, *sources)
    return Table(
        builder,
        merge,
        frozenset().union(*(source.sources for source in sources)),
        key_serde,
        spec.value_serde,
        store=spec.name,
        versioned=spec.kind == "versioned",
    )
