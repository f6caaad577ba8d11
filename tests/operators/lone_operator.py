"""One operator over real in-memory stores, without a task: records in, updates out."""

from __future__ import annotations

from typing import Any

from engine.operators import families  # noqa: F401 - registers the processors
from engine.operators.processor import build
from engine.records import Batch
from engine.stores.opening import open_store
from engine.topology.graph import Node
from engine.topology.operations import Operation
from engine.topology.stores import StoreSpec

# Key, value and timestamp of an input.
Row = tuple[Any, Any, int]


class LoneContext:
    """`NodeContext` and `StoreContext` of a task with one node."""

    application_id = "test"
    task_id = "0_0"
    partition = 0
    children: tuple[str, ...] = ("next",)
    may_skip = False

    def __init__(self, *, caching: bool, emit_interval_ms: int = 0) -> None:
        self.caching = caching
        self.emit_interval_ms = emit_interval_ms
        self.timestamp = -1
        self.now = 0
        self.processor_times: dict[str, int] = {}
        self.dropped_records = 0
        self._stores: dict[str, Any] = {}
        self._shared: dict[str, Any] = {}

    def add_store(self, spec: StoreSpec) -> Any:
        self._stores[spec.name] = open_store(spec, None, self)
        return self._stores[spec.name]

    def store(self, name: str) -> Any:
        return self._stores[name]

    def shared(self, name: str, make: Any) -> Any:
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def wall_clock(self) -> int:
        return self.now

    def dropped(self, count: int, _reason: str = "") -> None:
        self.dropped_records += count

    def unwritable(self, batch: Batch, row: int, error: Exception) -> None:
        self.failed(batch, row, error)

    def failed(self, _batch: Batch, _row: int, error: Exception) -> None:
        raise error


class LoneOperator:
    """Feeds an operator batch by batch; `commit` lets it release what it holds back."""

    def __init__(self, operation: Operation, *specs: StoreSpec, caching: bool = False) -> None:
        self.context = LoneContext(caching=caching)
        self.stores = [self.context.add_store(spec) for spec in specs]
        self.processor = build(Node("node", operation, (), tuple(spec.name for spec in specs)))
        self.processor.init(self.context)  # type: ignore[arg-type]

    def feed(self, rows: list[Row]) -> list[tuple[Any, Any, Any, int]]:
        """(key, new, old, timestamp) of each update."""
        if not rows:
            return []
        keys, values, timestamps = (list(column) for column in zip(*rows, strict=True))
        return _updates(self.processor.process(Batch(keys, values, timestamps)))

    def commit(self) -> list[tuple[Any, Any, Any, int]]:
        updates = _updates(self.processor.flush())
        for store in self.stores:
            store.drain_changelog()
            store.commit(None)
        return updates


def _updates(batch: Any) -> list[tuple[Any, Any, Any, int]]:
    if batch is None:
        return []
    olds = batch.olds or [None] * len(batch)
    return list(zip(batch.keys, batch.values, olds, batch.timestamps, strict=True))


def one_by_one(operator: LoneOperator, rows: list[Row]) -> list[tuple[Any, Any, Any, int]]:
    """The updates of each row fed by itself."""
    return [update for row in rows for update in operator.feed([row])]


def last_of_each(updates: list[tuple[Any, Any, Any, int]], known: dict[Any, Any]) -> list[tuple[Any, Any, int]]:
    """What is left of updates when superseded ones are left out, in the order of the last ones.

    `known` holds what was emitted for each key before, and is brought up to date: a tombstone of an unknown key goes too.
    """
    last: dict[Any, tuple[Any, int]] = {}
    for key, new, _, timestamp in updates:
        last.pop(key, None)
        last[key] = (new, timestamp)
    kept = [(key, new, at) for key, (new, at) in last.items() if new is not None or known.get(key) is not None]
    known.update({key: new for key, new, _ in kept})
    return kept
