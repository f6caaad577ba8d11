"""Tables: what a topic or a stream updates, and what maps one table to another.

As in Kafka Streams (KTableSource, KTableFilter, KTableMapValues). A table without a store passes changes on; one with a store
puts them first, and a versioned store may refuse a put or take it as history only.
"""

from __future__ import annotations

from typing import Any

from engine.operators.context import NodeContext
from engine.operators.keyed_state import Entry, KeyedState, Updates, by_row, open_state
from engine.operators.processor import Output, Processor, apply_each, implements, storable
from engine.records import Batch
from engine.topology.tables import StreamToTable, TableFilter, TableMapValues, TableSource, TableToStream


class TableProcessor(Processor):
    """What tables share: a store, or none."""

    def init(self, context: NodeContext) -> None:
        """Open the store, if there is one."""
        super().init(context)
        operation = self.operation
        self._state: KeyedState | None = None
        if operation.store is not None:
            self._state = open_state(
                context, operation.store, send_old=operation.send_old, versioned=operation.versioned
            )

    def flush(self) -> Output:
        """Send on what the record cache held back."""
        return None if self._state is None else self._state.release()

    def put(self, state: KeyedState, batch: Batch, *, drop_empty: bool = False) -> Batch | None:
        """Put the batch's values and return the changes they made; `drop_empty` leaves out changes from None to None."""
        batch = storable(self.context, batch, state.value_serde)
        if not batch.keys:
            return None
        if state.one_by_one and len(batch) > 1:
            return by_row(batch, lambda row: self._put(state, row, drop_empty=drop_empty))
        return self._put(state, batch, drop_empty=drop_empty)

    @staticmethod
    def _put(state: KeyedState, batch: Batch, *, drop_empty: bool) -> Batch | None:
        raws = batch.serialized_keys(state.key_serde)
        rows = list(range(len(raws)))
        if not state.send_old and not state.one_by_one and not drop_empty:
            # Nobody asks what was there before: spare the reading.
            return state.apply(batch, Updates(rows, raws, batch.values, batch.values, batch.timestamps), {})
        fetched = state.fetch(batch, raws)
        last: dict[bytes, Entry | None] = dict(fetched)
        olds: list[Any] = []
        kept: list[int] = []
        for row, (raw, value, timestamp) in enumerate(zip(raws, batch.values, batch.timestamps, strict=True)):
            entry = last[raw]
            old = None if entry is None else entry[0]
            if drop_empty and value is None and old is None:
                continue
            last[raw] = None if value is None else (value, timestamp)
            kept.append(row)
            olds.append(old)
        if len(kept) < len(rows):
            batch = batch.take(kept)
            raws = [raws[row] for row in kept]
            rows = list(range(len(kept)))
        return state.apply(batch, Updates(rows, raws, batch.values, olds, batch.timestamps), fetched)


@implements(TableSource, StreamToTable)
class TableSourceProcessor(TableProcessor):
    """Reads records as a table's updates; those without a key are dropped and counted."""

    def process(self, batch: Batch) -> Output:
        """Put the batch, if there is a store, and hand the changes on."""
        if None in batch.keys:
            kept = [row for row, key in enumerate(batch.keys) if key is not None]
            self.context.dropped(len(batch) - len(kept), "null key")
            batch = batch.take(kept)
        if not batch.keys:
            return None
        if self._state is not None:
            return self.put(self._state, batch)
        return _changes(batch, batch.values, [None] * len(batch))


@implements(TableFilter)
class TableFilterProcessor(TableProcessor):
    """Turns values that do not fit into tombstones; where old values are known, needless tombstones are left out."""

    def process(self, batch: Batch) -> Output:
        """Filter new values, and old ones where they are sent on."""
        operation: TableFilter = self.operation
        news, skipped = self._filtered(batch, batch.values)
        drop_empty = operation.send_old and not operation.keep_empty
        if self._state is not None:
            changed = _changes(batch, news, [None] * len(batch)).without(skipped)
            return self.put(self._state, changed, drop_empty=drop_empty) if changed.keys else None
        olds = [None] * len(batch)
        if operation.send_old:
            olds, failed = self._filtered(batch, batch.olds or olds)
            skipped = sorted({*skipped, *failed})
        out = _changes(batch, news, olds, latest=batch.latest).without(skipped)
        if drop_empty and out.olds is not None:
            pairs = zip(out.values, out.olds, strict=True)
            out = out.take([row for row, pair in enumerate(pairs) if pair != (None, None)])
        return out

    def _filtered(self, batch: Batch, values: list[Any]) -> tuple[list[Any], list[int]]:
        predicate, negate = self.operation.predicate, self.operation.negate

        def keep(key: Any, value: Any) -> Any:
            return value if value is not None and bool(predicate(key, value)) != negate else None

        return apply_each(keep, lambda row, error: self.context.failed(batch, row, error), batch.keys, values)


@implements(TableMapValues)
class TableMapValuesProcessor(TableProcessor):
    """Maps values; tombstones stay tombstones."""

    def process(self, batch: Batch) -> Output:
        """Map new values, and old ones where they are sent on without a store."""
        news, skipped = self._mapped(batch, batch.values)
        if self._state is not None:
            changed = _changes(batch, news, [None] * len(batch)).without(skipped)
            return self.put(self._state, changed) if changed.keys else None
        olds = [None] * len(batch)
        if self.operation.send_old:
            olds, failed = self._mapped(batch, batch.olds or olds)
            skipped = sorted({*skipped, *failed})
        return _changes(batch, news, olds, latest=batch.latest).without(skipped)

    def _mapped(self, batch: Batch, values: list[Any]) -> tuple[list[Any], list[int]]:
        mapper, with_key = self.operation.mapper, self.operation.with_key

        def mapped(key: Any, value: Any) -> Any:
            if value is None:
                return None
            return mapper(key, value) if with_key else mapper(value)

        return apply_each(mapped, lambda row, error: self.context.failed(batch, row, error), batch.keys, values)


@implements(TableToStream)
class TableToStreamProcessor(Processor):
    """Forgets what updates replaced."""

    def process(self, batch: Batch) -> Output:
        """The same records, as a stream's."""
        return batch.with_values(batch.values)


def _changes(batch: Batch, values: list[Any], olds: list[Any], latest: list[bool] | None = None) -> Batch:
    """The batch's records as changes to `values` from `olds`."""
    out = batch.with_values(values)
    out.olds = olds
    out.latest = latest
    return out
