"""The contract of an operator: a batch in, a batch out, in order.

There is one code path. A record that must go alone (because a store can be reached by two paths) arrives as a batch
of one, so an operator is written once and answers the same either way; `engine.runtime.plan` decides how batches are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from engine.errors import SkipRecord, StatehouseError, TopologyError
from engine.operators.context import NodeContext
from engine.records import Batch
from engine.serdes import Serde
from engine.topology.graph import Node
from engine.topology.operations import Operation


class Routed(list["tuple[int, Batch]"]):
    """Output for several children: pairs of (child's place, batch), in order of emission."""


Output = Batch | Routed | None


class Processor:
    """One node of one task. Owned by the task; used by the loop thread only.

    `self.operation` is the node's description, `self.context` its window on the task. After an abort the task
    throws its processors away and makes new ones: what must survive belongs in a store.
    """

    # A processor that forwards by itself through `context.forward_now` while it processes, and returns nothing.
    forwards_itself = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.operation: Any = node.operation
        self.context: NodeContext

    def init(self, context: NodeContext) -> None:
        """Take the context and fetch stores; called once, before the first batch. Overriders call super."""
        self.context = context

    def process(self, batch: Batch) -> Output:
        """Process the records in order and return what goes on to the children, in order of emission."""
        raise NotImplementedError

    def flush(self) -> Output:
        """At a commit, before the changelogs are drained: return what the record cache still holds back."""
        return None

    def close(self) -> None:
        """Let go of what the processor holds; its stores are closed by the task."""


P = TypeVar("P", bound=type[Processor])
_IMPLEMENTATIONS: dict[type[Operation], Callable[[Node], Processor]] = {}


def implements(*operations: type[Operation]) -> Callable[[P], P]:
    """Class decorator: this processor does these operations."""

    def register(cls: P) -> P:
        for operation in operations:
            _IMPLEMENTATIONS[operation] = cls
        return cls

    return register


def build(node: Node) -> Processor:
    """The processor for a node."""
    try:
        make = _IMPLEMENTATIONS[type(node.operation)]
    except KeyError:
        raise TopologyError(f"node {node.name}: nothing implements {type(node.operation).__name__}") from None
    return make(node)


def is_decided(error: Exception) -> bool:
    """Whether the engine raised `error` about itself (a damaged store, a full disk), so that it must pass as it is.

    What is left is about one record: user code or a serde raised, and the processing handler decides.
    """
    return isinstance(error, StatehouseError) and not isinstance(error, SkipRecord)


def checked_by(context: NodeContext, serde: Serde) -> Callable[[Any], object]:
    """What raises for a value that a store of this serde could not log, while its record is known.

    It costs an encoding, so it looks only where a record may be skipped: elsewhere the engine stops in the commit as well.
    """
    return serde.serialize if context.may_skip else _unchecked


def storable(context: NodeContext, batch: Batch, serde: Serde) -> Batch:
    """The batch without the rows whose values a store of this serde could not log, and which the handler lets go.

    As `checked_by`, for operators that keep their values as they come: one encoding of the column, as long as nothing is refused.
    """
    if not context.may_skip:
        return batch
    try:
        serde.serialize_many(batch.values)
    except Exception as error:
        if is_decided(error):
            raise
    else:
        return batch

    def written(value: Any) -> None:
        if value is not None:
            serde.serialize(value)

    _, skipped = apply_each(written, lambda row, error: context.failed(batch, row, error), batch.values)
    return batch.without(skipped)


def _unchecked(_value: Any) -> None:
    """What a record brought is looked at in the commit."""


def apply_each(
    function: Callable[..., Any], failed: Callable[[int, Exception], None], *columns: list[Any]
) -> tuple[list[Any], list[int]]:
    """Call `function` on each row of `columns`, once and in order; returns the results and the rows that failed.

    A row whose call raises is handed to `failed(row, error)`, which raises to stop, or returns to skip the record: its
    result is then None and its index is in the second list. Runs at the speed of `map` as long as nothing raises: the
    iterator keeps its place, so no earlier row is called twice.
    """
    results: list[Any] = []
    skipped: list[int] = []
    rows = map(function, *columns)
    while True:
        try:
            results.extend(rows)
            if len(results) < len(columns[0]):
                # To `extend` it looks like the end of the rows.
                raise RuntimeError("it raised StopIteration, as next() does at the end: give next() a default")  # noqa: TRY301 - a failure like any other
        except Exception as error:  # noqa: BLE001 - user code may raise anything; `failed` decides what becomes of it
            failed(len(results), error)
            skipped.append(len(results))
            results.append(None)
        else:
            return results, skipped
