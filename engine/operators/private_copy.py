"""Copies of aggregates for user code, which may change what it is given in place.

Kafka Streams reads every aggregate from bytes, so an aggregator that appends to its list harms nobody. Here a batch
keeps values alive: in updates not yet sent on and in windows not yet written. User code gets a copy of those.
"""

from __future__ import annotations

from typing import Any

_IMMUTABLE = frozenset((int, str, float, bytes, bool, type(None)))


def private_copy(value: Any, serde: Any) -> Any:
    """`value`, or if it can be changed in place a copy through its serde (which is what a store would give back)."""
    if type(value) in _IMMUTABLE or serde is None or serde.immutable:
        return value
    return serde.deserialize(serde.serialize(value))
