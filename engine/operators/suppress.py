"""`suppress`: hold a table's updates until their time has come. `KTableSuppressProcessor` of Kafka Streams.

Stands behind a table; one update of a key replaces the one that waits, and keeps its place. After each record, whatever
stream time has released goes on; then, if the buffer is over its bounds, the oldest go on early, or the engine stops.
Memory grows with what waits: bound it by the window's grace, or with `BufferConfig.max_records`.
"""

from __future__ import annotations

from typing import Any

from engine.errors import StoreFull
from engine.operators.buffer_value import BufferValue
from engine.operators.context import NodeContext
from engine.operators.processor import Output, Processor, implements
from engine.operators.suppress_buffer import SuppressBuffer
from engine.records import Batch
from engine.topology.graph import Node
from engine.topology.window_operations import Suppress


def suppress_buffer(context: NodeContext, store: str) -> SuppressBuffer:
    """The buffer of a suppression, for its node and for those that look the suppressed table up."""
    return context.shared(f"suppress buffer {store}", lambda: SuppressBuffer(context.store(store), context))  # type: ignore[no-any-return]


@implements(Suppress)
class SuppressProcessor(Processor):
    """Buffers updates by the serialised key."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.operation: Suppress
        self.observed = -1  # this operator's stream time: it starts anew with the operator, as in Kafka Streams

    def init(self, context: NodeContext) -> None:
        """Take over what waits in the store."""
        super().init(context)
        self.buffer = suppress_buffer(context, self.operation.store)
        # Without a cache each record is logged as if a commit followed it.
        self.logs_each = not context.store(self.operation.store).spec.caching

    def process(self, batch: Batch) -> Output:
        """Buffer each update; returns what that releases, in order."""
        operation, buffer = self.operation, self.buffer
        raws = batch.serialized_keys(operation.key_serde)
        news = operation.value_serde.serialize_many(batch.values)
        count = len(batch)
        olds = [None] * count if batch.olds is None else operation.value_serde.serialize_many(batch.olds)
        offsets = batch.offsets or [-1] * count
        topic, partition = batch.topic or "", self.context.partition
        released: list[tuple[bytes, BufferValue]] = []
        for row, raw in enumerate(raws):
            timestamp = batch.timestamps[row]
            self.observed = max(self.observed, timestamp)
            headers = None if batch.headers is None else batch.headers[row]
            update = BufferValue(timestamp, offsets[row], topic, partition, headers, None, olds[row], news[row])
            buffer.put(raw, batch.keys[row].end if operation.until_close else timestamp, update)
            self._release(released)
            if self.logs_each and (row + 1 == count or batch.offsets is None or offsets[row + 1] != offsets[row]):
                buffer.write()
        return self._emit(released)

    def flush(self) -> Output:
        """Log what has changed in the buffer, once per commit."""
        self.buffer.write()
        return None

    def _release(self, released: list[tuple[bytes, BufferValue]]) -> None:
        """Take out what stream time has released, and what is over the bounds."""
        buffer, due = self.buffer, self.observed - self.operation.wait_ms
        while (time := buffer.oldest_time()) is not None and time <= due:
            released.append(buffer.evict())
        while self._over_capacity():
            if not self.operation.emit_early:
                raise StoreFull(
                    f"task {self.context.task_id}, node {self.node.name}: the suppress buffer {self.operation.store} is"
                    f" over its bound with {len(buffer)} records (at most {self.operation.max_records}) and"
                    f" {buffer.bytes} bytes (at most {self.operation.max_bytes}): raise the bound, shorten the wait, or"
                    " let it emit early when full"
                )
            released.append(buffer.evict())

    def _over_capacity(self) -> bool:
        records, size = self.operation.max_records, self.operation.max_bytes
        buffer = self.buffer
        return (records is not None and len(buffer) > records) or (size is not None and buffer.bytes > size)

    def _emit(self, released: list[tuple[bytes, BufferValue]]) -> Output:
        """Released updates as a batch, with their own times and origins; a final result is never a tombstone."""
        if self.operation.until_close:
            released = [row for row in released if row[1].new is not None]
        if not released:
            return None
        raws: list[Any] = [raw for raw, _ in released]
        updates = [update for _, update in released]
        keys, values = self.operation.key_serde, self.operation.value_serde
        headers = [update.headers for update in updates]
        return Batch(
            keys.deserialize_many(raws),
            values.deserialize_many([update.new for update in updates]),
            [update.timestamp for update in updates],
            values.deserialize_many([update.old for update in updates]),
            headers=headers if any(headers) else None,
            raw_keys=raws,
            key_serde=keys,
            topic=updates[-1].topic,
            offsets=[update.offset for update in updates],
        )
