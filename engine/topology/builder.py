"""`StreamsBuilder`: where a user's `build` function begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from engine.errors import TopologyError
from engine.names import check_topic
from engine.topology.callables import check_callable
from engine.topology.graph import Graph
from engine.topology.null_keys import let_null_keys_pass
from engine.topology.operations import GlobalSource, Source
from engine.topology.options import Consumed, Materialized, materialized_as, need_materialized, of_type
from engine.topology.stores import StoreSpec
from engine.topology.stream import Stream
from engine.topology.suppliers import StoreSupplier
from engine.topology.table import GlobalTable, Table
from engine.topology.tables import TableSource
from engine.topology.topology import Topology


class StreamsBuilder:
    """Collects what a topology is made of. Used by one thread, before anything runs; `build` freezes the result."""

    def __init__(self) -> None:
        self.graph = Graph()

    def stream(self, topics: str | Iterable[str], consumed: Consumed | None = None) -> Stream:
        """Read one or several topics as a stream."""
        consumed = _consumed(consumed)
        node = self._source((topics,) if isinstance(topics, str) else topics, consumed)
        return Stream(self, node, frozenset({node}), consumed.key_serde, consumed.value_serde)

    def table(
        self, topic: str, consumed: Consumed | None = None, materialized: Materialized | str | None = None
    ) -> Table:
        """Read a topic as a table; without a named `materialized` it keeps nothing, and cannot be joined or grouped."""
        consumed, materialized = _consumed(consumed), materialized_as(materialized)
        key_serde = (materialized and materialized.key_serde) or consumed.key_serde
        value_serde = (materialized and materialized.value_serde) or consumed.value_serde
        node = self._source((topic,), consumed, key_serde, value_serde)
        stream = Stream(self, node, frozenset({node}), key_serde, value_serde)
        return Table.from_updates(stream, TableSource, materialized, key_serde, value_serde)

    def global_table(
        self, topic: str, consumed: Consumed | None = None, materialized: Materialized | str | None = None
    ) -> GlobalTable:
        """Read all partitions of a topic into a store that every instance holds whole."""
        consumed = _consumed(consumed)
        check_topic(topic)
        materialized = need_materialized(materialized, f"the global table of topic {topic}")
        spec = materialized.spec("key-value", key_serde=consumed.key_serde, value_serde=consumed.value_serde)
        if spec.kind == "versioned":
            raise TopologyError(
                f"the global table of topic {topic} cannot have a versioned store: use a key-value store"
            )
        spec = spec.with_(logging=False, caching=False, source_topic=topic)
        self.graph.add_store(spec, is_global=True)
        source = GlobalSource(topic, spec.key_serde, spec.value_serde, spec.name, consumed.timestamp_extractor)
        self.graph.add(source, stores=[spec.name], name=consumed.name)
        return GlobalTable(spec.name, spec.key_serde, spec.value_serde)

    def add_state_store(
        self, store: StoreSupplier | StoreSpec, key_serde: Any = None, value_serde: Any = None
    ) -> StreamsBuilder:
        """Add a store for processors to use; serdes given here come before its own. Returns the builder, for chaining."""
        if isinstance(store, StoreSupplier) and (key_serde or value_serde):
            store = store.serdes(key_serde or store.spec.key_serde, value_serde or store.spec.value_serde)
        self.store_name(store)
        return self

    def store_name(self, store: str | StoreSupplier | StoreSpec) -> str:
        """The name of a store, which is added if it comes with its description."""
        if isinstance(store, str):
            return store
        spec = store.spec if isinstance(store, StoreSupplier) else store
        if not isinstance(spec, StoreSpec):
            raise TopologyError(f"{store!r} is no store: make one with Stores.…")
        return self.graph.add_store(spec, shared=True).name

    def check_same(self, *others: Any) -> None:
        """Raise TopologyError for streams and tables of another builder."""
        if any(other.builder is not self for other in others):
            raise TopologyError(
                "a stream or table comes from another StreamsBuilder: read all topics with the same one"
            )

    def copartition(self, node: str, *sides: Stream | Table) -> None:
        """Record that `node` needs equal partition counts of the topics all `sides` come from."""
        sources = frozenset().union(*(side.sources for side in sides))
        operations = (self.graph.nodes[source].operation for source in sources)
        topics = frozenset(topic for o in operations if isinstance(o, Source) for topic in o.topics)
        self.graph.copartitioned.append((node, topics))

    def build(self) -> Topology:
        """Freeze what was collected. Raises TopologyError if it cannot run."""
        let_null_keys_pass(self.graph)
        return Topology(self.graph)

    def _source(self, topics: Iterable[str], consumed: Consumed, key_serde: Any = None, value_serde: Any = None) -> str:
        if not isinstance(topics, Iterable) or not (topics := tuple(topics)):
            raise TopologyError(f"the topics {topics!r} cannot be read: give a name, or a list of names")
        for topic in topics:
            check_topic(topic)
        source = Source(
            topics,
            consumed.key_serde or key_serde,
            consumed.value_serde or value_serde,
            timestamp_extractor=consumed.timestamp_extractor,
            offset_reset=consumed.offset_reset,
        )
        for node in self.graph.nodes.values():
            if isinstance(node.operation, Source) and not node.operation.internal and _same(node.operation, source):
                return node.name
        return self.graph.add(source, name=consumed.name)


def topology_of(build: Callable[[StreamsBuilder], Any]) -> Topology:
    """The topology that a user's function makes. Raises TopologyError if it takes no builder; what it raises passes."""
    check_callable(build, "build function", "builder")
    builder = StreamsBuilder()
    build(builder)
    return builder.build()


def _consumed(given: Consumed | None) -> Consumed:
    return Consumed() if given is None else of_type(Consumed, given, "how a topic is read")


def _same(one: Source, other: Source) -> bool:
    """Whether two sources read the same topics in the same way: one node serves both, as in Kafka Streams."""
    return all(getattr(one, f.name) == getattr(other, f.name) for f in fields(Source))
