"""Stream-table and stream-global-table joins: each stream record against the table's row of its key.

As in Kafka Streams (KStreamKTableJoinProcessor): a null value, or a null key of an inner join, is dropped and counted; the
result has the stream record's timestamp; only the stream side triggers. A buffered join stands in `join_buffer`.
"""

from __future__ import annotations

from typing import Any

from engine.operators.context import NodeContext
from engine.operators.join_buffer import JoinBuffer
from engine.operators.keyed_state import concatenated
from engine.operators.processor import Output, Processor, apply_each, checked_by, implements, is_decided
from engine.operators.views import Failed, Row, open_view, rows_at
from engine.records import Batch
from engine.topology.join_operations import StreamTableJoin


@implements(StreamTableJoin)
class StreamTableJoinProcessor(Processor):
    """Joins a batch with one fetch of the table's rows."""

    def init(self, context: NodeContext) -> None:
        """Open the table's reader and the buffer, if there is one."""
        super().init(context)
        operation: StreamTableJoin = self.operation
        self._table = open_view(operation.table, context)
        self._check_key = checked_by(context, operation.table_key_serde)
        self._buffer = None
        if operation.buffer is not None:
            self._buffer = JoinBuffer(
                context.store(operation.buffer), context, operation.grace_ms, operation.key_serde, operation.value_serde
            )

    def process(self, batch: Batch) -> Output:
        """Join what can be joined now."""
        batch, tables = self._joinable(batch)
        if not batch.keys:
            return None
        if self._buffer is not None:
            return self._process_buffered(batch, tables)
        return self._join(batch, tables)

    def _key(self, key: Any, value: Any) -> Any:
        """The table's key of a record, which the table's serde can write."""
        found = self.operation.key_mapper(key, value)
        if found is not None:
            self._check_key(found)
        return found

    def _joinable(self, batch: Batch) -> tuple[Batch, list[Any]]:
        """Leave out what never joins; returns the rest with the table's key of each record."""
        operation: StreamTableJoin = self.operation
        if operation.key_mapper is None:
            tables = batch.keys
        else:
            tables, skipped = apply_each(
                self._key,
                lambda row, error: self.context.failed(batch, row, error),
                batch.keys,
                batch.values,
            )
            if skipped:
                mapped = batch.others(skipped)
                batch, tables = batch.take(mapped), [tables[row] for row in mapped]
        if None not in batch.values and (operation.left or None not in tables):
            return batch, tables
        kept = [
            row
            for row, (value, key) in enumerate(zip(batch.values, tables, strict=True))
            if value is not None and (operation.left or key is not None)
        ]
        self.context.dropped(len(batch.keys) - len(kept), "null key or value")
        return batch.take(kept), [tables[row] for row in kept]

    def _rows(self, batch: Batch, tables: list[Any], failed: Failed) -> list[Row]:
        operation: StreamTableJoin = self.operation
        if self._table.versioned:
            present = [row for row, key in enumerate(tables) if key is not None]
            missed: Failed = {}
            keys, times = [tables[row] for row in present], [batch.timestamps[row] for row in present]
            found = iter(self._table.rows_as_of(keys, times, missed))
            failed.update({present[at]: error for at, error in missed.items()})
            return [None if key is None else next(found) for key in tables]
        serde = operation.table_key_serde
        raw = batch.serialized_keys(serde) if tables is batch.keys else serde.serialize_many(tables)
        if None not in tables:
            return self._table.rows(tables, raw, failed)
        return rows_at([row for row, key in enumerate(tables) if key is not None], self._table, tables, raw, failed)

    def _join(self, batch: Batch, tables: list[Any]) -> Output:
        failed: Failed = {}
        rows = self._rows(batch, tables, failed)
        if failed:
            for place, error in failed.items():
                self.context.failed(batch, place, error)
            kept = [place for place in range(len(rows)) if place not in failed]
            batch, rows = batch.take(kept), [rows[place] for place in kept]
        if not self.operation.left:
            kept = [place for place, row in enumerate(rows) if row is not None]
            if len(kept) < len(rows):
                batch, rows = batch.take(kept), [rows[place] for place in kept]
        rights = [None if row is None else row[0] for row in rows]
        values, skipped = apply_each(
            self.operation.joiner,
            lambda row, error: self.context.failed(batch, row, error),
            batch.keys,
            batch.values,
            rights,
        )
        return batch.with_values(values).without(skipped)

    def _process_buffered(self, batch: Batch, tables: list[Any]) -> Output:
        """One record at a time: each may release records that waited, and their order is what users see."""
        assert self._buffer is not None  # noqa: S101 - narrows for the type checker
        out: list[Batch] = []
        for row in range(len(batch.keys)):
            single = batch.row(row)
            try:
                # Kafka Streams throws on a null key here; there is no row to wait for, so it joins at once.
                waits = tables[row] is not None and self._buffer.put(single)
            except Exception as error:
                if is_decided(error):
                    raise
                self.context.failed(batch, row, error)
                continue
            if not waits:
                out.append(single)
            out.extend(self._buffer.release())
        joined = [self._join(each, each.keys) for each in out]
        return concatenated([each for each in joined if isinstance(each, Batch) and each.keys])
