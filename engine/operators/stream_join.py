"""Stream-stream joins: each side keeps its records in a window store of duplicates and joins with the other side's.

The answers are Kafka Streams' (KStreamKStreamJoin), its warts included: pending rows are looked at only when a record
moves the join's time, the scan stops once an open row of each side was seen, and so a row may be emitted late. See
`docs/warts.md`.
"""

from __future__ import annotations

from typing import Any

from engine.operators.context import NodeContext
from engine.operators.pending_joins import PendingJoins
from engine.operators.processor import Output, Processor, checked_by, implements, is_decided
from engine.records import Batch
from engine.topology.join_operations import SelfJoin, StreamJoinSide

_LONG_MAX = 2**63 - 1


def _wrapped(number: int) -> int:
    """Java's long arithmetic: upstream's first scan relies on its overflow."""
    return (number + 2**63) % 2**64 - 2**63


class JoinClock:
    """The time that both sides of one join share, in ms."""

    def __init__(self) -> None:
        self.stream_time = -1
        self.oldest_pending = _LONG_MAX
        self.next_scan_at = 0  # wall clock


class Emitted:
    """Collects joined rows of a batch, in order."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.timestamps: list[int] = []
        self.rows: list[int] = []

    def add(self, row: int, key: Any, value: Any, timestamp: int) -> None:
        """Add a result that the batch's record `row` brought about."""
        self.keys.append(key)
        self.values.append(value)
        self.timestamps.append(timestamp)
        self.rows.append(row)

    def batch(self, source: Batch) -> Batch | None:
        """The results, with the headers and origins of the records that brought them about."""
        if not self.keys:
            return None
        headers, offsets = source.headers, source.offsets
        return Batch(
            self.keys,
            self.values,
            self.timestamps,
            headers=None if headers is None else [headers[row] for row in self.rows],
            topic=source.topic,
            offsets=None if offsets is None else [offsets[row] for row in self.rows],
        )


@implements(StreamJoinSide)
class StreamJoinSideProcessor(Processor):
    """One side of a join; both sides' nodes share the clock and the pending rows."""

    def init(self, context: NodeContext) -> None:
        """Open both window stores, the pending rows and the shared clock."""
        super().init(context)
        operation: StreamJoinSide = self.operation
        self._own = context.store(operation.own)
        self._other = context.store(operation.other)
        for searched in (self._own, self._other):
            searched.expect_searches()
        self._clock: JoinClock = context.shared(operation.clock, JoinClock)
        self._pending = PendingJoins(context.store(operation.pending)) if operation.pending else None
        # A row that waited through a restart must not be passed over until another one joins it.
        if self._pending is not None and (oldest := self._pending.oldest()) is not None:
            self._clock.oldest_pending = min(self._clock.oldest_pending, oldest)

    def process(self, batch: Batch) -> Output:
        """Join each record with what the other side holds, then keep it."""
        operation: StreamJoinSide = self.operation
        emitted = Emitted()
        raw_keys = batch.serialized_keys(operation.key_serde)
        columns = zip(batch.keys, raw_keys, batch.values, batch.timestamps, strict=True)
        for row, (key, raw_key, value, timestamp) in enumerate(columns):
            self.context.timestamp = timestamp
            if key is not None:
                try:
                    self._own.put(key, value, timestamp)
                except Exception as error:
                    if is_decided(error):
                        raise
                    # As in Kafka Streams, where another node keeps it first: it moves no clock either.
                    self.context.failed(batch, row, error)
                    continue
            self._clock.stream_time = max(self._clock.stream_time, timestamp)
            if key is None or value is None:
                self._unjoinable(emitted, batch, row)
                continue
            if self._pending is not None and timestamp == self._clock.stream_time:
                self._emit_closed(emitted, batch, row)
            self._join(emitted, batch, row, raw_key)
        return emitted.batch(batch)

    def _unjoinable(self, emitted: Emitted, batch: Batch, row: int) -> None:
        """A null value never joins; a null key of an outer side comes out at once, without a match (KIP-962)."""
        value = batch.values[row]
        if batch.keys[row] is None and value is not None and self.operation.outer:
            self._emit(emitted, batch, row, value, None, batch.timestamps[row])
        else:
            self.context.dropped(1, "null key or value")

    def _join(self, emitted: Emitted, batch: Batch, row: int, raw_key: bytes) -> None:
        operation: StreamJoinSide = self.operation
        key, value, timestamp = batch.keys[row], batch.values[row], batch.timestamps[row]
        earliest = max(0, timestamp - operation.before_ms)
        latest = max(0, timestamp + operation.after_ms)
        found = False
        with self._other.fetch(key, earliest, latest) as matches:
            for match_timestamp, match in matches:
                found = True
                if self._pending is not None:
                    self._pending.matched(match_timestamp, is_left=not operation.is_left, raw_key=raw_key)
                self._emit(emitted, batch, row, value, match, max(timestamp, match_timestamp))
        if found or not operation.outer or self._pending is None:
            return
        if latest < self._clock.stream_time:
            self._emit(emitted, batch, row, value, None, timestamp)
        else:
            self._clock.oldest_pending = min(self._clock.oldest_pending, timestamp)
            serde = operation.left_serde if operation.is_left else operation.right_serde
            self._pending.add(timestamp, is_left=operation.is_left, raw_key=raw_key, raw_value=serde.serialize(value))

    def _emit_closed(self, emitted: Emitted, batch: Batch, row: int) -> None:
        """Send on pending rows whose windows have closed, oldest first."""
        operation: StreamJoinSide = self.operation
        clock = self._clock
        assert self._pending is not None  # noqa: S101 - narrows for the type checker
        # Rows may be there only if the oldest could have closed; asking the store costs a scan.
        if _wrapped(clock.oldest_pending + operation.after_ms + operation.grace_ms) >= clock.stream_time:
            return
        now = self.context.wall_clock()
        if now < clock.next_scan_at:
            return
        clock.next_scan_at = now + self.context.emit_interval_ms
        clock.oldest_pending = _LONG_MAX
        left_open = right_open = False
        gone = []
        for pending in self._pending.rows():
            clock.oldest_pending = pending.timestamp
            if left_open and right_open:
                break
            span = operation.left_span_ms if pending.is_left else operation.right_span_ms
            if pending.timestamp + span + operation.grace_ms >= clock.stream_time:
                left_open, right_open = left_open or pending.is_left, right_open or not pending.is_left
                continue
            self._emit_pending(emitted, batch, row, pending)
            gone.append(pending)
        for pending in gone:
            self._pending.emitted(pending)

    def _emit_pending(self, emitted: Emitted, batch: Batch, row: int, pending: Any) -> None:
        operation: StreamJoinSide = self.operation
        key = operation.key_serde.deserialize(pending.raw_key)
        serde = operation.left_serde if pending.is_left else operation.right_serde
        for raw in pending.values:
            value = serde.deserialize(raw)
            left, right = (value, None) if pending.is_left else (None, value)
            self._apply(emitted, batch, row, key, left, right, pending.timestamp)

    def _emit(self, emitted: Emitted, batch: Batch, row: int, value: Any, match: Any, timestamp: int) -> None:
        left, right = (value, match) if self.operation.is_left else (match, value)
        self._apply(emitted, batch, row, batch.keys[row], left, right, timestamp)

    def _apply(self, emitted: Emitted, batch: Batch, row: int, key: Any, left: Any, right: Any, timestamp: int) -> None:
        try:
            value = self.operation.joiner(key, left, right)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; the handler decides
            self.context.failed(batch, row, error)
        else:
            emitted.add(row, key, value, timestamp)


