"""Session windows: `KStreamSessionWindowAggregate` of Kafka Streams, record by record.

A record merges every session of its key within the gap into one, which it joins. The merged sessions are removed and
leave tombstones, unless the result is the record's own single millisecond; the merger is called with the initial value
first, then with the sessions from the oldest on. Null values are aggregated, null keys dropped.
"""

from __future__ import annotations

from typing import Any

from engine.operators.changes import Changes, HeldBack, changes_of
from engine.operators.context import NodeContext
from engine.operators.emit_final import SessionCloseScan
from engine.operators.private_copy import private_copy
from engine.operators.processor import Output, Processor, checked_by, implements, is_decided
from engine.records import Batch, Windowed
from engine.topology.graph import Node
from engine.topology.window_operations import SessionWindowedAggregate
from engine.topology.windows import EmitStrategy


@implements(SessionWindowedAggregate)
class SessionWindowedAggregateProcessor(Processor):
    """Aggregates per key and session into a session store."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.operation: SessionWindowedAggregate
        self.windows = self.operation.windows
        self.observed = -1  # this operator's stream time: it starts anew with the operator, as in Kafka Streams
        self.scan: SessionCloseScan | None = None

    def init(self, context: NodeContext) -> None:
        """Open the store and choose when to emit."""
        super().init(context)
        self.store: Any = context.store(self.operation.store)
        self._check = checked_by(context, self.store.value_serde)
        if self.operation.emit is EmitStrategy.on_window_close:
            self.scan = SessionCloseScan(context, self.operation.store, self.windows)
        self._sends = self.scan is None and bool(context.children)
        held_back = context.caching and self.operation.holds_back and self.scan is None
        self.changes: Changes = changes_of(context, self.operation.store, held_back=held_back)

    def process(self, batch: Batch) -> Output:
        """Aggregate the records in order; returns the updates, or the sessions that closed."""
        sessions = self.store.batch()
        try:
            self._aggregate(batch, sessions)
        finally:
            # What came before an error that stops the task is in the store, as if each record had come alone.
            sessions.write()
        # Kafka Streams gives a session's updates no headers; a closed session has those of the record that closed it.
        return self.changes.take(batch, with_headers=self.scan is not None)

    def _aggregate(self, batch: Batch, sessions: Any) -> None:
        lateness = self.windows.grace_ms + self.windows.gap_ms
        raws = batch.serialized_keys(self.store.key_serde)
        for row, (raw, time) in enumerate(zip(raws, batch.timestamps, strict=True)):
            if raw is None:
                self.context.dropped(1, "null key")
                continue
            self.observed = max(self.observed, time)
            close = self.observed - lateness
            try:
                self._join(sessions, batch, row, raw, close)
            except Exception as error:
                # User code may raise anything, and the handler decides; but a store was searched and written here too.
                if is_decided(error):
                    raise
                self.context.failed(batch, row, error)
            if self.scan is not None and (bounds := self.scan.due(close)):
                sessions.write()
                with self.store.find_sessions_ended(*bounds) as closed:
                    for windowed, aggregate in closed:
                        self.changes.add(batch, row, None, windowed, aggregate, None, windowed.end)

    def flush(self) -> Output:
        """The updates that the record cache held back."""
        return self.changes.release() if isinstance(self.changes, HeldBack) else None

    def _join(self, sessions: Any, batch: Batch, row: int, raw: bytes, close: int) -> None:
        """Merge the sessions that one record connects, add the record, and replace them by the result."""
        operation, gap, serde = self.operation, self.windows.gap_ms, self.store.value_serde
        key, value, time = batch.keys[row], batch.values[row], batch.timestamps[row]
        merged = sessions.find(raw, time - gap, time + gap)
        start = end = time
        aggregate = operation.initializer()
        for from_, to, stored in merged:
            aggregate = operation.merger(key, aggregate, private_copy(stored, serde))
            start, end = min(start, from_), max(end, to)
        if end < close:
            self.context.dropped(1, "expired window")
            return
        aggregate = operation.aggregator(key, value, aggregate)
        if aggregate is not None:
            self._check(aggregate)
        replaced = None
        if merged:
            if start != time or end != time:
                for from_, to, stored in merged:
                    sessions.remove(raw, from_, to, time)
                    self._changed(batch, row, raw, from_, to, None, stored)
            # What a session replaces is told at a commit only: at once, Kafka Streams sends a new session in any case.
            if self.changes.holds_back:
                replaced = next((stored for from_, to, stored in merged if from_ == start and to == end), None)
        sessions.put(raw, start, end, aggregate, time)
        self._changed(batch, row, raw, start, end, aggregate, replaced)

    def _changed(self, batch: Batch, row: int, raw: bytes, start: int, end: int, new: Any, old: Any) -> None:
        """Report an update at the session's end, unless sessions are reported when they close, or nobody listens."""
        if self._sends:
            self.changes.add(batch, row, (raw, start, end), Windowed(batch.keys[row], start, end), new, old, end)
