"""Whether a topology may take the place of the one that wrote the state: what would silently lose or misread it is refused.

Co-partitioning needs the topics' partition counts and is checked at start (`engine.runtime.partitions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import TopologyError

if TYPE_CHECKING:
    from engine.topology.topology import Topology

Described = Mapping[str, Any]

# What the bytes of a store and of its changelog depend on, with the words for it.
_FIXED = {"kind": "kind", "key_serde": "key serde", "value_serde": "value serde", "window_ms": "window size"}


def check_change(previous: Described, topology: Topology) -> None:
    """Compare with an earlier `Topology.to_json()` of the same application; raises TopologyError for an unsafe change.

    Unsafe are: another kind, serde or window size under a store's name, and a store that seems to have been renamed (one is
    gone, another of the same shape is new). New stores begin empty, and dropping one is allowed.
    """
    before = _stores(previous)
    after = _stores(topology.to_json())
    complaints = []
    for name in before.keys() & after.keys():
        complaints += [
            f"store {name} had {words} {before[name].get(field)} and now has {after[name].get(field)}: its changelog "
            "cannot be read like that. Keep it as it was, or give the changed store another name and let it fill anew"
            for field, words in _FIXED.items()
            if before[name].get(field) != after[name].get(field)
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


def _stores(description: Described) -> dict[str, Described]:
    """Stores by name, those that read a topic directly (global tables) left out: they are rebuilt from it anyway."""
    return {_name(store): store for store in description["stores"] if store["sub_topology"] is not None}


def _name(store: Described) -> str:
    return str(store["name"])


def _shape(store: Described) -> tuple[Any, ...]:
    return tuple(store.get(field) for field in _FIXED)
