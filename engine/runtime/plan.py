"""How a batch travels through one task's nodes: whole where that cannot change an answer, record by record elsewhere.

Pushing a whole batch through node after node gives the answers of record-by-record processing as long as no *resource*
(a store, an output topic, an action of the user's) can be reached by two paths: then every resource sees the same operations in the same order.
Where two paths meet at a resource, the order in which the paths touch it matters, so records go one at a time:

- a node that uses a store which one of its descendants uses too takes its input one record at a time;
- a node whose children reach a common resource hands its output on one record at a time. All actions count as one here:
  a record is inserted somewhere on one path and deleted on the other.

A processor of the Processor API may look at the task's stream time or forward in the midst of its work, so everything
from its sources on goes record by record.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.topology.graph import Node, children_of, in_order
from engine.topology.operations import Sink
from engine.topology.stateless import ForEach, Peek


@dataclass(frozen=True)
class Step:
    """A node's place in the plan; `children` are places too."""

    node: Node
    children: tuple[int, ...]
    splits_input: bool
    splits_output: bool
    per_record: bool  # something from here on must see one record at a time, from the source on


@dataclass(frozen=True)
class Plan:
    """The steps of one task, parents before children."""

    steps: tuple[Step, ...]
    place: dict[str, int]


# What actions do happens outside of the task, where two of them may touch the same.
_ACTION = "action"


def _resources(node: Node) -> frozenset[str]:
    found = {f"store:{name}" for name in node.stores}
    if isinstance(node.operation, Sink):
        # A topic chosen per record could be any topic.
        found.add(f"topic:{node.operation.topic}" if isinstance(node.operation.topic, str) else "topic:*")
    if isinstance(node.operation, (ForEach, Peek)):
        found.add(_ACTION)
    return frozenset(found)


def _meet(one: frozenset[str], other: frozenset[str]) -> bool:
    if one & other:
        return True
    for some, rest in ((one, other), (other, one)):
        if "topic:*" in some and any(r.startswith("topic:") for r in rest):
            return True
    return False


def make_plan(nodes: dict[str, Node]) -> Plan:
    """Plan the given nodes, whose parents are all among them."""
    order = in_order(nodes)
    place = {name: index for index, name in enumerate(order)}
    children = children_of(nodes)
    below: dict[str, frozenset[str]] = {}  # resources of strict descendants
    reach: dict[str, frozenset[str]] = {}  # own resources and those below
    careful: dict[str, bool] = {}
    for name in reversed(order):
        below[name] = frozenset().union(*(reach[c] for c in children[name]))
        reach[name] = _resources(nodes[name]) | below[name]
        per_record = getattr(nodes[name].operation, "per_record", False)
        careful[name] = per_record or any(careful[c] for c in children[name])
    steps = []
    for name in order:
        kids = children[name]
        # Resources of two paths that only meet again further down count as well: `reach` holds them on both sides.
        forks = any(_meet(reach[a], reach[b]) for i, a in enumerate(kids) for b in kids[i + 1 :])
        steps.append(
            Step(
                node=nodes[name],
                children=tuple(place[c] for c in kids),
                splits_input=_meet(_resources(nodes[name]) - {_ACTION}, below[name]),
                splits_output=forks,
                per_record=careful[name],
            )
        )
    return Plan(tuple(steps), place)
