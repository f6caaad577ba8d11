"""`GroupedStream` and `GroupedTable`: records by key, on their way into an aggregation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import serdes
from engine.errors import TopologyError
from engine.topology.aggregations import (
    Aggregate,
    Count,
    Reduce,
    TableAggregate,
    TableReduce,
    TableSelect,
)
from engine.topology.callables import FOLD, NOTHING, check_callable
from engine.topology.operations import Operation, Sink, Source
from engine.topology.options import Grouped, Materialized, Named, need_materialized
from engine.topology.options import name_of as _name_of
from engine.topology.stores import StoreSpec
from engine.topology.stream import Stream
from engine.topology.table import Table

Name = Named | str | None


def need_value_serde(spec: StoreSpec, what: str) -> StoreSpec:
    """Return `spec`, or raise TopologyError when nothing says how its values are written."""
    if spec.value_serde is None:
        raise TopologyError(
            f"{what} into store {spec.name} needs a value serde: Materialized('{spec.name}', key, value)"
        )
    return spec


class GroupedStream:
    """A stream by key. `source` gives the stream that an aggregation reads, behind a repartition topic where needed."""

    def __init__(self, stream: Stream, grouped: Grouped) -> None:
        self.stream = stream
        self.builder = stream.builder
        self.graph = stream.graph
        self.grouped = grouped
        self.key_serde = grouped.key_serde or stream.key_serde
        self.value_serde = grouped.value_serde or stream.value_serde
        self._repartitioned: Stream | None = None

    def source(self, store: str | None) -> Stream:
        """The stream to aggregate. A repartition topic takes the name of `Grouped`, else of the explicitly named `store`."""
        if not self.stream.rekeyed:
            return Stream(self.builder, self.stream.node, self.stream.sources, self.key_serde, self.value_serde)
        if self._repartitioned is not None:
            return self._repartitioned
        name = self.grouped.name or store
        if name is None:
            raise TopologyError(
                "keys may have changed, so grouping needs a repartition topic, and that needs a name: pass Grouped('…')"
            )
        source = self.stream.through_repartition(name, key_serde=self.key_serde, value_serde=self.value_serde)
        if self.grouped.name is not None:
            self._repartitioned = source
        return source

    def count(self, materialized: Materialized | str | None = None, name: Name = None) -> Table:
        """Count the records of each key; values are int64 unless the store says otherwise. Null keys and values drop."""
        materialized = need_materialized(materialized, "count")
        spec = materialized.spec("key-value", key_serde=self.key_serde, value_serde=serdes.int64)
        return self.aggregate_into(spec, Count, name)

    def reduce(
        self, reducer: Callable[[Any, Any], Any], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Fold the values of each key with `reducer(aggregate, value)`, beginning at the first value."""
        check_callable(reducer, "reducer", "aggregate, value")
        materialized = need_materialized(materialized, "reduce")
        spec = materialized.spec("key-value", key_serde=self.key_serde, value_serde=self.value_serde)
        return self.aggregate_into(spec, lambda store, versioned: Reduce(store, reducer, versioned), name)

    def aggregate(
        self,
        initializer: Callable[[], Any],
        aggregator: Callable[[Any, Any, Any], Any],
        materialized: Materialized | str | None = None,
        name: Name = None,
    ) -> Table:
        """Fold the values of each key with `aggregator(key, value, aggregate)`, beginning at `initializer()`."""
        check_callable(initializer, "initializer", NOTHING)
        check_callable(aggregator, "aggregator", FOLD)
        materialized = need_materialized(materialized, "aggregate")
        spec = need_value_serde(materialized.spec("key-value", key_serde=self.key_serde), "aggregate")
        return self.aggregate_into(
            spec, lambda store, versioned: Aggregate(store, initializer, aggregator, versioned), name
        )

    def windowed_by(self, windows: Any) -> Any:
        """Cut each key's records into `TimeWindows`, `SlidingWindows` or `SessionWindows`."""
        from engine.topology import windowed  # noqa: PLC0415 - windowed groups are made of groups

        return windowed.windowed_by(self, windows)

    def cogroup(self, aggregator: Callable[[Any, Any, Any], Any]) -> Any:
        """Begin an aggregation of several grouped streams; this one's part is `aggregator(key, value, aggregate)`."""
        from engine.topology import cogrouped  # noqa: PLC0415 - cogroups are made of groups

        return cogrouped.cogroup(self, aggregator)

    def aggregate_into(self, spec: StoreSpec, operation: Callable[[str, bool], Operation], name: Name = None) -> Table:
        """Add an aggregation of this group into a new store; `operation(store, versioned)` describes it."""
        self.graph.add_store(spec)
        source = self.source(spec.name)
        versioned = spec.kind == "versioned"
        node = self.graph.add(operation(spec.name, versioned), [source.node], [spec.name], _name_of(name))
        return Table(
            self.builder,
            node,
            source.sources,
            spec.key_serde,
            spec.value_serde,
            store=spec.name,
            versioned=versioned,
        )


