"""The LRU map: a key-value store in memory that holds a bounded number of entries, as `Stores.lru_map` makes it.

The entry that was used longest ago goes when a put exceeds the bound; reading by key counts as use, iterating does not.
An eviction is logged as a deletion, before the put that caused it (after `put_all`: before all of its puts, as in Kafka
Streams, where a restore can then bring back what was evicted). Every change is logged, with or without caching.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.errors import ConfigError
from engine.records import Tombstone
from engine.stores import layouts
from engine.stores.backend import DEFAULT, Backend, Write
from engine.stores.contract import ChangelogRecord, StoreContext
from engine.stores.key_value import KeyValueStore
from engine.stores.table import Entry
from engine.topology.stores import StoreSpec


class LruStore(KeyValueStore):
    """A `KeyValueStore` of at most `max_entries` entries."""

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        if not spec.max_entries or spec.max_entries < 1:
            raise ConfigError(f"store {spec.name}: an LRU map needs max_entries of 1 or more")
        self.max_entries = spec.max_entries
        # Keys by last use, oldest first (a dict keeps the order in which keys were put into it).
        self._order: dict[bytes, None] = {}
        self._order_at_commit: dict[bytes, None] | None = None
        super().__init__(spec, backend, context)
        if spec.logging:
            self._log = []

    def fetch(self, raw_keys: Iterable[bytes]) -> dict[bytes, Entry | None]:
        """See `KeyValueStore`; each key found counts as used."""
        found = super().fetch(raw_keys)
        for key in found:
            self._touch(key)
        return found

    def fetch_column(self, raw_keys: list[bytes]) -> list[Entry | None]:
        """See `KeyValueStore`."""
        found = self.fetch(raw_keys)
        return [found[key] for key in raw_keys]

    def write_each(self, puts: Sequence[tuple[bytes, Entry | Tombstone | None]]) -> None:
        """See `KeyValueStore`; the bound holds after each put."""
        for key, given in puts:
            entry: Entry | Tombstone = Tombstone(self.context.timestamp) if given is None else given
            stored = self._stored({key: entry})[key] if entry else entry
            self._set(key, stored)
            self._log_put(key, stored)

    def write(self, updates: dict[bytes, Entry | Tombstone | None]) -> None:
        """See `KeyValueStore`."""
        self.write_each(list(updates.items()))

    def write_columns(self, raw_keys: list[bytes], values: list[Any], timestamps: list[int]) -> None:
        """See `KeyValueStore`."""
        self.write_each(list(zip(raw_keys, zip(values, timestamps, strict=True), strict=True)))

    def put_all(self, entries: Iterable[tuple[Any, Any]]) -> None:
        """See `KeyValueStore`; the changelog gets the evictions of all puts first."""
        self._check_open()
        rows = [(self.raw_key(key), self._entry(value)) for key, value in entries]
        for raw, entry in rows:
            self._set(raw, entry)
        for raw, entry in rows:
            self._log_put(raw, entry)

    def approximate_num_entries(self) -> int:
        """See `Store`; exact here."""
        self._check_open()
        return len(self._order)

    def commit(self, position: int | None) -> None:
        """See `Store`."""
        super().commit(position)
        self._order_at_commit = None

    def _find(self, raw: bytes) -> Entry | None:
        self._touch(raw)
        return super()._find(raw)

    def _touch(self, raw: bytes) -> None:
        if raw in self._order:
            self._remember()
            del self._order[raw]
            self._order[raw] = None

    def _set(self, raw: bytes, entry: Entry | Tombstone) -> None:
        self._remember()
        self._table.set(raw, entry)
        evicted = self._reorder(raw, kept=bool(entry))
        if evicted is not None:
            gone = Tombstone(self.context.timestamp)
            self._table.set(evicted, gone)
            self._log_put(evicted, gone)

    def _reorder(self, raw: bytes, *, kept: bool) -> bytes | None:
        """Note a put or a deletion; returns the key that has to go for it."""
        self._order.pop(raw, None)
        if not kept:
            return None
        self._order[raw] = None
        if len(self._order) <= self.max_entries:
            return None
        eldest = next(iter(self._order))
        del self._order[eldest]
        return eldest

    def _remember(self) -> None:
        """Keep the order of the last commit for a rollback; copied once a commit, when first needed."""
        if self._order_at_commit is None:
            self._order_at_commit = self._order.copy()

    def rollback(self) -> None:
        """See `Store`."""
        super().rollback()
        if self._order_at_commit is not None:
            self._order, self._order_at_commit = self._order_at_commit, None

    def _restored(self, records: Sequence[ChangelogRecord], change: Write) -> None:
        rows: dict[bytes, tuple[bytes, int] | None] = {}
        for key, value, timestamp in records:
            rows[key] = None if value is None else (value, timestamp)
            evicted = self._reorder(key, kept=value is not None)
            if evicted is not None:
                rows[evicted] = None
        puts = [(key, *row) for key, row in rows.items() if row is not None]
        columns = self._table.local_columns(*layouts.columns(puts))
        columns.deletes = [key for key, row in rows.items() if row is None]
        change.add(DEFAULT, columns)
