"""Table-table joins by key: an update of either side is joined with what the other side has now.

The rules are Kafka Streams' (KTableKTableInnerJoin, …LeftJoin, …RightJoin, …OuterJoin): the result's timestamp is the later of
the rows joined; a tombstone is told again as long as the other side has a row; a versioned side's out-of-order updates are
dropped and counted.
"""

from __future__ import annotations

from typing import Any

from engine.operators.context import NodeContext
from engine.operators.processor import Output, Processor, implements
from engine.operators.tables import TableProcessor
from engine.operators.views import Failed, open_view
from engine.records import Batch
from engine.topology.join_operations import JoinedTable, TableJoinSide


@implements(TableJoinSide)
class TableJoinSideProcessor(Processor):
    """One side of a join, a batch of updates with one fetch of the other side's rows."""

    def init(self, context: NodeContext) -> None:
        """Open the other side's view."""
        super().init(context)
        self._other = open_view(self.operation.other, context)

    def process(self, batch: Batch) -> Output:
        """Join each update with the other side's row."""
        operation: TableJoinSide = self.operation
        batch = self._joinable(batch)
        if not batch.keys:
            return None
        failed: Failed = {}
        rows = self._other.rows(batch.keys, batch.serialized_keys(operation.other_key_serde), failed)
        olds_in = batch.olds if batch.olds is not None else [None] * len(batch.keys)
        kept: list[int] = []
        values: list[Any] = []
        olds: list[Any] = []
        timestamps: list[int] = []
        for place, (new, old, row) in enumerate(zip(batch.values, olds_in, rows, strict=True)):
            if place in failed:
                self.context.failed(batch, place, failed[place])
                continue
            if row is None and (not operation.this_outer or (new is None and old is None)):
                continue
            try:
                value = self._join(batch.keys[place], new, row)
                before = self._join(batch.keys[place], old, row) if operation.send_old else None
            except Exception as error:  # noqa: BLE001 - user code may raise anything; the handler decides
                self.context.failed(batch, place, error)
                continue
            kept.append(place)
            values.append(value)
            olds.append(before)
            timestamp = batch.timestamps[place]
            timestamps.append(timestamp if row is None else max(timestamp, row[1]))
        if not kept:
            return None
        out = batch.take(kept)
        out.values, out.olds, out.timestamps = values, olds, timestamps
        return out

    def _join(self, key: Any, this: Any, row: tuple[Any, int] | None) -> Any:
        """The joined value, None where this kind of join has none."""
        operation: TableJoinSide = self.operation
        if this is None and (row is None or not operation.other_outer):
            return None
        return operation.joiner(key, this, None if row is None else row[0])

    def _joinable(self, batch: Batch) -> Batch:
        kept = [place for place, key in enumerate(batch.keys) if key is not None]
        if self.operation.versioned and batch.latest is not None:
            kept = [place for place in kept if batch.latest[place]]
        if len(kept) == len(batch.keys):
            return batch
        self.context.dropped(len(batch.keys) - len(kept), "null key or out of order")
        return batch.take(kept)


@implements(JoinedTable)
class JoinedTableProcessor(TableProcessor):
    """Where both sides meet: the result's store, if it has one."""

    def process(self, batch: Batch) -> Output:
        """Keep the results and hand them on."""
        return batch if self._state is None else self.put(self._state, batch)
