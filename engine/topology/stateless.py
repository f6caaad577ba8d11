"""Operations that look at one record at a time and keep nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.topology.operations import Operation


@dataclass(frozen=True, eq=False)
class Filter(Operation):
    """Keep records for which `predicate(key, value)` holds (negated: does not)."""

    prefix: ClassVar[str] = "KSTREAM-FILTER-"
    label: ClassVar[str] = "filter"
    predicate: Callable[[Any, Any], bool]
    negate: bool = False


@dataclass(frozen=True, eq=False)
class HasKey(Operation):
    """Keep records with a key: what stands before a repartition topic, where a null key could go anywhere.

    `relaxed` keeps all (`engine.topology.null_keys`).
    """

    prefix: ClassVar[str] = "KSTREAM-FILTER-"
    label: ClassVar[str] = "filter null keys"
    relaxed: bool = False


@dataclass(frozen=True, eq=False)
class Map(Operation):
    """Replace each record by the pair `mapper(key, value) -> (key, value)`."""

    prefix: ClassVar[str] = "KSTREAM-MAP-"
    label: ClassVar[str] = "map"
    mapper: Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True, eq=False)
class MapValues(Operation):
    """Replace each value by `mapper(value)`, or `mapper(key, value)` if `with_key`."""

    prefix: ClassVar[str] = "KSTREAM-MAPVALUES-"
    label: ClassVar[str] = "map values"
    mapper: Callable[..., Any]
    with_key: bool = False


@dataclass(frozen=True, eq=False)
class FlatMap(Operation):
    """Replace each record by the pairs that `mapper(key, value)` yields, none or many."""

    prefix: ClassVar[str] = "KSTREAM-FLATMAP-"
    label: ClassVar[str] = "flat map"
    mapper: Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class FlatMapValues(Operation):
    """Replace each record by one for each value that `mapper` yields, none or many."""

    prefix: ClassVar[str] = "KSTREAM-FLATMAPVALUES-"
    label: ClassVar[str] = "flat map values"
    mapper: Callable[..., Any]
    with_key: bool = False


@dataclass(frozen=True, eq=False)
class SelectKey(Operation):
    """Replace each key by `selector(key, value)`."""

    prefix: ClassVar[str] = "KSTREAM-KEY-SELECT-"
    label: ClassVar[str] = "select key"
    selector: Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Peek(Operation):
    """Call `action(key, value)` and hand the record on as it is."""

    prefix: ClassVar[str] = "KSTREAM-PEEK-"
    label: ClassVar[str] = "peek"
    action: Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class ForEach(Operation):
    """Call `action(key, value)`; the stream ends here."""

    prefix: ClassVar[str] = "KSTREAM-FOREACH-"
    label: ClassVar[str] = "for each"
    action: Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Branch(Operation):
    """Send each record to the first child whose predicate holds; with `has_default` the last child takes the rest."""

    prefix: ClassVar[str] = "KSTREAM-BRANCH-"
    label: ClassVar[str] = "split"
    predicates: tuple[Callable[[Any, Any], bool], ...] = ()
    has_default: bool = False


@dataclass(frozen=True, eq=False)
class PassThrough(Operation):
    """Hand records on as they are: a branch's beginning."""

    prefix: ClassVar[str] = "KSTREAM-BRANCHCHILD-"
    label: ClassVar[str] = "branch"


@dataclass(frozen=True, eq=False)
class Merge(Operation):
    """Hand on the records of all parents as they come."""

    prefix: ClassVar[str] = "KSTREAM-MERGE-"
    label: ClassVar[str] = "merge"
