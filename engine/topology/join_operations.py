"""Descriptions of joins. A join of two sides is two nodes, one a side, that feed the same child.

Joiners take (key, left, right) here, whatever the user wrote: the DSL wraps them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.topology.operations import Operation
from engine.topology.views import TableView

Joiner = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, eq=False)
class StreamTableJoin(Operation):
    """Look each stream record up in a table. `left` emits without a match too.

    `key_mapper(key, value)` gives the table's key for a global table; None: the record's own key. With `buffer` (a
    store's name) and `grace_ms` records wait until stream time has passed them by the grace, then look the table up as of
    their own time (versioned tables).
    """

    prefix: ClassVar[str] = "KSTREAM-JOIN-"
    label: ClassVar[str] = "stream-table join"
    table: TableView = None  # type: ignore[assignment]
    joiner: Joiner = None  # type: ignore[assignment]
    left: bool = False
    key_mapper: Callable[[Any, Any], Any] | None = None
    table_key_serde: Any = None
    grace_ms: int = 0
    buffer: str | None = None
    key_serde: Any = None
    value_serde: Any = None


@dataclass(frozen=True, eq=False)
class StreamJoinSide(Operation):
    """One side of a stream-stream join: keep the record in `own`, join it with what `other` holds.

    A record of this side at t joins records of the other side in [t - before_ms, t + after_ms]; the DSL swaps the two
    for the right side. `outer` emits this side's unmatched records too, kept until then in the store `pending`, which
    both sides share (None for an inner join). `clock` names the object in which both sides keep their common time.
    `left_span_ms` and `right_span_ms` are how long a pending record of either side may still find a match.
    """

    prefix: ClassVar[str] = "KSTREAM-JOINTHIS-"
    label: ClassVar[str] = "stream-stream join"
    is_left: bool = True
    own: str = ""
    other: str = ""
    before_ms: int = 0
    after_ms: int = 0
    grace_ms: int = 0
    outer: bool = False
    pending: str | None = None
    clock: str = ""
    joiner: Joiner = None  # type: ignore[assignment]
    left_span_ms: int = 0
    right_span_ms: int = 0
    key_serde: Any = None
    left_serde: Any = None
    right_serde: Any = None


@dataclass(frozen=True, eq=False)
class SelfJoin(Operation):
    """A stream joined with itself on one store (`single.store.self.join`)."""

    prefix: ClassVar[str] = "KSTREAM-MERGE-"
    label: ClassVar[str] = "self-join"
    own: str = ""
    before_ms: int = 0
    after_ms: int = 0
    retention_ms: int = 0
    joiner: Joiner = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class TableJoinSide(Operation):
    """One side of a table-table join: on each update of this side, join it with the row that `other` has now.

    `joiner(key, this, other)`. `this_outer` / `other_outer` say whether rows of this / the other side come out without a
    match. `versioned` drops this side's out-of-order updates. `send_old` joins what the update replaces too.
    """

    prefix: ClassVar[str] = "KTABLE-JOINSIDE-"
    label: ClassVar[str] = "table-table join"
    other: TableView = None  # type: ignore[assignment]
    other_key_serde: Any = None
    joiner: Joiner = None  # type: ignore[assignment]
    this_outer: bool = False
    other_outer: bool = False
    versioned: bool = False
    send_old: bool = False


@dataclass(frozen=True, eq=False)
class ForeignKeySubscribe(Operation):
    """Left side of a foreign-key join: tell the row's foreign key, on the registration topic, that this row is interested."""

    prefix: ClassVar[str] = "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-"
    label: ClassVar[str] = "foreign-key subscribe"
    extractor: Callable[[Any, Any], Any] = None  # type: ignore[assignment]
    left: bool = False
    versioned: bool = False
    foreign_key_serde: Any = None
    key_serde: Any = None
    value_serde: Any = None


@dataclass(frozen=True, eq=False)
class ForeignKeyReceive(Operation):
    """Right side: keep the subscription in `subscriptions` and answer it from the right table."""

    prefix: ClassVar[str] = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-"
    label: ClassVar[str] = "foreign-key subscriptions"
    subscriptions: str = ""
    table: TableView = None  # type: ignore[assignment]
    foreign_key_serde: Any = None
    value_serde: Any = None


@dataclass(frozen=True, eq=False)
class ForeignKeyAnswer(Operation):
    """Right side: on an update of the right table, answer every subscription of its key."""

    prefix: ClassVar[str] = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-"
    label: ClassVar[str] = "foreign-key answer"
    subscriptions: str = ""
    versioned: bool = False
    foreign_key_serde: Any = None
    value_serde: Any = None


@dataclass(frozen=True, eq=False)
class ForeignKeyResolve(Operation):
    """Left side: join an answer with the row, unless the row has changed since it subscribed."""

    prefix: ClassVar[str] = "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-"
    label: ClassVar[str] = "foreign-key join"
    table: TableView = None  # type: ignore[assignment]
    joiner: Joiner = None  # type: ignore[assignment]
    left: bool = False
    key_serde: Any = None
    value_serde: Any = None
    right_serde: Any = None


@dataclass(frozen=True, eq=False)
class JoinedTable(Operation):
    """Where both sides of a table-table join meet: keep the result in `store`, or only hand it on (None)."""

    prefix: ClassVar[str] = "KTABLE-MERGE-"
    label: ClassVar[str] = "joined table"
    store: str | None = None
    versioned: bool = False
    send_old: bool = False


def home(_: str, __: Any, answer: Any, ___: int) -> int:
    """The partitioner of answers: each goes to the partition of the left row that asked."""
    return answer.partition  # type: ignore[no-any-return]
