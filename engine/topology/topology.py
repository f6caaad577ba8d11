"""`Topology`: what a builder made, frozen; what an engine, a test driver and the console read."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import orjson

from engine.errors import TopologyError
from engine.names import changelog_topic, repartition_topic
from engine.topology.checks import check_length, check_serdes
from engine.topology.graph import Graph, Node, SubTopology, children_of, describe_value, sub_topologies
from engine.topology.join_operations import ForeignKeyReceive, home
from engine.topology.operations import GlobalSource, Sink, Source
from engine.topology.stores import StoreSpec


class Topology:
    """Nodes, stores and sub-topologies of an application. Immutable; any thread may read it.

    `nodes` and `stores` are by name, in the order of their creation; `copartitioned` are pairs of a node and the topics that
    must agree in partitions because of it. `topology.sub_topologies[i].id == i`.
    """

    def __init__(self, graph: Graph) -> None:
        self.nodes: dict[str, Node] = dict(graph.nodes)
        self.stores: dict[str, StoreSpec] = dict(graph.stores)
        self.global_stores: frozenset[str] = frozenset(graph.global_stores)
        self.copartitioned: tuple[tuple[str, frozenset[str]], ...] = tuple(graph.copartitioned)
        if not any(isinstance(node.operation, (Source, GlobalSource)) for node in self.nodes.values()):
            raise TopologyError("the topology reads nothing: begin with builder.stream(…) or builder.table(…)")
        used = {store for node in self.nodes.values() for store in node.stores}
        for name in self.stores:
            if name not in used:
                raise TopologyError(
                    f"store {name} was added and no processor uses it: name it in stores=[…], or drop it"
                )
        self.sub_topologies: tuple[SubTopology, ...] = tuple(sub_topologies(graph))
        self.children = children_of(self.nodes)
        self._check_sources()
        check_serdes(self)
        check_length(self)

    def _check_sources(self) -> None:
        read_by: dict[tuple[str, bool], str] = {}
        for node in self.nodes.values():
            operation = node.operation
            topics = operation.topics if isinstance(operation, Source) else ()
            topics = (operation.topic,) if isinstance(operation, GlobalSource) else topics
            for topic in topics:
                internal = isinstance(operation, Source) and operation.internal
                other = read_by.setdefault((topic, internal), node.name)
                if other != node.name:
                    raise TopologyError(
                        f"topic {topic} is read twice, by {other} and {node.name}: read it once and use the stream twice"
                    )

    # -- what runs --------------------------------------------------------------------------------------------------------

    def nodes_of(self, sub_topology: int) -> dict[str, Node]:
        """The nodes of one sub-topology by name, parents first."""
        return {name: self.nodes[name] for name in self.sub_topologies[sub_topology].nodes}

    def sources_of(self, sub_topology: int) -> list[Source]:
        """The source operations of one sub-topology."""
        operations = (node.operation for node in self.nodes_of(sub_topology).values())
        return [operation for operation in operations if isinstance(operation, Source)]

    def placing_topic(self, store: str, application_id: str | None = None) -> str | None:
        """The topic whose own partitioner says where the keys of `store` lie; None: Kafka's partitioner does, as far as is known.

        What is known is how this topology writes; topics that others write may have any partitioner.
        """
        found = self._placing_topics.get(store)
        return None if found is None else _real(*found, application_id)

    def feeding_topics(self, store: str, application_id: str | None = None) -> frozenset[str]:
        """The topics above the nodes that hold `store`: those whose records bring its keys."""
        found: set[str] = set()
        pending = [node.name for node in self.nodes.values() if store in node.stores]
        seen = set(pending)
        while pending:
            node = self.nodes[pending.pop()]
            operation = node.operation
            if isinstance(operation, Source):
                found |= {_real(topic, operation.internal, application_id) for topic in operation.topics}
            pending += [parent for parent in node.parents if parent not in seen]
            seen |= set(node.parents)
        return frozenset(found)

    @cached_property
    def _placing_topics(self) -> dict[str, tuple[str, bool]]:
        """Those topics by store, with whether they are internal."""
        sinks = [node.operation for node in self.nodes.values() if isinstance(node.operation, Sink)]
        placing: set[tuple[Any, bool]] = {
            (o.topic, o.internal) for o in sinks if o.partitioner is not None and o.partitioner is not home
        }
        found: dict[str, tuple[str, bool]] = {}
        for sub in self.sub_topologies:
            read = {(topic, source.internal) for source in self.sources_of(sub.id) for topic in source.topics}
            # All that a sub-topology reads is partitioned alike, or its tasks would not find what belongs together.
            for topic in sorted(read & placing):
                found.update(dict.fromkeys(sub.stores, topic))
        for node in self.nodes.values():
            if isinstance(node.operation, ForeignKeyReceive):
                # Its keys begin with the foreign key, which alone says where they lie.
                source: Any = self.nodes[node.parents[0]].operation
                found[node.operation.subscriptions] = (source.topics[0], True)
        return found

    def global_nodes(self) -> dict[str, Node]:
        """The nodes that fill global stores."""
        return {name: node for name, node in self.nodes.items() if isinstance(node.operation, GlobalSource)}

    def sub_topology_of(self, store: str) -> int | None:
        """Which sub-topology owns a store; None for a global one."""
        return next((sub.id for sub in self.sub_topologies if store in sub.stores), None)

    def input_topics(self) -> list[str]:
        """Names of the topics that users write and this topology reads, sorted, those of global tables left out."""
        operations = (node.operation for node in self.nodes.values())
        return sorted({t for o in operations if isinstance(o, Source) and not o.internal for t in o.topics})

    def repartition_topics(self) -> dict[str, int | None]:
        """Internal topics by their name without application id and suffix, with the partitions asked for by hand."""
        operations = (node.operation for node in self.nodes.values())
        return {t: o.partitions for o in operations if isinstance(o, Source) and o.internal for t in o.topics}

    # -- what people and the console read -----------------------------------------------------------------------------------

    @cached_property
    def hash(self) -> str:
        """16 hex digits over all that makes two topologies work alike; functions count by their names only."""
        parts = {
            "nodes": [
                [n.name, type(n.operation).__name__, _topic_of(n), list(n.parents), list(n.stores)]
                for n in self.nodes.values()
            ],
            "stores": [self._store_json(spec, None) for spec in self.stores.values()],
        }
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def describe(self) -> str:
        """The topology as text, in the layout of Kafka Streams' `Topology#describe`."""
        from engine.topology.describe import describe  # noqa: PLC0415 - it reads topologies

        return describe(self)

    def to_mermaid(self) -> str:
        """The topology as a Mermaid flowchart."""
        from engine.topology.describe import mermaid  # noqa: PLC0415 - it reads topologies

        return mermaid(self)

    def to_json(self, application_id: str | None = None, partitions: dict[int, int] | None = None) -> dict[str, Any]:
        """The description that the console draws (docs/contracts.md, section 4).

        With an application id internal topics have their real names; `partitions` are counts by sub-topology.
        """
        counts = partitions or {}
        return {
            "hash": self.hash,
            "sub_topologies": [
                {
                    "id": sub.id,
                    "partitions": counts.get(sub.id),
                    "nodes": [self._node_json(self.nodes[name], application_id) for name in sub.nodes],
                    "sources": self._topics(sub, Source, application_id),
                    "sinks": self._topics(sub, Sink, application_id),
                    "stores": list(sub.stores),
                }
                for sub in self.sub_topologies
            ],
            "stores": [
                {
                    **self._store_json(spec, application_id),
                    "placed_by": self.placing_topic(spec.name, application_id),
                }
                for spec in self.stores.values()
            ],
        }

    def _topics(self, sub: SubTopology, kind: type, application_id: str | None) -> list[str]:
        found = set()
        for name in sub.nodes:
            operation: Any = self.nodes[name].operation
            if isinstance(operation, Source) and kind is Source:
                found |= {_real(topic, operation.internal, application_id) for topic in operation.topics}
            elif isinstance(operation, Sink) and kind is Sink and isinstance(operation.topic, str):
                found.add(_real(operation.topic, operation.internal, application_id))
        return sorted(found)

    def _node_json(self, node: Node, application_id: str | None) -> dict[str, Any]:
        operation: Any = node.operation
        topic = _topic_of(node)
        if topic is not None and getattr(operation, "internal", False):
            topic = _real(topic, internal=True, application_id=application_id)
        return {
            "name": node.name,
            "type": type(operation).__name__,
            "label": operation.label,
            "stores": list(node.stores),
            "topic": topic,
            "successors": list(self.children[node.name]),
        }

    def _store_json(self, spec: StoreSpec, application_id: str | None) -> dict[str, Any]:
        changelog = None
        if spec.source_topic is not None:
            changelog = spec.source_topic
        elif spec.logging:
            changelog = changelog_topic(application_id, spec.name) if application_id else f"{spec.name}-changelog"
        return {
            "name": spec.name,
            "kind": spec.kind,
            "backend": spec.backend,
            "key_serde": _serde_name(spec.key_serde),
            "value_serde": _serde_name(spec.value_serde),
            "changelog": changelog,
            "caching": spec.caching,
            "window_ms": spec.window_ms,
            "retention_ms": spec.history_ms if spec.kind == "versioned" else spec.retention_ms,
            "sub_topology": self.sub_topology_of(spec.name),
        }


def _serde_name(serde: Any) -> str:
    return "bytes" if serde is None else describe_value(serde)


def _real(topic: str, internal: bool, application_id: str | None) -> str:  # noqa: FBT001 - one word of a topic's description
    if not internal:
        return topic
    return repartition_topic(application_id, topic) if application_id else f"{topic}-repartition"


def _topic_of(node: Node) -> str | None:
    operation: Any = node.operation
    if isinstance(operation, Source):
        return ", ".join(operation.topics)
    if isinstance(operation, (Sink, GlobalSource)):
        return operation.topic if isinstance(operation.topic, str) else f"{describe_value(operation.topic)}(…)"
    return None
