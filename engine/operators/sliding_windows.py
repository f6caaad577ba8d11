"""Sliding windows: `KStreamSlidingWindowAggregate` of Kafka Streams (KIP-450), record by record.

Each record at time t ends the *left* window [t - d, t] and gives the records after it the *right* window
[t + 1, t + 1 + d]. A window is created only when what it holds differs from its neighbours', so a record must update the
windows that exist around it and create up to three: the right one of the record before it, its own left and its own
right. Records before d have no room for a left window: one combined window [0, d] takes them all.

Null keys and values are dropped. Two warts of Kafka Streams are kept: a left window can be emitted twice, and a late
record misses windows that were created after its own time.
"""

from __future__ import annotations

from typing import Any

from engine.operators.changes import Changes, HeldBack, changes_of
from engine.operators.context import NodeContext
from engine.operators.emit_final import SlidingCloseScan
from engine.operators.private_copy import private_copy
from engine.operators.processor import Output, Processor, checked_by, implements, is_decided
from engine.records import Batch, Tombstone, Windowed
from engine.topology.graph import Node
from engine.topology.window_operations import SlidingWindowedAggregate
from engine.topology.windows import EmitStrategy

Entry = tuple[Any, int]  # aggregate, newest timestamp within


@implements(SlidingWindowedAggregate)
class SlidingWindowedAggregateProcessor(Processor):
    """Aggregates per key and sliding window into a timestamped window store."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.operation: SlidingWindowedAggregate
        self.windows = self.operation.windows
        self.observed = -1  # this operator's stream time: it starts anew with the operator, as in Kafka Streams
        self.scan: SlidingCloseScan | None = None
        self.sends = False

    def init(self, context: NodeContext) -> None:
        """Open the store and choose when to emit."""
        super().init(context)
        self.store: Any = context.store(self.operation.store)
        self.check = checked_by(context, self.store.value_serde)
        if self.operation.emit is EmitStrategy.on_window_close:
            self.scan = SlidingCloseScan(context, self.operation.store, self.windows)
        # Updates go on unless windows are reported when they close, or nobody listens.
        self.sends = self.scan is None and bool(context.children)
        held_back = context.caching and self.operation.holds_back and self.scan is None
        self.changes: Changes = changes_of(context, self.operation.store, held_back=held_back)

    def process(self, batch: Batch) -> Output:
        """Aggregate the records in order; returns the updates, or the windows that closed."""
        difference = self.windows.difference_ms
        raws = batch.serialized_keys(self.store.key_serde)
        for row, (raw, value, time) in enumerate(zip(raws, batch.values, batch.timestamps, strict=True)):
            if raw is None or value is None:
                self.context.dropped(1, "null key or value")
                continue
            self.observed = max(self.observed, time)
            close = self.observed - self.windows.grace_ms
            if time + difference < close:
                self.context.dropped(1, "expired window")
                continue
            record = _Record(self, batch, row, raw, close)
            early = time < difference
            try:
                if early:
                    record.process_early()
                else:
                    record.process()
            except Exception as error:
                # User code may raise anything, and the handler decides; but a store was searched and written here too.
                if is_decided(error):
                    raise
                self.context.failed(batch, row, error)
            # An early record never closes anything, as in Kafka Streams.
            if self.scan is not None and not early and (bounds := self.scan.due(close)):
                with self.store.fetch_all(*bounds) as closed:
                    for windowed, (aggregate, newest) in closed:
                        self.changes.add(batch, row, None, windowed, aggregate, None, newest)
        return self.changes.take(batch)

    def flush(self) -> Output:
        """The updates that the record cache held back."""
        return self.changes.release() if isinstance(self.changes, HeldBack) else None


class _Record:
    """One record on its way through the windows of its key."""

    def __init__(
        self, owner: SlidingWindowedAggregateProcessor, batch: Batch, row: int, raw: bytes, close: int
    ) -> None:
        self.owner = owner
        self.batch = batch
        self.row = row
        self.key = batch.keys[row]
        self.raw = raw
        self.value = batch.values[row]
        self.time = batch.timestamps[row]
        self.close = close
        self.difference = owner.windows.difference_ms

    def process(self) -> None:
        """A record with room for its left window: walk the key's windows from the newest that it can touch."""
        time, difference = self.time, self.difference
        starts: set[int] = set()
        left = right = None  # what the record's left and right windows begin with
        left_exists = right_exists = False
        previous: int | None = None  # timestamp of the record before this one
        rows = self._rows(max(0, time - 2 * difference))
        for start, stored in reversed(rows):
            starts.add(start)
            end = start + difference
            if start == time + 1:
                right_exists = True
            elif end > time:
                if right is None:
                    right = stored
                self._update(start, stored, exists=True)
            elif end == time:
                left_exists = True
                self._update(start, stored, exists=True)
                if stored[1] >= time:
                    # The window already ended with a record of this very time: everything around it exists.
                    return
                previous = stored[1]
            else:
                left, previous = stored, stored[1]
                break
        if previous is not None and previous + 1 not in starts and previous + 1 + difference >= time:
            self._create(previous + 1)
        if not left_exists:
            start = time - difference
            if left is not None and previous is not None and start <= previous:
                self._update(start, (left[0], time), exists=False)
            else:
                self._create(start)
        self._create_right(right, exists=right_exists)

    def process_early(self) -> None:
        """A record before the first full window: the combined window takes the place of its left one."""
        time = self.time
        starts: set[int] = set()
        combined = right = None
        right_exists = False
        previous: int | None = None
        for start, stored in self._rows(0):
            starts.add(start)
            if start == 0:
                combined = stored
                if stored[1] < time:
                    previous = stored[1]
            elif start <= time:
                right = stored
                self._update(start, stored, exists=True)
            else:
                right_exists = True
        if right is None and combined is not None and combined[1] > time:
            right = combined
        self._create_right(right, exists=right_exists)
        if previous is not None and previous + 1 not in starts:
            self._create(previous + 1)
        if combined is None:
            self._create(0)
        else:
            self._update(0, combined, exists=True)

    def _rows(self, earliest: int) -> list[tuple[int, Entry]]:
        """The key's visible windows that start within [earliest, time + 1], ascending."""
        return self.owner.store.fetch_raw(self.raw, earliest, self.time + 1)  # type: ignore[no-any-return]

    def _create(self, start: int) -> None:
        """A window of this record alone."""
        first = self.owner.operation.initializer()
        self._update(start, (first, self.time), exists=False)

    def _create_right(self, right: Entry | None, *, exists: bool) -> None:
        """The window after this record, if there are records after it that no window of its own holds yet."""
        if exists or right is None or right[1] <= self.time:
            return
        self._put(self.time + 1, right[0], None, right[1])

    def _update(self, start: int, stored: Entry, *, exists: bool) -> None:
        """Add this record to a window, unless it has closed."""
        if start + self.difference < self.close:
            self.owner.context.dropped(1, "expired window")
            return
        operation, before = self.owner.operation, stored[0]
        after = operation.aggregator(self.key, self.value, private_copy(before, self.owner.store.value_serde))
        if after is not None:
            self.owner.check(after)
        newest = self.time if before is None else max(self.time, stored[1])
        # At once, the first update replaces what the initializer gave, as in Kafka Streams; at a commit, nothing.
        old = before if exists or not self.owner.changes.holds_back else None
        self._put(start, after, old, newest)

    def _put(self, start: int, after: Any, old: Any, newest: int) -> None:
        owner = self.owner
        owner.store.put_raw(self.raw, start, Tombstone(self.time) if after is None else (after, newest))
        if owner.sends:
            windowed = Windowed(self.key, start, start + self.difference)
            owner.changes.add(self.batch, self.row, (self.raw, start), windowed, after, old, newest)
