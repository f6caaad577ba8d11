"""Operations of tables: where a table comes from, and what maps one table to another.

`store` is None as long as the table keeps nothing. `send_old` says that something below needs to know what an update
replaces. `versioned` marks a versioned store, whose puts can be refused or be out of order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.topology.operations import Operation


@dataclass(frozen=True, eq=False)
class TableSource(Operation):
    """Read records as updates of a table, into its store if it has one; records without a key are dropped."""

    prefix: ClassVar[str] = "KTABLE-SOURCE-"
    label: ClassVar[str] = "table"
    store: str | None = None
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class StreamToTable(TableSource):
    """The same, for a stream's records."""

    prefix: ClassVar[str] = "KSTREAM-TOTABLE-"
    label: ClassVar[str] = "to table"


@dataclass(frozen=True, eq=False)
class TableFilter(Operation):
    """Keep what `predicate(key, value)` (negated: does not) hold for; what leaves becomes a tombstone.

    `keep_empty` is set under versioned tables, where a change from nothing to nothing can still matter out of order.
    """

    prefix: ClassVar[str] = "KTABLE-FILTER-"
    label: ClassVar[str] = "filter table"
    predicate: Callable[[Any, Any], bool]
    negate: bool = False
    store: str | None = None
    versioned: bool = False
    send_old: bool = False
    keep_empty: bool = False


@dataclass(frozen=True, eq=False)
class TableMapValues(Operation):
    """Map values by `mapper(value)`, or `mapper(key, value)` if `with_key`; tombstones stay tombstones."""

    prefix: ClassVar[str] = "KTABLE-MAPVALUES-"
    label: ClassVar[str] = "map table"
    mapper: Callable[..., Any]
    with_key: bool = False
    store: str | None = None
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class TableToStream(Operation):
    """Forget what an update replaces: the table's changes as a stream."""

    prefix: ClassVar[str] = "KTABLE-TOSTREAM-"
    label: ClassVar[str] = "to stream"
