"""Folds of a stream's records by key, without windows: count, reduce, aggregate.

As in Kafka Streams (KStreamAggregate, KStreamReduce): records without key or value are dropped and counted; a result has the
highest event time of what went into it; a result of None deletes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise, starmap
from operator import le
from typing import Any

from engine.operators.context import NodeContext
from engine.operators.keyed_state import Entry, KeyedState, Updates, by_row, open_state, with_key_and_value
from engine.operators.processor import Output, Processor, implements, is_decided
from engine.records import Batch
from engine.topology.aggregations import Aggregate, Count, Reduce


class Folding(Processor):
    """What the folds share: their state, and how a batch becomes updates."""

    def init(self, context: NodeContext) -> None:
        """Open the state."""
        super().init(context)
        operation = self.operation
        self._state: KeyedState = open_state(
            context, operation.store, send_old=operation.send_old, versioned=operation.versioned
        )

    def process(self, batch: Batch) -> Output:
        """Fold the batch's records into the store."""
        batch = with_key_and_value(batch, self.context)
        if not batch.keys:
            return None
        return self.fold(batch)

    def fold(self, batch: Batch) -> Batch | None:
        """Fold records that all have a key, one at a time where the store asks for it."""
        if self._state.one_by_one and len(batch) > 1:
            return by_row(batch, self._fold)
        return self._fold(batch)

    def flush(self) -> Output:
        """Send on what the record cache held back."""
        return self._state.release()

    def _fold(self, batch: Batch) -> Batch | None:
        state = self._state
        raws = batch.serialized_keys(state.key_serde)
        fetched = state.fetch(batch, raws)
        updates = self._updates(batch, raws, dict(fetched))
        return state.apply(batch, updates, fetched)

    def _updates(self, batch: Batch, raws: list[bytes], entries: dict[bytes, Entry | None]) -> Updates:
        """Every update in order; `entries` may be changed."""
        raise NotImplementedError


def latest_times(raws: list[bytes], timestamps: list[int]) -> dict[bytes, int]:
    """The highest timestamp of each key, without a step of Python per record."""
    if all(starmap(le, pairwise(timestamps))):
        return dict(zip(raws, timestamps, strict=True))
    order = sorted(range(len(timestamps)), key=timestamps.__getitem__)
    return dict(zip(map(raws.__getitem__, order), map(timestamps.__getitem__, order), strict=True))


@implements(Count)
class CountProcessor(Folding):
    """Counts; where only a key's last value is needed, by the batch and at the speed of a `Counter`."""

    def _fold(self, batch: Batch) -> Batch | None:
        state = self._state
        if not state.only_last:
            return super()._fold(batch)
        raws = batch.serialized_keys(state.key_serde)
        counts = Counter(raws)
        times = latest_times(raws, batch.timestamps)
        keys = list(counts)
        found = state.store.fetch_column(keys)
        state.store.write_columns(
            keys,
            [count if entry is None else entry[0] + count for count, entry in zip(counts.values(), found, strict=True)],
            [
                time if entry is None or time > entry[1] else entry[1]
                for time, entry in zip(map(times.__getitem__, keys), found, strict=True)
            ],
        )
        state.hold(batch, raws, dict(zip(keys, found, strict=True)) if state.send_old else None)
        return None

    def _updates(self, batch: Batch, raws: list[bytes], entries: dict[bytes, Entry | None]) -> Updates:
        updates = Updates(list(range(len(raws))), raws)
        for raw, timestamp in zip(raws, batch.timestamps, strict=True):
            entry = entries[raw]
            old = None
            if entry is None:
                entry = (1, timestamp)
            else:
                old, last = entry
                entry = (old + 1, max(timestamp, last))
            entries[raw] = entry
            updates.olds.append(old)
            updates.news.append(entry[0])
            updates.timestamps.append(entry[1])
        return updates


class _Calling(Folding):
    """A fold with a user's function, which may raise: the handler then decides, and the record has no effect."""

    def _updates(self, batch: Batch, raws: list[bytes], entries: dict[bytes, Entry | None]) -> Updates:
        updates = Updates()
        step, check = self._step(), self._state.check
        rows, keys_out, news, olds = updates.rows, updates.raws, updates.news, updates.olds
        columns = zip(raws, batch.keys, batch.values, batch.timestamps, strict=True)
        for row, (raw, key, value, timestamp) in enumerate(columns):
            entry = entries[raw]
            old = None if entry is None else entry[0]
            try:
                new = step(key, value, old)
                if new is not None:
                    check(new)
            except Exception as error:
                # User code may raise anything, and the handler decides; but copies are made by a serde here too.
                if is_decided(error):
                    raise
                self.context.failed(batch, row, error)
                continue
            latest = timestamp if entry is None or timestamp > entry[1] else entry[1]
            entries[raw] = None if new is None else (new, latest)
            rows.append(row)
            keys_out.append(raw)
            news.append(new)
            olds.append(old)
            updates.timestamps.append(latest)
        return updates

    def _step(self) -> Callable[[Any, Any, Any], Any]:
        """`step(key, value, aggregate) -> aggregate`; None stands for no aggregate."""
        raise NotImplementedError


@implements(Reduce)
class ReduceProcessor(_Calling):
    """Folds values with a reducer; the first one is the first result."""

    def _step(self) -> Callable[[Any, Any, Any], Any]:
        reducer, copy = self.operation.reducer, self._state.copy
        if self._state.immutable:
            return lambda _key, value, aggregate: copy(value) if aggregate is None else reducer(aggregate, value)
        return lambda _key, value, aggregate: copy(value) if aggregate is None else reducer(copy(aggregate), value)


@implements(Aggregate)
class AggregateProcessor(_Calling):
    """Folds values with an aggregator, from an initial value."""

    def _step(self) -> Callable[[Any, Any, Any], Any]:
        initializer, aggregator, copy = self.operation.initializer, self.operation.aggregator, self._state.copy
        if self._state.immutable:
            return lambda key, value, aggregate: aggregator(
                key, value, initializer() if aggregate is None else aggregate
            )
        return lambda key, value, aggregate: aggregator(
            key, value, initializer() if aggregate is None else copy(aggregate)
        )
