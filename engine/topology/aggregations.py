"""Operations that fold records of a key, without windows.

`store` is the key-value store of the results. `send_old` says that something below needs to know what an update replaces.
`versioned` marks a versioned result store, whose puts can be refused or be out of order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.topology.operations import Operation


@dataclass(frozen=True, eq=False)
class Count(Operation):
    """Count a stream's records by key."""

    prefix: ClassVar[str] = "KSTREAM-AGGREGATE-"
    label: ClassVar[str] = "count"
    store: str = ""
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class Reduce(Operation):
    """Fold a stream's values by key with `reducer(aggregate, value)`; the first value is the first aggregate."""

    prefix: ClassVar[str] = "KSTREAM-REDUCE-"
    label: ClassVar[str] = "reduce"
    store: str
    reducer: Callable[[Any, Any], Any]
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class Aggregate(Operation):
    """Fold a stream's values by key with `aggregator(key, value, aggregate)`, beginning at `initializer()`."""

    prefix: ClassVar[str] = "KSTREAM-AGGREGATE-"
    label: ClassVar[str] = "aggregate"
    store: str
    initializer: Callable[[], Any]
    aggregator: Callable[[Any, Any, Any], Any]
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class TableSelect(Operation):
    """Turn a table's change into what is added to and taken from groups: `selector(key, value) -> (key, value)`.

    `latest_only` drops out-of-order changes of a versioned table (KIP-914).
    """

    prefix: ClassVar[str] = "KTABLE-SELECT-"
    label: ClassVar[str] = "group table"
    selector: Callable[[Any, Any], tuple[Any, Any]]
    latest_only: bool = False


@dataclass(frozen=True, eq=False)
class TableAggregate(Operation):
    """Fold a grouped table: `subtractor(key, old, aggregate)`, then `adder(key, new, aggregate)`."""

    prefix: ClassVar[str] = "KTABLE-AGGREGATE-"
    label: ClassVar[str] = "aggregate table"
    store: str
    initializer: Callable[[], Any]
    adder: Callable[[Any, Any, Any], Any]
    subtractor: Callable[[Any, Any, Any], Any]
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class TableReduce(Operation):
    """Fold a grouped table: `subtractor(aggregate, old)`, then `adder(aggregate, new)`."""

    prefix: ClassVar[str] = "KTABLE-REDUCE-"
    label: ClassVar[str] = "reduce table"
    store: str
    adder: Callable[[Any, Any], Any]
    subtractor: Callable[[Any, Any], Any]
    versioned: bool = False
    send_old: bool = False
