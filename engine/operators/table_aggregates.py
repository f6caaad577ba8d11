"""Folds of a grouped table: what a change replaces is taken out of its group, what it brings is put in.

As in Kafka Streams (KTableRepartitionMap, KTableAggregate, KTableReduce). A change within one group goes as one record, from one
group to another as two: first the one that takes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.operators.aggregates import Folding
from engine.operators.keyed_state import Entry, Updates
from engine.operators.processor import Output, Processor, apply_each, implements, is_decided
from engine.records import Batch
from engine.topology.aggregations import TableAggregate, TableReduce, TableSelect

Pair = tuple[Any, Any] | None
# What the folding step gives: the aggregate, and whether the older aggregate's time counts for it.
Step = Callable[[Any, Any, Any, Any], tuple[Any, bool]]


@implements(TableSelect)
class TableSelectProcessor(Processor):
    """Maps both sides of each change to their groups."""

    def process(self, batch: Batch) -> Output:
        """Call the selector on new and old values, and pair what falls into the same group."""
        if self.operation.latest_only and batch.latest is not None:
            batch = batch.take([row for row, latest in enumerate(batch.latest) if latest])
        news, skipped = self._selected(batch, batch.values)
        olds, failed = self._selected(batch, batch.olds or [None] * len(batch))
        gone = {*skipped, *failed}
        rows: list[int] = []
        keys: list[Any] = []
        values: list[Any] = []
        replaced: list[Any] = []
        for row, (new, old) in enumerate(zip(news, olds, strict=True)):
            if row in gone:
                continue
            if new is not None and old is not None and new[0] == old[0]:
                changes: list[tuple[Any, Any, Any]] = [(old[0], new[1], old[1])]
            else:
                changes = [] if old is None else [(old[0], None, old[1])]
                if new is not None:
                    changes.append((new[0], new[1], None))
            for key, value, before in changes:
                rows.append(row)
                keys.append(key)
                values.append(value)
                replaced.append(before)
        out = batch.take(rows)
        out.keys, out.values, out.olds, out.latest, out.raw_keys = keys, values, replaced, None, None
        return out

    def _selected(self, batch: Batch, values: list[Any]) -> tuple[list[Pair], list[int]]:
        selector = self.operation.selector

        def select(key: Any, value: Any) -> Pair:
            if value is None:
                return None
            new_key, new_value = selector(key, value)
            return None if new_key is None or new_value is None else (new_key, new_value)

        return apply_each(select, lambda row, error: self.context.failed(batch, row, error), batch.keys, values)


class _TableFolding(Folding):
    """A fold of changes, with user functions that may raise: the handler then decides, and the change has no effect."""

    def process(self, batch: Batch) -> Output:
        """Fold the changes; their keys are never None."""
        return self.fold(batch)

    def _updates(self, batch: Batch, raws: list[bytes], entries: dict[bytes, Entry | None]) -> Updates:
        updates = Updates()
        step, check = self._step(), self._state.check
        columns = zip(raws, batch.keys, batch.values, batch.olds or [], batch.timestamps, strict=True)
        for row, (raw, key, new, old, timestamp) in enumerate(columns):
            entry = entries[raw]
            before = None if entry is None else entry[0]
            try:
                after, counts = step(key, new, old, before)
                if after is not None:
                    check(after)
            except Exception as error:
                # User code may raise anything, and the handler decides; but copies are made by a serde here too.
                if is_decided(error):
                    raise
                self.context.failed(batch, row, error)
                continue
            latest = max(timestamp, entry[1]) if counts and entry is not None else timestamp
            entries[raw] = None if after is None else (after, latest)
            updates.rows.append(row)
            updates.raws.append(raw)
            updates.news.append(after)
            updates.olds.append(before)
            updates.timestamps.append(latest)
        return updates

    def _step(self) -> Step:
        """`step(key, new, old, aggregate)`."""
        raise NotImplementedError


@implements(TableAggregate)
class TableAggregateProcessor(_TableFolding):
    """Folds with subtractor and adder, from an initial value."""

    def _step(self) -> Step:
        operation: TableAggregate = self.operation
        initializer, adder, subtractor = operation.initializer, operation.adder, operation.subtractor
        copy = self._state.copy

        def step(key: Any, new: Any, old: Any, aggregate: Any) -> tuple[Any, bool]:
            counts = False
            after = aggregate
            if old is not None and aggregate is not None:
                after = subtractor(key, old, copy(aggregate))
                counts = True
            if new is not None:
                after = adder(key, new, initializer() if after is None else copy(after))
                counts = True
            return after, counts

        return step


@implements(TableReduce)
class TableReduceProcessor(_TableFolding):
    """Folds with subtractor and adder; a group's first value is its first result."""

    def _step(self) -> Step:
        operation: TableReduce = self.operation
        adder, subtractor, copy = operation.adder, operation.subtractor, self._state.copy

        def step(_key: Any, new: Any, old: Any, aggregate: Any) -> tuple[Any, bool]:
            counts = False
            after = aggregate
            if old is not None and aggregate is not None:
                after = subtractor(copy(aggregate), old)
                counts = True
            if new is not None:
                if after is None:
                    after = copy(new)
                else:
                    after = adder(copy(after), new)
                    counts = True
            return after, counts

        return step