@implements(SelfJoin)
class SelfJoinProcessor(Processor):
    """A stream with itself on one store: new with old, old with new, and new with itself where its time puts it."""

    def init(self, context: NodeContext) -> None:
        """Open the one window store."""
        super().init(context)
        self._own = context.store(self.operation.own)
        self._stream_time = -1
        self._check = checked_by(context, self._own.value_serde)

    def process(self, batch: Batch) -> Output:
        """Join each record, then keep it."""
        emitted = Emitted()
        for row, (key, value, timestamp) in enumerate(zip(batch.keys, batch.values, batch.timestamps, strict=True)):
            self.context.timestamp = timestamp
            if key is None or value is None:
                self.context.dropped(1, "null key or value")
            elif self._writable(batch, row):
                self._join(emitted, batch, row)
            else:
                continue
            if key is not None:
                self._own.put(key, value, timestamp)
        return emitted.batch(batch)

    def _writable(self, batch: Batch, row: int) -> bool:
        """Whether the store can keep the row, which is kept only once it has been joined."""
        try:
            self._check(batch.values[row])
        except Exception as error:
            if is_decided(error):
                raise
            self.context.failed(batch, row, error)
            return False
        return True

    def _join(self, emitted: Emitted, batch: Batch, row: int) -> None:
        operation: SelfJoin = self.operation
        key, value, timestamp = batch.keys[row], batch.values[row], batch.timestamps[row]
        self._stream_time = max(self._stream_time, timestamp)
        for at, other in self._matches(key, timestamp, operation.before_ms, operation.after_ms):
            self._apply(emitted, batch, row, value, other, max(at, timestamp))
        # A record that has expired meets the others, but no longer itself.
        with_itself = timestamp <= self._stream_time - operation.retention_ms + 1
        for at, other in self._matches(key, timestamp, operation.after_ms, operation.before_ms):
            if timestamp < at and not with_itself:
                with_itself = True
                self._apply(emitted, batch, row, value, value, timestamp)
            self._apply(emitted, batch, row, other, value, max(at, timestamp))
        if not with_itself:
            self._apply(emitted, batch, row, value, value, timestamp)

    def _matches(self, key: Any, timestamp: int, before_ms: int, after_ms: int) -> list[tuple[int, Any]]:
        with self._own.fetch(key, max(0, timestamp - before_ms), max(0, timestamp + after_ms)) as rows:
            return list(rows)

    def _apply(self, emitted: Emitted, batch: Batch, row: int, left: Any, right: Any, timestamp: int) -> None:
        try:
            value = self.operation.joiner(batch.keys[row], left, right)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; the handler decides
            self.context.failed(batch, row, error)
        else:
            emitted.add(row, batch.keys[row], value, timestamp)
