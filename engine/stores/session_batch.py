"""The sessions that one micro-batch changes: searched in the rows known of each key, handed to the tables together.

A write-behind view of a session store for the length of one `process` call. The store's clock, its expiry, the rows known
by key and its changelog move with every put, as if it had gone to the store; only the tables wait for `write`. Call it
before anything else reads the store.
"""

from __future__ import annotations

from typing import Any

from engine.records import Tombstone
from engine.stores import layouts
from engine.stores.key_rows import Row
from engine.stores.table import Entry


class SessionBatch:
    """See the module's text. Same answers as the store's `find_raw`, `put_raw` and `remove_raw`, put for put."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._known = store._known  # noqa: SLF001 - a part of the store, in a file of its own
        self._in_memory: bool = store._in_memory  # noqa: SLF001
        self._interval = store.interval_ms
        self._retention = store.retention_ms
        self._logs = store.spec.logging
        self._held: dict[int, dict[bytes, Entry | Tombstone]] = {}

    def find(self, raw_key: bytes, earliest_end: int, latest_start: int) -> list[tuple[int, int, Any]]:
        """(start, end, value) of the sessions that end at `earliest_end` or later and start by `latest_start`."""
        rows = self._known.find(raw_key)
        if rows is None:
            self.write()
            return self._store.find_raw(raw_key, earliest_end, latest_start)  # type: ignore[no-any-return]
        store = self._store
        earliest = max(earliest_end, store.observed - self._retention + 1, 0)
        found = []
        # From the newest on: what a record may join stands at the end.
        for end, tie, _, entry in reversed(rows):
            if end < earliest:
                break
            start = -tie if self._in_memory else tie
            if start <= latest_start:
                found.append((start, end, store.decode(entry)))
        found.reverse()
        return found

    def put(self, raw_key: bytes, start: int, end: int, value: Any, timestamp: int) -> None:
        """Set a session's value; None removes it. A put behind the retention is dropped and counted."""
        store = self._store
        name = layouts.session_key(raw_key, start, end)
        accepted = store.observe(end)
        entry = store.entry(value, timestamp)
        if accepted:
            self._hold(raw_key, name, start, end, entry)
        if self._logs:
            store.log_put(name, entry, accepted=accepted)

    def remove(self, raw_key: bytes, start: int, end: int, timestamp: int) -> None:
        """Remove a session, if it is there. Logged in any case, never counted as late."""
        store = self._store
        name = layouts.session_key(raw_key, start, end)
        live = store.observe_removal(end)
        gone = Tombstone(timestamp)
        if live:
            self._hold(raw_key, name, start, end, gone)
        if self._logs:
            store.log_put(name, gone, accepted=live)

    def write(self) -> None:
        """Hand everything to the tables."""
        if self._held:
            held, self._held = self._held, {}
            self._store.write_rows(held)

    def _hold(self, key: bytes, name: bytes, start: int, end: int, entry: Any) -> None:
        segment = end // self._interval
        held = self._held.get(segment)
        if held is None:
            held = self._held[segment] = {}
        held[name] = entry
        oldest = self._store.observed - self._retention + 1
        row = Row(end, -start if self._in_memory else start, name, entry)
        self._known.put(key, row, present=bool(entry), oldest=oldest)
