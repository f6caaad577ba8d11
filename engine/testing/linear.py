"""Whether a batch may go through a whole topology, internal topics included, without changing an answer.

Within a sub-topology the task's plan already goes record by record where two paths meet. Across internal topics nobody
does: there a batch is only let through where no store and no topic can be reached by two paths.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.runtime.plan import make_plan
from engine.topology.graph import Node, children_of
from engine.topology.operations import GlobalSource, Sink, Source

if TYPE_CHECKING:
    from engine.topology.topology import Topology


def looped_back(topology: Topology) -> dict[str, Node]:
    """The topology's nodes, each source below the sinks that write its topics."""
    nodes = {name: node for name, node in topology.nodes.items() if not isinstance(node.operation, GlobalSource)}
    read_by = {
        (topic, node.operation.internal): name
        for name, node in nodes.items()
        if isinstance(node.operation, Source)
        for topic in node.operation.topics
    }
    for name, node in list(nodes.items()):
        if isinstance(node.operation, Sink) and isinstance(node.operation.topic, str):
            reader = read_by.get((node.operation.topic, node.operation.internal))
            if reader is not None:
                below = nodes[reader]
                nodes[reader] = replace(below, parents=(*below.parents, name))
    return nodes


def linear_sources(topology: Topology) -> frozenset[str]:
    """Names of the source nodes from which a batch may go all the way at once."""
    nodes = looped_back(topology)
    dynamic = any(isinstance(n.operation, Sink) and not isinstance(n.operation.topic, str) for n in nodes.values())
    sources = [name for name, node in nodes.items() if isinstance(node.operation, Source)]
    if dynamic or _has_cycle(nodes):
        return frozenset()
    steps = {step.node.name: step for step in make_plan(nodes).steps}
    children = children_of(nodes)
    linear = set()
    for source in sources:
        reached = _below(source, children)
        crosses = any(isinstance(nodes[name].operation, Source) for name in reached - {source})
        careful = any(steps[n].splits_input or steps[n].splits_output or steps[n].per_record for n in reached)
        if not (crosses and careful):
            linear.add(source)
    return frozenset(linear)


def _below(start: str, children: dict[str, tuple[str, ...]]) -> set[str]:
    found = {start}
    rest = [start]
    while rest:
        for child in children[rest.pop()]:
            if child not in found:
                found.add(child)
                rest.append(child)
    return found


def _has_cycle(nodes: dict[str, Node]) -> bool:
    children = children_of(nodes)
    return any(name in _below(child, children) for name in nodes for child in children[name])
