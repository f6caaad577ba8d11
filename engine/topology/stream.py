"""`Stream`: records of which each stands for itself (Kafka Streams' KStream)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine.errors import TopologyError
from engine.names import check_topic
from engine.topology import stateless
from engine.topology.callables import RECORD, check_callable, takes_key
from engine.topology.operations import Operation, Sink, Source
from engine.topology.options import (
    Grouped,
    Materialized,
    Named,
    Produced,
    Repartitioned,
    grouped_as,
    materialized_as,
    need_materialized,
    of_type,
)
from engine.topology.options import name_of as _name_of
from engine.topology.processors import Process, check_supplier
from engine.topology.suppliers import StoreSupplier
from engine.topology.tables import StreamToTable

if TYPE_CHECKING:
    from engine.topology.branches import Branches
    from engine.topology.builder import StreamsBuilder
    from engine.topology.grouped import GroupedStream
    from engine.topology.table import Table

Name = Named | str | None


class Stream:
    """A stream within a topology that is being built. Made by `StreamsBuilder` and by operators, never directly.

    `node` is where it stands in the graph, `sources` the source nodes it comes from (what joins compare partitions by).
    `rekeyed` says that keys may have changed since the last topic, so that stateful operators must repartition first.
    """

    def __init__(
        self,
        builder: StreamsBuilder,
        node: str,
        sources: frozenset[str],
        key_serde: Any = None,
        value_serde: Any = None,
        *,
        rekeyed: bool = False,
    ) -> None:
        self.builder = builder
        self.graph = builder.graph
        self.node = node
        self.sources = sources
        self.key_serde = key_serde
        self.value_serde = value_serde
        self.rekeyed = rekeyed

    # -- for other operators ------------------------------------------------------------------------------------------

    def then(
        self,
        operation: Operation,
        *,
        stores: Iterable[str] = (),
        name: Name = None,
        key_serde: Any = None,
        value_serde: Any = None,
        rekeyed: bool | None = None,
    ) -> Stream:
        """Add a node below this stream and return its output, with the serdes given (None: unknown)."""
        node = self.graph.add(operation, [self.node], stores, _name_of(name))
        rekeyed = self.rekeyed if rekeyed is None else rekeyed
        return Stream(self.builder, node, self.sources, key_serde, value_serde, rekeyed=rekeyed)

    def through_repartition(
        self,
        name: str,
        *,
        key_serde: Any = None,
        value_serde: Any = None,
        partitions: int | None = None,
        partitioner: Callable[..., int | None] | None = None,
    ) -> Stream:
        """The stream through the internal topic `<application-id>-<name>-repartition`, hence no longer `rekeyed`.

        Records with a null key are dropped, not counted, unless a join below takes them (`engine.topology.null_keys`).
        """
        key_serde, value_serde = key_serde or self.key_serde, value_serde or self.value_serde
        graph = self.graph
        parent = graph.add(stateless.HasKey(), [self.node], name=f"{name}-repartition-filter")
        sink = Sink(name, key_serde, value_serde, internal=True, partitions=partitions, partitioner=partitioner)
        graph.add(sink, [parent], name=f"{name}-repartition-sink")
        source = Source((name,), key_serde, value_serde, internal=True, partitions=partitions)
        node = graph.add(source, name=f"{name}-repartition-source")
        return Stream(self.builder, node, frozenset({node}), key_serde, value_serde)

    # -- stateless ----------------------------------------------------------------------------------------------------

    def filter(self, predicate: Callable[[Any, Any], bool], name: Name = None) -> Stream:
        """Keep records for which `predicate(key, value)` holds."""
        operation = stateless.Filter(check_callable(predicate, "predicate", RECORD))
        return self.then(operation, name=name, key_serde=self.key_serde, value_serde=self.value_serde)

    def filter_not(self, predicate: Callable[[Any, Any], bool], name: Name = None) -> Stream:
        """Keep records for which `predicate(key, value)` does not hold."""
        operation = stateless.Filter(check_callable(predicate, "predicate", RECORD), negate=True)
        return self.then(operation, name=name, key_serde=self.key_serde, value_serde=self.value_serde)

    def map(self, mapper: Callable[[Any, Any], tuple[Any, Any]], name: Name = None) -> Stream:
        """Replace each record by the pair `mapper(key, value) -> (key, value)`."""
        return self.then(stateless.Map(check_callable(mapper, "mapper", RECORD)), name=name, rekeyed=True)

    def map_values(self, mapper: Callable[..., Any], name: Name = None) -> Stream:
        """Replace each value by `mapper(value)` or `mapper(key, value)`, as the function is written."""
        operation = stateless.MapValues(mapper, takes_key(mapper))
        return self.then(operation, name=name, key_serde=self.key_serde)

    def flat_map(self, mapper: Callable[[Any, Any], Iterable[tuple[Any, Any]]], name: Name = None) -> Stream:
        """Replace each record by the pairs that `mapper(key, value)` yields."""
        return self.then(stateless.FlatMap(check_callable(mapper, "mapper", RECORD)), name=name, rekeyed=True)

    def flat_map_values(self, mapper: Callable[..., Iterable[Any]], name: Name = None) -> Stream:
        """Replace each record by one for each value that `mapper(value)` or `mapper(key, value)` yields."""
        operation = stateless.FlatMapValues(mapper, takes_key(mapper))
        return self.then(operation, name=name, key_serde=self.key_serde)

    def select_key(self, selector: Callable[[Any, Any], Any], name: Name = None) -> Stream:
        """Replace each key by `selector(key, value)`."""
        operation = stateless.SelectKey(check_callable(selector, "selector", RECORD))
        return self.then(operation, name=name, value_serde=self.value_serde, rekeyed=True)

    def peek(self, action: Callable[[Any, Any], Any], name: Name = None) -> Stream:
        """Call `action(key, value)` on each record and hand the record on."""
        operation = stateless.Peek(check_callable(action, "action", RECORD))
        return self.then(operation, name=name, key_serde=self.key_serde, value_serde=self.value_serde)

    def for_each(self, action: Callable[[Any, Any], Any], name: Name = None) -> None:
        """Call `action(key, value)` on each record; the stream ends here."""
        self.then(stateless.ForEach(check_callable(action, "action", RECORD)), name=name)

    def split(self, name: Name = None) -> Branches:
        """Send each record to the first branch whose predicate holds; see `Branches`."""
        from engine.topology.branches import Branches  # noqa: PLC0415 - branches are made of streams

        return Branches(self, _name_of(name))

    def merge(self, other: Stream, name: Name = None) -> Stream:
        """Both streams' records in one, each side's order kept."""
        of_type(Stream, other, "what a stream merges with")
        self.builder.check_same(other)
        merged = self.then(
            stateless.Merge(),
            name=name,
            key_serde=self.key_serde if self.key_serde is other.key_serde else None,
            value_serde=self.value_serde if self.value_serde is other.value_serde else None,
            rekeyed=self.rekeyed or other.rekeyed,
        )
        self.graph.add_parents(merged.node, other.node)
        merged.sources = self.sources | other.sources
        return merged

    # -- to topics, tables and groups -----------------------------------------------------------------------------------

    def to(self, topic: str | Callable[[Any, Any], str], produced: Produced | None = None) -> None:
        """Write every record to `topic`, or to the topic that `topic(key, value)` names."""
        produced = Produced() if produced is None else of_type(Produced, produced, "how a topic is written")
        if callable(topic):
            check_callable(topic, "topic", RECORD)
        else:
            check_topic(topic)
        key_serde, value_serde = produced.key_serde or self.key_serde, produced.value_serde or self.value_serde
        self.then(Sink(topic, key_serde, value_serde, partitioner=produced.partitioner), name=produced.name)

    def repartition(self, repartitioned: Repartitioned | str) -> Stream:
        """The same records through an internal topic, partitioned by their present keys."""
        if isinstance(repartitioned, str):
            repartitioned = Repartitioned(repartitioned)
        if not isinstance(repartitioned, Repartitioned):
            raise TopologyError("repartition needs a name: pass Repartitioned('…'); names are never generated")
        return self.through_repartition(
            repartitioned.name,
            key_serde=repartitioned.key_serde,
            value_serde=repartitioned.value_serde,
            partitions=repartitioned.partitions,
            partitioner=repartitioned.partitioner,
        )

    def group_by_key(self, grouped: Grouped | str | None = None) -> GroupedStream:
        """Group by the present key; repartitions first if keys may have changed."""
        from engine.topology.grouped import GroupedStream  # noqa: PLC0415 - groups are made of streams

        return GroupedStream(self, grouped_as(grouped))

    def group_by(self, selector: Callable[[Any, Any], Any], grouped: Grouped | str | None = None) -> GroupedStream:
        """Group by `selector(key, value)`; repartitions first."""
        return self.select_key(selector).group_by_key(grouped)

    def to_table(self, materialized: Materialized | str | None = None, name: Name = None) -> Table:
        """Read the stream as the updates of a table; repartitions first if keys may have changed."""
        from engine.topology.table import Table  # noqa: PLC0415 - tables turn into streams and back

        stream, materialized = self, materialized_as(materialized)
        key_serde = (materialized and materialized.key_serde) or self.key_serde
        value_serde = (materialized and materialized.value_serde) or self.value_serde
        if self.rekeyed:
            known = _name_of(name) or need_materialized(materialized, "to_table of a re-keyed stream").name
            stream = self.through_repartition(str(known), key_serde=key_serde, value_serde=value_serde)
        return Table.from_updates(stream, StreamToTable, materialized, key_serde, value_serde, _name_of(name))

    # -- the Processor API ----------------------------------------------------------------------------------------------

    def process(
        self, supplier: Callable[[], Any], stores: Iterable[str | StoreSupplier] = (), name: Name = None
    ) -> Stream:
        """Run a `Processor`: its class or a function that makes one a task; `stores` are those it may use."""
        return self._process(supplier, stores, name, fixed_key=False)

    def process_values(
        self, supplier: Callable[[], Any], stores: Iterable[str | StoreSupplier] = (), name: Name = None
    ) -> Stream:
        """Run a `Processor` whose records keep their keys, so that no repartition follows."""
        return self._process(supplier, stores, name, fixed_key=True)

    def _process(
        self, supplier: Callable[[], Any], stores: Iterable[str | StoreSupplier], name: Name, *, fixed_key: bool
    ) -> Stream:
        operation = Process(check_supplier(supplier), fixed_key)
        stream = self.then(
            operation,
            name=name,
            key_serde=self.key_serde if fixed_key else None,
            rekeyed=self.rekeyed or not fixed_key,
        )
        for store in stores:
            self.graph.connect_store(stream.node, self.builder.store_name(store))
        return stream

    # -- joins ------------------------------------------------------------------------------------------------------------

    def join(self, other: Any, *arguments: Any, **options: Any) -> Stream:
        """Join with what is on the other side, and emit only where both sides are.

        With a stream: `join(other, joiner, JoinWindows, StreamJoined)`. With a table: `join(table, joiner, Joined)`. With a
        global table: `join(table, key_selector, joiner)`. `joiner` takes `(left, right)` or `(key, left, right)`.
        """
        from engine.topology import joins  # noqa: PLC0415 - joins are made of streams

        return joins.join_stream("inner", self, other, *arguments, **options)

    def left_join(self, other: Any, *arguments: Any, **options: Any) -> Stream:
        """As `join`, and emit records of this side that found none, with None for the other."""
        from engine.topology import joins  # noqa: PLC0415 - joins are made of streams

        return joins.join_stream("left", self, other, *arguments, **options)

    def outer_join(self, other: Any, *arguments: Any, **options: Any) -> Stream:
        """As `join` of two streams, and emit records of either side that found none, with None for the other."""
        from engine.topology import joins  # noqa: PLC0415 - joins are made of streams

        return joins.join_stream("outer", self, other, *arguments, **options)
