"""A topology as people read it: Kafka Streams' text, and a Mermaid flowchart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.topology.graph import Node, describe_value
from engine.topology.operations import GlobalSource, Sink, Source

if TYPE_CHECKING:
    from engine.topology.topology import Topology


def describe(topology: Topology) -> str:
    """The text of Kafka Streams' `TopologyDescription`, so that its readers and tools find their way."""
    lines = ["Topologies:"]
    for sub in topology.sub_topologies:
        lines.append(f"   Sub-topology: {sub.id}")
        for name in sub.nodes:
            lines += _node(topology, topology.nodes[name])
        lines.append("")
    for number, (name, node) in enumerate(topology.global_nodes().items(), len(topology.sub_topologies)):
        lines.append(f"   Sub-topology: {number} for global store (will not generate tasks)")
        lines += _node(topology, topology.nodes[name])
        lines.append(f"    Store: {', '.join(node.stores)}")
        lines.append("")
    return "\n".join(lines)


def _node(topology: Topology, node: Node) -> list[str]:
    operation: Any = node.operation
    if isinstance(operation, Source):
        head = f"Source: {node.name} (topics: [{', '.join(_topics(operation))}])"
    elif isinstance(operation, GlobalSource):
        head = f"Source: {node.name} (topics: [{operation.topic}])"
    elif isinstance(operation, Sink):
        head = f"Sink: {node.name} ({_sink_topic(operation)})"
    else:
        head = f"Processor: {node.name} (stores: [{', '.join(node.stores)}])"
    lines = [f"    {head}"]
    if not isinstance(operation, Sink):
        lines.append(f"      --> {', '.join(topology.children[node.name]) or 'none'}")
    if not isinstance(operation, (Source, GlobalSource)):
        lines.append(f"      <-- {', '.join(node.parents) or 'none'}")
    return lines


def _topics(operation: Source) -> list[str]:
    return [f"{topic}-repartition" if operation.internal else topic for topic in operation.topics]


def _sink_topic(operation: Sink) -> str:
    if not isinstance(operation.topic, str):
        return f"extractor class: {describe_value(operation.topic)}"
    return f"topic: {operation.topic}-repartition" if operation.internal else f"topic: {operation.topic}"


def mermaid(topology: Topology) -> str:
    """A Mermaid flowchart: a subgraph for each sub-topology, topics as stadiums, stores as cylinders."""
    drawn = _Drawing()
    lines = ["flowchart TD"]
    for sub in topology.sub_topologies:
        lines.append(f'  subgraph sub{sub.id}["Sub-topology {sub.id}"]')
        lines += [
            f"    {drawn.id('node', name)}[{_text(topology.nodes[name].operation.label, name)}]" for name in sub.nodes
        ]
        lines += [f"    {drawn.id('store', store)}[({_text(store)})]" for store in sub.stores]
        lines.append("  end")
    for name in topology.global_nodes():
        lines.append(f"  {drawn.id('node', name)}[{_text('global source', name)}]")
    lines += [f"  {drawn.id('store', store)}[({_text(store)})]" for store in sorted(topology.global_stores)]
    edges = []
    for name, node in topology.nodes.items():
        here = drawn.id("node", name)
        operation: Any = node.operation
        if isinstance(operation, Source):
            edges += [f"  {drawn.topic(topic)} --> {here}" for topic in _topics(operation)]
        elif isinstance(operation, GlobalSource):
            edges.append(f"  {drawn.topic(operation.topic)} --> {here}")
        elif isinstance(operation, Sink):
            edges.append(f"  {here} --> {drawn.topic(_sink_topic(operation).removeprefix('topic: '))}")
        edges += [f"  {here} --> {drawn.id('node', child)}" for child in topology.children[name]]
        edges += [f"  {here} -.- {drawn.id('store', store)}" for store in node.stores]
    lines += [f"  {identifier}([{_text(topic)}])" for topic, identifier in drawn.topics.items()]
    return "\n".join([*lines, *edges]) + "\n"


class _Drawing:
    """Identifiers of what a chart shows: Mermaid's own words and characters never reach them."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        self.topics: dict[str, str] = {}

    def id(self, kind: str, name: str) -> str:
        return self._ids.setdefault((kind, name), f"{kind[0]}{len(self._ids)}")

    def topic(self, name: str) -> str:
        return self.topics.setdefault(name, self.id("topic", name))


def _text(*parts: str) -> str:
    escaped = (part.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;") for part in parts)
    return '"' + "<br/>".join(escaped) + '"'
