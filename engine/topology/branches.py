"""`split`: one stream into several, each record to the first branch that takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import TopologyError
from engine.topology.callables import RECORD, check_callable
from engine.topology.stateless import Branch, PassThrough
from engine.topology.stream import Stream


@dataclass(frozen=True)
class Branched:
    """A branch's name, and what becomes of it: `function(stream) -> stream` is kept, `consumer(stream)` is not."""

    name: str | None = None
    function: Callable[[Stream], Stream] | None = None
    consumer: Callable[[Stream], Any] | None = None

    @classmethod
    def as_(cls, name: str) -> Branched:
        """A branch of that name."""
        return cls(name)


class Branches:
    """Branches of a stream, in the order in which their predicates are tried.

    `split().branch(predicate, "a").branch(other, "b").default_branch("rest")` gives a dict of streams by name, each name
    with the split's own name before it, if it has one. Unnamed branches are called `1`, `2`, …, the default one `0`.
    """

    def __init__(self, stream: Stream, name: str | None) -> None:
        self._stream = stream
        self._prefix = name or ""
        operation = Branch()
        self._split = stream.then(operation, name=name, key_serde=stream.key_serde, value_serde=stream.value_serde)
        self._operation = operation
        self._found: dict[str, Stream] = {}
        self._names: set[str] = set()
        self._count = 0

    def branch(self, predicate: Callable[[Any, Any], bool], branched: Branched | str | None = None) -> Branches:
        """Add a branch for the records that no earlier one took and for which `predicate(key, value)` holds."""
        predicates = (*self._operation.predicates, check_callable(predicate, "predicate", RECORD))
        self._change(replace(self._operation, predicates=predicates))
        self._count += 1
        self._add(branched, str(self._count))
        return self

    def default_branch(self, branched: Branched | str | None = None) -> dict[str, Stream]:
        """Add a branch for the rest, and return all branches by name."""
        self._change(replace(self._operation, has_default=True))
        self._add(branched, "0")
        return self._found

    def no_default_branch(self) -> dict[str, Stream]:
        """Drop the rest, and return all branches by name."""
        return self._found

    def _change(self, operation: Branch) -> None:
        self._operation = operation
        self._stream.graph.replace_operation(self._split.node, operation)

    def _add(self, branched: Branched | str | None, number: str) -> None:
        given = Branched(branched) if isinstance(branched, str) else branched or Branched()
        name = self._prefix + (given.name or number)
        if name in self._names:
            raise TopologyError(f"two branches are named {name!r}: give one of them another name")
        self._names.add(name)
        stream = self._split.then(PassThrough(), key_serde=self._split.key_serde, value_serde=self._split.value_serde)
        if given.consumer is not None:
            given.consumer(stream)
            return
        found = stream if given.function is None else given.function(stream)
        # As in Kafka Streams, a function that keeps its branch to itself gives None.
        if found is not None:
            self._found[name] = found
