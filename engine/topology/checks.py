"""Whether a topology can run: alone, and in the place of the one that wrote the state.

What would silently lose or misread state is refused, and so is what could not process its first record.

Co-partitioning needs the topics' partition counts and is checked at start (`engine.runtime.partitions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.errors import TopologyError
from engine.limits import PATH_LENGTH_MAX
from engine.topology.graph import Node
from engine.topology.join_operations import StreamJoinSide, StreamTableJoin
from engine.topology.operations import GlobalSource, Operation, Sink, Source

if TYPE_CHECKING:
    from engine.topology.topology import Topology

Described = Mapping[str, Any]

# What the bytes of a store and of its changelog depend on, with the words for it.
_FIXED = {"kind": "kind", "key_serde": "key serde", "value_serde": "value serde", "window_ms": "window size"}


def check_change(previous: Described, topology: Topology, dropped: Iterable[Described] = ()) -> None:
    """Compare with the last `Topology.to_json()` of the same application; raises TopologyError for an unsafe change.

    `dropped` are stores that still earlier ones had and the last one lacks (`dropped_stores`): one that comes back is
    restored from the changelog that it left behind, and must fit it.

    Unsafe are: another kind, serde or window size under a store's name, and a store that seems to have been renamed (one is
    gone, another of the same shape is new). New stores begin empty, and dropping one is allowed.
    """
    before = _stores(previous)
    after = _stores(topology.to_json())
    complaints = []
    written = {**_stores({"stores": dropped}), **before}
    for name in written.keys() & after.keys():
        complaints += [
            f"store {name} had {words} {written[name].get(field)} and now has {after[name].get(field)}: its changelog "
            "cannot be read like that. Keep it as it was, or give the changed store another name and let it fill anew"
            for field, words in _FIXED.items()
            if written[name].get(field) != after[name].get(field)
        ]
    gone = [before[name] for name in before.keys() - after.keys()]
    new = [after[name] for name in after.keys() - before.keys()]
    for old in sorted(gone, key=_name):
        alike = sorted(_name(store) for store in new if _shape(store) == _shape(old))
        if alike:
            complaints.append(
                f"store {_name(old)} is gone and {' or '.join(alike)} is new and just like it: a renamed store begins "
                f"empty. Call it {_name(old)} again, or drop it in one deployment and add the new one in the next"
            )
    if complaints:
        raise TopologyError(
            "this topology would lose or misread state of the running one: " + "; ".join(sorted(complaints))
        )


def dropped_stores(former: Iterable[Described], stores: Iterable[Described]) -> list[Described]:
    """Those of `former`, oldest first, that wrote a changelog and that `stores` have no successor of; the last of each name."""
    return [store for name, store in _stores({"stores": former}).items() if name not in _stores({"stores": stores})]


def check_serdes(topology: Topology) -> None:
    """Raise TopologyError for serdes that need a topic (a registry's) where nothing has one to bind them to.

    Sources, sinks and stores have; operations that serialise by themselves, into a buffer or for a lookup, have not.
    """
    complaints = [
        f"{node.name} ({node.operation.label}) has {' and '.join(found)}, and no topic to name its schemas by"
        for node in topology.nodes.values()
        if (found := list(_without_topic(node)))
    ]
    if complaints:
        raise TopologyError(
            "; ".join(complaints) + ": bind the serde by hand where the stream or table is made, for instance "
            "Consumed(key_serde, serdes.avro(…).for_topic('flights', is_key=False))"
        )


def check_length(topology: Topology) -> None:
    """Raise TopologyError for a path of more operators than a record can pass."""
    longest: dict[str, int] = {}
    for sub in topology.sub_topologies:
        for name in sub.nodes:  # parents first
            longest[name] = 1 + max((longest[parent] for parent in topology.nodes[name].parents), default=0)
            if longest[name] > PATH_LENGTH_MAX:
                raise TopologyError(
                    f"more than {PATH_LENGTH_MAX} operators stand one below the other, down to {name}: do more in one of "
                    "them, or part them by a repartition topic"
                )


def _without_topic(node: Node) -> Iterator[str]:
    operation = node.operation
    if isinstance(operation, (Source, GlobalSource, Sink)):
        return
    unused = _unused_serdes(operation)
    for each in fields(operation):
        serde = getattr(operation, each.name)
        if each.name.endswith("_serde") and each.name not in unused and getattr(serde, "needs_topic", False):
            yield f"{serde.name} as {each.name}"


def _unused_serdes(operation: Operation) -> tuple[str, ...]:
    """Serdes of an operation that it needs only in another shape: with a buffer, with unmatched records that wait."""
    if isinstance(operation, StreamTableJoin) and operation.buffer is None:
        return ("key_serde", "value_serde")
    if isinstance(operation, StreamJoinSide) and operation.pending is None:
        return ("left_serde", "right_serde")
    return ()


def _stores(description: Described) -> dict[str, Described]:
    """Stores by name, those that read a topic directly (global tables) left out: they are rebuilt from it anyway."""
    return {_name(store): store for store in description["stores"] if store["sub_topology"] is not None}


def _name(store: Described) -> str:
    return str(store["name"])


def _shape(store: Described) -> tuple[Any, ...]:
    return tuple(store.get(field) for field in _FIXED)
