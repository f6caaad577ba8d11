"""How the current value of a table's key is read: from its store, or from an upstream one through the steps between.

A table without a store of its own (a filter, a mapping, a join's result) is looked up by reading the nearest stores above it
and doing the steps again, as Kafka Streams' value getters do. `engine.operators.views` opens these descriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class TableView:
    """A way to read a table. `stores` are those that a node needs in order to use it."""

    @property
    def stores(self) -> tuple[str, ...]:
        """Names of the stores it reads."""
        raise NotImplementedError

    @property
    def versioned(self) -> bool:
        """Whether it can be read as of an earlier time."""
        return False


@dataclass(frozen=True, eq=False)
class StoreView(TableView):
    """Read `store`."""

    store: str
    is_versioned: bool = False

    @property
    def stores(self) -> tuple[str, ...]:
        """The one store."""
        return (self.store,)

    @property
    def versioned(self) -> bool:
        """Whether the store keeps versions."""
        return self.is_versioned


@dataclass(frozen=True, eq=False)
class FilterView(TableView):
    """Read `parent`, and see only what `predicate(key, value)` (negated: does not) hold for."""

    parent: TableView
    predicate: Callable[[Any, Any], bool]
    negate: bool = False

    @property
    def stores(self) -> tuple[str, ...]:
        """The parent's stores."""
        return self.parent.stores

    @property
    def versioned(self) -> bool:
        """As the parent."""
        return self.parent.versioned


@dataclass(frozen=True, eq=False)
class MapView(TableView):
    """Read `parent`, and map what is there by `mapper(value)`, or `mapper(key, value)` if `with_key`."""

    parent: TableView
    mapper: Callable[..., Any]
    with_key: bool = False

    @property
    def stores(self) -> tuple[str, ...]:
        """The parent's stores."""
        return self.parent.stores

    @property
    def versioned(self) -> bool:
        """As the parent."""
        return self.parent.versioned


@dataclass(frozen=True, eq=False)
class JoinView(TableView):
    """Read both sides of a table-table join and join what is there; `kind` is `inner`, `left` or `outer`."""

    left: TableView
    right: TableView
    joiner: Callable[[Any, Any, Any], Any]
    kind: str

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores of both sides."""
        return tuple(dict.fromkeys((*self.left.stores, *self.right.stores)))
