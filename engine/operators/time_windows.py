"""Tumbling and hopping windows: `KStreamWindowAggregate` of Kafka Streams, a batch at a time.

Stands behind a source or a repartition topic; owned by the task, used by its loop thread. Null values are aggregated,
null keys dropped. A window takes records until stream time, as this operator has seen it, reaches its end plus grace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any, cast

from engine.operators.aggregates import latest_times
from engine.operators.changes import Changes, HeldBack, Unheard, changes_of
from engine.operators.context import NodeContext
from engine.operators.emit_final import TimeCloseScan
from engine.operators.private_copy import private_copy
from engine.operators.processor import Output, Processor, checked_by, implements, is_decided
from engine.operators.window_cells import Cell, WindowCells, fetch_by_start
from engine.records import Batch, Windowed
from engine.topology.graph import Node
from engine.topology.window_operations import TimeWindowedAggregate
from engine.topology.windows import EmitStrategy


@implements(TimeWindowedAggregate)
class TimeWindowedAggregateProcessor(Processor):
    """Aggregates per key and window into a timestamped window store."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.operation: TimeWindowedAggregate
        self.windows = self.operation.windows
        self.observed = -1  # this operator's stream time: it starts anew with the operator, as in Kafka Streams
        self.scan: TimeCloseScan | None = None

    def init(self, context: NodeContext) -> None:
        """Open the store and choose when to emit."""
        super().init(context)
        self.store: Any = context.store(self.operation.store)
        self._check = checked_by(context, self.store.value_serde)
        self.cached = context.caching and self.operation.holds_back
        if self.operation.emit is EmitStrategy.on_window_close:
            self.scan = TimeCloseScan(context, self.operation.store, self.windows)
        self.changes: Changes = changes_of(context, self.operation.store, held_back=self.cached and self.scan is None)
        # Updates go on unless windows are reported when they close, or nobody listens.
        self._sends = self.scan is None and bool(context.children)

    def process(self, batch: Batch) -> Output:
        """Aggregate the records in order; returns the updates, or the windows that closed."""
        raws = batch.serialized_keys(self.store.key_serde)
        changes = self.changes
        if not (self.operation.counts and isinstance(changes, HeldBack) and self._count(changes, batch, raws)):
            self._aggregate(batch, raws)
        return self.changes.take(batch)

    def flush(self) -> Output:
        """The updates that the record cache held back."""
        return self.changes.release() if isinstance(self.changes, HeldBack) else None

    def _count(self, changes: HeldBack, batch: Batch, raws: list[Any]) -> bool:
        """Count a whole batch with a few passes in C; False if a record needs to be looked at by itself."""
        windows, times = self.windows, batch.timestamps
        size = windows.size_ms
        if not windows.tumbling or None in raws or min(times) < 0:
            return False
        observed = max(self.observed, *times)
        rows = self._on_time(times, observed)
        if rows is not None:
            batch, raws = batch.take(rows), [raws[row] for row in rows]
        kept = batch.timestamps
        oldest = min(kept, default=observed)
        if oldest - oldest % size < self.store.oldest_visible():
            # A new operator over an old store: what is put there, nobody may see again.
            return False
        self.observed = observed
        if len(kept) < len(times):
            self.context.dropped(len(times) - len(kept), "expired window")
        times = kept
        cells: list[Cell] = list(zip(raws, [time - time % size for time in times], strict=True))
        counts = Counter(cells)
        latest: dict[Any, int] = latest_times(cast("list[Any]", cells), times)
        # In the order of each window's last record, which is the order in which the commit emits them.
        touched = list(dict.fromkeys(reversed(cells)))
        touched.reverse()
        keys, starts = [raw for raw, _ in touched], [start for _, start in touched]
        olds: list[Any] = []
        values: list[int] = []
        stamps: list[int] = []
        for cell, stored in zip(touched, fetch_by_start(self.store, touched), strict=True):
            if stored is None:
                olds.append(None)
                values.append(counts[cell])
                stamps.append(latest[cell])
            else:
                before, time = stored
                olds.append(before)
                values.append(before + counts[cell])
                stamps.append(max(time, latest[cell]))
        self.store.write_columns(keys, starts, values, stamps)
        if isinstance(changes, Unheard):
            return True
        typed = dict(zip(raws, batch.keys, strict=True))
        bounds = zip(map(typed.__getitem__, keys), starts, [start + size for start in starts], strict=True)
        headers = {} if batch.headers is None else dict(zip(cells, batch.headers, strict=True))
        changes.add_many(batch, touched, list(map(Windowed._make, bounds)), values, olds, stamps, headers)
        return True

    def _on_time(self, times: list[int], observed: int) -> list[int] | None:
        """The rows that are on time when they come, None for all; `observed` is stream time after the last."""
        size, grace = self.windows.size_ms, self.windows.grace_ms
        oldest = min(times)
        if oldest - oldest % size + size > observed - grace:
            # Even the oldest is welcome after the newest.
            return None
        seen = islice(accumulate(times, max, initial=self.observed), 1, None)
        return [
            row
            for row, (time, newest) in enumerate(zip(times, seen, strict=True))
            if time - time % size + size > newest - grace
        ]

    def _aggregate(self, batch: Batch, raws: list[Any]) -> None:
        """Aggregate record by record; reads and writes of the store still go together."""
        cells = WindowCells(self.store)
        cells.load(self._open_cells(raws, batch.timestamps))
        for row, (raw, time) in enumerate(zip(raws, batch.timestamps, strict=True)):
            if raw is None:
                self.context.dropped(1, "null key")
                continue
            self.observed = max(self.observed, time)
            close = self.observed - self.windows.grace_ms
            try:
                self._update(cells, batch, row, raw, close)
            except Exception as error:
                # User code may raise anything, and the handler decides; but a store was searched and written here too.
                if is_decided(error):
                    raise
                self.context.failed(batch, row, error)
            if self.scan is not None and (bounds := self.scan.due(close)):
                cells.write()
                with self.store.fetch_all(*bounds) as closed:
                    for windowed, (aggregate, newest) in closed:
                        self.changes.add(batch, row, None, windowed, aggregate, None, newest)
        cells.write()

    def _open_cells(self, raws: list[Any], times: list[int]) -> Iterator[Cell]:
        """The cells that the records can change."""
        close = self.observed - self.windows.grace_ms
        size = self.windows.size_ms
        for raw, time in zip(raws, times, strict=True):
            if raw is not None:
                for start in self.windows.starts_for(time):
                    if start + size > close:
                        yield raw, start

    def _update(self, cells: WindowCells, batch: Batch, row: int, raw: bytes, close: int) -> None:
        """Put one record into each of its windows that is still open."""
        operation, size = self.operation, self.windows.size_ms
        key, value, time = batch.keys[row], batch.values[row], batch.timestamps[row]
        for start in self.windows.starts_for(time):
            if start + size <= close:
                self.context.dropped(1, "expired window")
                continue
            cell = (raw, start)
            stored = cells.get(cell)
            if stored is None:
                before, newest = operation.initializer(), time
            else:
                before, newest = stored[0], max(time, stored[1])
            after = operation.aggregator(key, value, private_copy(before, self.store.value_serde))
            if after is None:
                cells.delete(cell, time)
            else:
                self._check(after)
                cells.put(cell, after, newest)
            if self._sends:
                # At once, the first update replaces what the initializer gave, as in Kafka Streams; at a commit, nothing.
                old = None if stored is None and self.changes.holds_back else before
                self.changes.add(batch, row, cell, Windowed(key, start, start + size), after, old, newest)