def _add_one(_key: Any, _value: Any, aggregate: int) -> int:
    return aggregate + 1


def _take_one(_key: Any, _value: Any, aggregate: int) -> int:
    return aggregate - 1


def _zero() -> int:
    return 0


class GroupedTable:
    """A table's changes by another key: what a change replaces is taken from its group, what it brings is added."""

    def __init__(self, table: Table, selector: Callable[[Any, Any], tuple[Any, Any]], grouped: Grouped) -> None:
        self.builder = table.builder
        self.graph = table.graph
        self.grouped = grouped
        # The selector may change the value too, so only its own serdes hold; same-typed values are the common case.
        self.key_serde = grouped.key_serde
        self.value_serde = grouped.value_serde or table.value_serde
        table.send_old_values()
        self._select = self.graph.add(TableSelect(selector, table.versioned), [table.node])
        self._source: str | None = None

    def count(self, materialized: Materialized | str | None = None, name: Name = None) -> Table:
        """Count the rows of each group; values are int64 unless the store says otherwise."""
        materialized = need_materialized(materialized, "count")
        spec = materialized.spec("key-value", key_serde=self.key_serde, value_serde=serdes.int64)
        return self._into(
            spec, lambda store, versioned: TableAggregate(store, _zero, _add_one, _take_one, versioned), name
        )

    def reduce(
        self,
        adder: Callable[[Any, Any], Any],
        subtractor: Callable[[Any, Any], Any],
        materialized: Materialized | str | None = None,
        name: Name = None,
    ) -> Table:
        """Fold each group with `adder(aggregate, new)` and `subtractor(aggregate, old)`."""
        check_callable(adder, "adder", "aggregate, new")
        check_callable(subtractor, "subtractor", "aggregate, old")
        materialized = need_materialized(materialized, "reduce")
        spec = materialized.spec("key-value", key_serde=self.key_serde, value_serde=self.value_serde)
        return self._into(spec, lambda store, versioned: TableReduce(store, adder, subtractor, versioned), name)

    def aggregate(
        self,
        initializer: Callable[[], Any],
        adder: Callable[[Any, Any, Any], Any],
        subtractor: Callable[[Any, Any, Any], Any],
        materialized: Materialized | str | None = None,
        name: Name = None,
    ) -> Table:
        """Fold each group with `adder(key, new, aggregate)` and `subtractor(key, old, aggregate)`, from `initializer()`."""
        check_callable(initializer, "initializer", NOTHING)
        check_callable(adder, "adder", "key, new, aggregate")
        check_callable(subtractor, "subtractor", "key, old, aggregate")
        materialized = need_materialized(materialized, "aggregate")
        spec = need_value_serde(materialized.spec("key-value", key_serde=self.key_serde), "aggregate")
        return self._into(
            spec,
            lambda store, versioned: TableAggregate(store, initializer, adder, subtractor, versioned),
            name,
        )

    def _into(self, spec: StoreSpec, operation: Callable[[str, bool], Operation], name: Name) -> Table:
        self.graph.add_store(spec)
        source = self._repartitioned(self.grouped.name or spec.name)
        versioned = spec.kind == "versioned"
        node = self.graph.add(operation(spec.name, versioned), [source], [spec.name], _name_of(name))
        return Table(
            self.builder,
            node,
            frozenset({source}),
            spec.key_serde,
            spec.value_serde,
            store=spec.name,
            versioned=versioned,
        )

    def _repartitioned(self, name: str) -> str:
        if self._source is not None:
            return self._source
        sink = Sink(name, self.key_serde, self.value_serde, internal=True, change_format=True)
        self.graph.add(sink, [self._select], name=f"{name}-repartition-sink")
        source = Source((name,), self.key_serde, self.value_serde, internal=True, change_format=True)
        node = self.graph.add(source, name=f"{name}-repartition-source")
        if self.grouped.name is not None:
            self._source = node
        return node
