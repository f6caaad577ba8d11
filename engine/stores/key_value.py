"""Key-value stores, plain and timestamped, in memory and on RocksDB. Kafka Streams' names in Python's spelling.

Operators use `fetch` and `write`, once a batch; processors use the typed methods, once a record. Both see each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.errors import NullKeyError
from engine.records import Tombstone, ValueAndTimestamp
from engine.serdes import Serde
from engine.stores import layouts
from engine.stores.backend import DEFAULT, Backend, Columns, Range, Write
from engine.stores.committed import CommittedKeyValue
from engine.stores.contract import ChangelogRecord, StoreContext
from engine.stores.iterators import StoreIterator
from engine.stores.lifecycle import LayeredStore
from engine.stores.table import Entry, Table
from engine.topology.stores import StoreSpec


class KeyValueStore(LayeredStore):
    """Values by key, ordered by the key's bytes (unsigned).

    A timestamped store's values are `ValueAndTimestamp`; a bare value is taken to have the current record's timestamp.
    Writing None deletes. Every method that needs a key raises NullKeyError for None.
    """

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        self._table = Table(backend, DEFAULT, spec.value_serde, timestamped=spec.timestamped)
        # Every put in order, where each must be logged; with caching the table's last values do.
        self._log: list[tuple[bytes, Entry | Tombstone]] | None = [] if spec.logging and not spec.caching else None
        super().__init__(spec, backend, context)

    # By the batch, on raw keys --------------------------------------------------------------------------------------

    def fetch(self, raw_keys: Iterable[bytes]) -> dict[bytes, Entry | None]:
        """(value, timestamp) of each key, None where there is none. A plain store's timestamps mean nothing.

        Values of a mutable serde (json) are the caller's own copies.
        """
        found = self._table.find_many(raw_keys)
        if self._table.keeps_objects:
            return found
        present = {key: entry for key, entry in found.items() if entry is not None}
        values = self._table.serde.deserialize_many([entry[0] for entry in present.values()])
        decoded = zip(present, values, present.values(), strict=True)
        found.update({key: (value, entry[1]) for key, value, entry in decoded})
        return found

    def fetch_column(self, raw_keys: list[bytes]) -> list[Entry | None]:
        """`fetch` as a column beside `raw_keys`: the fastest way to read a batch."""
        found = self._table.find_column(raw_keys)
        if self._table.keeps_objects:
            return found
        values = self._table.serde.deserialize_many([None if entry is None else entry[0] for entry in found])
        return [entry and (value, entry[1]) for entry, value in zip(found, values, strict=True)]

    def write_columns(self, raw_keys: list[bytes], values: list[Any], timestamps: list[int]) -> None:
        """`write` of columns: the fastest way to write a batch. The keys must be distinct and no value None.

        The lists belong to the store from here on: don't change them.
        """
        if not self._table.keeps_objects:
            values = self._table.serde.serialize_many(values)
        self._table.set_columns(raw_keys, values, timestamps)
        if self._log is not None:
            self._log.extend(zip(raw_keys, zip(values, timestamps, strict=True), strict=True))

    def write(self, updates: dict[bytes, Entry | Tombstone | None]) -> None:
        """Put (value, timestamp) under each key, in order; `Tombstone(timestamp)` deletes, None deletes "now".

        The timestamps are those of the changelog records, in a plain store too. Values must not be None, and what
        the serde refuses is found at the next drain. Without caching each update is logged; to log several puts of a
        key in one batch use `write_each`.
        """
        if not all(updates.values()):
            self.write_each(list(updates.items()))
            return
        entries = self._stored(updates)
        self._table.set_many(entries)
        if self._log is not None:
            self._log.extend(entries.items())

    def write_each(self, puts: Sequence[tuple[bytes, Entry | Tombstone | None]]) -> None:
        """`write` of a sequence in which keys may repeat: the last counts, and without caching each is logged."""
        now = self.context.timestamp
        rows = [(key, Tombstone(now) if entry is None else entry) for key, entry in puts]
        if not self._table.keeps_objects:
            rows = [(key, self._stored({key: entry})[key] if entry else entry) for key, entry in rows]
        if all(entry for _, entry in rows):
            self._table.set_many(dict(rows))  # type: ignore[arg-type]
        else:
            for key, entry in rows:
                self._table.set(key, entry)
        if self._log is not None:
            self._log.extend(rows)

    def _stored(self, updates: dict[bytes, Any]) -> dict[bytes, Entry]:
        """Entries as the table keeps them: objects, or bytes that no caller can change any more."""
        if self._table.keeps_objects:
            return updates
        values = self._table.serde.serialize_many([entry[0] for entry in updates.values()])
        return {key: (raw, entry[1]) for (key, entry), raw in zip(updates.items(), values, strict=True)}

    # By the record, typed -------------------------------------------------------------------------------------------

    def get(self, key: Any) -> Any:
        """The value of a key, or None."""
        self._check_open()
        return self._typed(self._find(self.raw_key(key)))

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a key; None deletes."""
        self._check_open()
        self._put(self.raw_key(key), value)

    def put_if_absent(self, key: Any, value: Any) -> Any:
        """Put if there is no value; returns the value found, or None if this one was put."""
        self._check_open()
        raw = self.raw_key(key)
        found = self._find(raw)
        if found is None:
            self._put(raw, value)
        return self._typed(found)

    def put_all(self, entries: Iterable[tuple[Any, Any]]) -> None:
        """Put pairs of key and value in order. Nothing is put if a key is None."""
        self._check_open()
        for raw, value in [(self.raw_key(key), value) for key, value in entries]:
            self._put(raw, value)

    def delete(self, key: Any) -> Any:
        """Remove a key; returns the value that it had, or None."""
        self._check_open()
        raw = self.raw_key(key)
        found = self._find(raw)
        self._put(raw, None)
        return self._typed(found)

    def range(self, key_from: Any = None, key_to: Any = None) -> StoreIterator[tuple[Any, Any]]:
        """(key, value) from `key_from` to `key_to`, both inclusive, None open; empty if the bounds are reversed."""
        return self._between(key_from, key_to, reverse=False)

    def reverse_range(self, key_from: Any = None, key_to: Any = None) -> StoreIterator[tuple[Any, Any]]:
        """`range`, from its last entry to its first."""
        return self._between(key_from, key_to, reverse=True)

    def all(self) -> StoreIterator[tuple[Any, Any]]:
        """Every (key, value) in order."""
        return self._between(None, None, reverse=False)

    def reverse_all(self) -> StoreIterator[tuple[Any, Any]]:
        """Every (key, value) in reverse order."""
        return self._between(None, None, reverse=True)

    def prefix_scan(self, prefix: Any, prefix_serde: Serde | None = None) -> StoreIterator[tuple[Any, Any]]:
        """(key, value) of the keys whose bytes start with those of `prefix` (serialised by the key serde if none)."""
        self._check_open()
        if prefix is None:
            raise NullKeyError(f"store {self.name}: the prefix is None")
        raw = (prefix_serde or self.key_serde).serialize(prefix)
        return self._scan(Range(raw, layouts.after_prefix(raw)))

    def committed(self) -> CommittedKeyValue:
        """A view of committed state for any thread."""
        return CommittedKeyValue(self._backend, timestamped=self.spec.timestamped)

    # Within ---------------------------------------------------------------------------------------------------------

    def _find(self, raw: bytes) -> Entry | None:
        return self._table.find(raw)

    def _put(self, raw: bytes, value: Any) -> None:
        entry = self._entry(value)
        self._set(raw, entry)
        self._log_put(raw, entry)

    def _set(self, raw: bytes, entry: Entry | Tombstone) -> None:
        self._table.set(raw, entry)

    def _log_put(self, raw: bytes, entry: Entry | Tombstone) -> None:
        if self._log is not None:
            self._log.append((raw, entry))

    def _entry(self, value: Any) -> Entry | Tombstone:
        """What a typed put writes. The value is serialised here even if its object is what's kept.

        A wrong type is then the fault of this record, not of the next commit.
        """
        timestamp = self.context.timestamp
        if self.spec.timestamped and isinstance(value, ValueAndTimestamp):
            value, timestamp = value
        if value is None:
            return Tombstone(self.context.timestamp)
        data = self._table.serde.serialize(value)
        return (value if self._table.keeps_objects else data, timestamp)

    def _typed(self, entry: Entry | None) -> Any:
        if entry is None:
            return None
        value = self._table.decode(entry)
        return ValueAndTimestamp(value, entry[1]) if self.spec.timestamped else value

    def _between(self, key_from: Any, key_to: Any, *, reverse: bool) -> StoreIterator[tuple[Any, Any]]:
        self._check_open()
        lower, upper = self.raw_bound(key_from), self.raw_bound(key_to)
        if lower is not None and upper is not None and lower > upper:
            return self._iterator(iter(()))
        return self._scan(Range(lower, None if upper is None else upper + b"\x00", reverse))

    def _scan(self, bounds: Range) -> StoreIterator[tuple[Any, Any]]:
        return self._iterator(self._typed_rows(self._table.scan(bounds)))

    def _typed_rows(self, rows: Iterator[tuple[bytes, Entry]]) -> Iterator[tuple[Any, Any]]:
        deserialize = self.key_serde.deserialize
        for key, entry in rows:
            yield deserialize(key), self._typed(entry)

    def _tables(self) -> Iterable[Table]:
        return (self._table,)

    def _drain(self) -> list[ChangelogRecord]:
        if self._log is None:
            drained = self._table.drain()
            return list(zip(*drained[:3], strict=True)) if self.spec.logging else []
        log, self._log = self._log, []
        values, timestamps, _ = self._table.encode([entry for _, entry in log])
        return list(zip([key for key, _ in log], values, timestamps, strict=True))

    def rollback(self) -> None:
        """See `Store`."""
        if self._log is not None:
            self._log = []
        super().rollback()

    def _restored(self, records: Sequence[ChangelogRecord], change: Write) -> None:
        keys, values, timestamps = layouts.columns(records)
        if None not in values:
            change.add(DEFAULT, self._table.local_columns(keys, values, timestamps))
            return
        last = {key: (value, timestamp) for key, value, timestamp in records}
        puts = [(key, value, timestamp) for key, (value, timestamp) in last.items() if value is not None]
        change.add(DEFAULT, self._table.local_columns(*layouts.columns(puts)))
        change.add(DEFAULT, Columns(deletes=[key for key, (value, _) in last.items() if value is None]))
