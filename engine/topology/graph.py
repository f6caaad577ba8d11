"""The graph that a builder fills and a topology freezes: nodes, edges, stores, sub-topologies.

A node is a name and an *operation*: a frozen dataclass that says what is to be done (`engine.topology.operations`),
without doing it. `engine.operators` holds, for each operation, the processor that does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.errors import TopologyError
from engine.topology.operations import GlobalSource, Operation, Sink, Source
from engine.topology.stores import StoreSpec


@dataclass(frozen=True)
class Node:
    """One step of a topology: `parents` feed it, `stores` are those it reads or writes."""

    name: str
    operation: Operation
    parents: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubTopology:
    """Nodes that run in one task: connected by edges or by a shared store, in an order in which parents come first."""

    id: int
    nodes: tuple[str, ...]
    sources: tuple[str, ...]  # topic names, sorted
    sinks: tuple[str, ...]  # topic names, sorted
    stores: tuple[str, ...]


@dataclass
class Graph:
    """What `StreamsBuilder` fills: nodes in the order of their creation and the stores by name."""

    nodes: dict[str, Node] = field(default_factory=dict)
    stores: dict[str, StoreSpec] = field(default_factory=dict)
    global_stores: set[str] = field(default_factory=set)
    # Topic groups that must have as many partitions as each other (joins), with the node that asks for it.
    copartitioned: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    _count: int = 0

    def new_name(self, prefix: str) -> str:
        """A node name in Kafka Streams' form, e.g. `KSTREAM-FILTER-0000000003`."""
        name = f"{prefix}{self._count:010d}"
        self._count += 1
        return name

    def add(
        self,
        operation: Operation,
        parents: Iterable[str] = (),
        stores: Iterable[str] = (),
        name: str | None = None,
    ) -> str:
        """Add a node and return its name; `name` replaces the generated one."""
        name = name or self.new_name(operation.prefix)
        if name in self.nodes:
            raise TopologyError(f"two nodes are named {name!r}: give one of them another name")
        self.nodes[name] = Node(name, operation, tuple(parents), tuple(stores))
        return name

    def add_store(self, spec: StoreSpec, *, is_global: bool = False, shared: bool = False) -> StoreSpec:
        """Register a store. A name that is taken is refused, unless the store may be `shared` and is described alike."""
        known = self.stores.get(spec.name)
        if known is not None and known != spec:
            raise TopologyError(f"two different stores are named {spec.name!r}: rename one of them")
        if known is not None and not shared:
            raise TopologyError(
                f"two operators would keep what they know in one store, {spec.name!r}: give one of them another name. A "
                f"processor reads another operator's store with process(…, stores=[{spec.name!r}])"
            )
        self.stores[spec.name] = spec
        if is_global:
            self.global_stores.add(spec.name)
        return spec

    def connect_store(self, node: str, *stores: str) -> None:
        """Let `node` use `stores` too."""
        for store in stores:
            if store not in self.stores:
                raise TopologyError(f"node {node} asks for store {store!r}, which was not added: call add_state_store")
        old = self.nodes[node]
        merged = tuple(dict.fromkeys((*old.stores, *stores)))
        self.nodes[node] = Node(old.name, old.operation, old.parents, merged)

    def add_parents(self, node: str, *parents: str) -> None:
        """Feed `node` from `parents` too."""
        old = self.nodes[node]
        merged = tuple(dict.fromkeys((*old.parents, *parents)))
        self.nodes[node] = Node(old.name, old.operation, merged, old.stores)

    def replace_operation(self, node: str, operation: Operation) -> None:
        """Give `node` another operation of the same place in the graph (a table that becomes materialised)."""
        old = self.nodes[node]
        self.nodes[node] = Node(old.name, operation, old.parents, old.stores)


def children_of(nodes: dict[str, Node]) -> dict[str, tuple[str, ...]]:
    """For each node the nodes that it feeds, in the order in which they were added."""
    children: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for parent in node.parents:
            children[parent].append(node.name)
    return {name: tuple(found) for name, found in children.items()}


def in_order(nodes: dict[str, Node]) -> list[str]:
    """Node names, parents before children, otherwise in the order of creation."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in done:
            return
        for parent in nodes[name].parents:
            visit(parent)
        done[name] = None

    for name in nodes:
        visit(name)
    return list(done)


def sub_topologies(graph: Graph) -> list[SubTopology]:
    """Split the graph into what runs together, numbered as Kafka Streams does: by the sorted names of source nodes."""
    owner: dict[str, str] = {}

    def root(item: str) -> str:
        while owner.setdefault(item, item) != item:
            owner[item] = owner[owner[item]]
            item = owner[item]
        return item

    regular = {n: node for n, node in graph.nodes.items() if not isinstance(node.operation, GlobalSource)}
    for node in regular.values():
        root(f"node:{node.name}")
        for parent in node.parents:
            owner[root(f"node:{node.name}")] = root(f"node:{parent}")
        for store in node.stores:
            if store not in graph.global_stores:
                owner[root(f"node:{node.name}")] = root(f"store:{store}")
    groups: dict[str, list[str]] = {}
    sources = sorted(n for n, node in regular.items() if isinstance(node.operation, Source))
    for name in [*sources, *sorted(set(regular) - set(sources))]:
        groups.setdefault(root(f"node:{name}"), []).append(name)
    order = {name: position for position, name in enumerate(in_order(graph.nodes))}
    found = []
    for number, members in enumerate(groups.values()):
        nodes = sorted(members, key=order.__getitem__)
        operations = [graph.nodes[n].operation for n in nodes]
        topics = {t for o in operations if isinstance(o, Source) for t in o.topics}
        sinks = {o.topic for o in operations if isinstance(o, Sink) and isinstance(o.topic, str)}
        stores = dict.fromkeys(s for n in nodes for s in graph.nodes[n].stores if s not in graph.global_stores)
        found.append(SubTopology(number, tuple(nodes), tuple(sorted(topics)), tuple(sorted(sinks)), tuple(stores)))
    return found


def describe_value(value: Any) -> str:
    """A short name of a serde, function or topic for descriptions."""
    return getattr(value, "name", None) or getattr(value, "__qualname__", None) or str(value)
