"""Session stores: values by key, session start and session end, in memory and on RocksDB, as Kafka Streams answers.

A session's time is its end: it decides about segment and expiry. Order of iteration: RocksDB (segment, key, end, start),
memory (end, key, start descending).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.errors import InvalidBounds, UnsupportedOperation
from engine.records import Tombstone, Windowed
from engine.stores import layouts
from engine.stores.backend import Backend, Range
from engine.stores.committed import CommittedSessions
from engine.stores.contract import StoreContext
from engine.stores.iterators import StoreIterator
from engine.stores.key_rows import Row
from engine.stores.layouts import LONG, LONG_MAX
from engine.stores.segments import SegmentedStore
from engine.stores.session_batch import SessionBatch
from engine.stores.table import Entry
from engine.topology.stores import StoreSpec

Sessions = StoreIterator[tuple[Windowed, Any]]


class SessionStore(SegmentedStore):
    """See the module's text. A session is (start, end), both inclusive, in ms; iterators give (Windowed, value)."""

    _suffix = layouts.SESSION_SUFFIX

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        super().__init__(spec, backend, context)
        self._keeps_objects = self.value_serde.immutable

    # On raw keys, for operators -------------------------------------------------------------------------------------

    def find_raw(
        self, raw_key: bytes, earliest_end: int, latest_start: int, *, reverse: bool = False
    ) -> list[tuple[int, int, Any]]:
        """(start, end, value) of a key's sessions that end at `earliest_end` or later and start by `latest_start`."""
        rows = self._of_key(raw_key, earliest_end, latest_start)
        decode = self.decode
        found = [(*layouts.split_session_key(row.name)[1:], decode(row.entry)) for row in rows]
        if reverse:
            found.reverse()
        return found

    def find_raw_many(self, raw_keys: Iterable[bytes]) -> dict[bytes, list[tuple[int, int, Any]]]:
        """Every visible session of each key, by (end, start)."""
        return {key: self.find_raw(key, 0, LONG_MAX) for key in raw_keys}

    def batch(self) -> SessionBatch:
        """A write-behind view for the length of a micro-batch; see `SessionBatch`."""
        return SessionBatch(self)

    def put_raw(self, raw_key: bytes, start: int, end: int, value: Any) -> None:
        """Set a session's value; None removes it. A put behind the retention is dropped and counted.

        Raises InvalidBounds for an end before its start.
        """
        if end < start:
            raise InvalidBounds(f"store {self.name}: a session from {start} to {end} ends before it starts")
        row = layouts.session_key(raw_key, start, end)
        accepted = self.observe(end)
        entry = self.entry(value, self.context.timestamp)
        if accepted:
            self._put_row(raw_key, row, end, self._tie(start), entry)
        self.log_put(row, entry, accepted=accepted)

    def remove_raw(self, raw_key: bytes, start: int, end: int) -> None:
        """Remove a session, if it is there. Logged in any case, never counted as late."""
        row = layouts.session_key(raw_key, start, end)
        gone = Tombstone(self.context.timestamp)
        live = self.observe_removal(end)
        if live:
            self._put_row(raw_key, row, end, self._tie(start), gone)
        self.log_put(row, gone, accepted=live)

    def observe_removal(self, end: int) -> bool:
        """Move the clock on as a removal does; returns whether the session's segment is still there."""
        if not self._in_memory:
            self.observed = max(self.observed, end)
        return self.segment_of(end) >= self._first_live

    def entry(self, value: Any, timestamp: int) -> Entry | Tombstone:
        """What the tables hold for a value."""
        if value is None:
            return Tombstone(timestamp)
        return (value if self._keeps_objects else self.value_serde.serialize(value), timestamp)

    def decode(self, entry: Entry) -> Any:
        """The value in an entry."""
        return entry[0] if self._keeps_objects else self.value_serde.deserialize(entry[0])

    # Typed ----------------------------------------------------------------------------------------------------------

    def put(self, key: Any, start: int, end: int, value: Any) -> None:
        """`put_raw` of a typed key."""
        self._check_open()
        raw = self.raw_key(key)
        if value is not None:
            self.value_serde.serialize(value)  # a wrong type is the fault of this record, not of the next commit
        self.put_raw(raw, start, end, value)

    def remove(self, key: Any, start: int, end: int) -> None:
        """`remove_raw` of a typed key."""
        self._check_open()
        self.remove_raw(self.raw_key(key), start, end)

    def fetch_session(self, key: Any, start: int, end: int) -> Any:
        """The value of exactly that session, or None."""
        self._check_open()
        raw = self.raw_key(key)
        if end < self.oldest_visible():
            return None
        entry = self._find_row(layouts.session_key(raw, start, end), end)
        return None if entry is None else self.decode(entry)

    def fetch(self, key: Any) -> Sessions:
        """All sessions of a key."""
        return self.find_sessions(key, 0, LONG_MAX)

    def backward_fetch(self, key: Any) -> Sessions:
        """`fetch` in reverse."""
        return self.backward_find_sessions(key, 0, LONG_MAX)

    def fetch_keys(self, key_from: Any, key_to: Any) -> Sessions:
        """All sessions of a range of keys, both inclusive, None open.

        In memory reversed bounds raise InvalidBounds once the store holds anything, as in Kafka Streams.
        """
        return self._fetch_keys(key_from, key_to, reverse=False)

    def backward_fetch_keys(self, key_from: Any, key_to: Any) -> Sessions:
        """`fetch_keys` in reverse."""
        return self._fetch_keys(key_from, key_to, reverse=True)

    def find_sessions(self, key: Any, earliest_end: int, latest_start: int) -> Sessions:
        """Sessions of a key that end at `earliest_end` or later and start at `latest_start` or earlier."""
        self._check_open()
        raw = self.raw_key(key)
        return self._sessions((row.name, row.entry) for row in self._of_key(raw, earliest_end, latest_start))

    def backward_find_sessions(self, key: Any, earliest_end: int, latest_start: int) -> Sessions:
        """`find_sessions` in reverse."""
        self._check_open()
        raw = self.raw_key(key)
        return self._sessions((row.name, row.entry) for row in reversed(self._of_key(raw, earliest_end, latest_start)))

    def find_sessions_keys(self, key_from: Any, key_to: Any, earliest_end: int, latest_start: int) -> Sessions:
        """`find_sessions` of a range of keys, both inclusive, None open; empty if they are reversed."""
        return self._find_keys(key_from, key_to, earliest_end, latest_start, reverse=False)

    def backward_find_sessions_keys(self, key_from: Any, key_to: Any, earliest_end: int, latest_start: int) -> Sessions:
        """`find_sessions_keys` in reverse."""
        return self._find_keys(key_from, key_to, earliest_end, latest_start, reverse=True)

    def find_sessions_ended(self, earliest_end: int, latest_end: int) -> Sessions:
        """Sessions of all keys whose end lies within the bounds, by end: what emit-on-close scans.

        Memory, and RocksDB with the time-ordered layout (`emit_final`); raises UnsupportedOperation elsewhere. The
        time-ordered layout gives expired sessions too, until their segment is dropped.
        """
        self._check_open()
        if self._in_memory:
            rows = self._found(None, None, earliest_end, LONG_MAX, reverse=False)
            return self._sessions(item for item in rows if self._time_of(item[0]) <= latest_end)
        if not self._by_time:
            raise UnsupportedOperation(
                f"store {self.name} is not laid out by time: it can't find sessions by their end"
            )
        bounds = Range(LONG.pack(max(earliest_end, 0)), LONG.pack(latest_end + 1) if latest_end < LONG_MAX else None)
        return self._sessions(self._scan_times(bounds, (max(earliest_end, 0), latest_end)))

    def committed(self) -> CommittedSessions:
        """A view of committed state for any thread."""
        return CommittedSessions(self._backend, self.spec, self.interval_ms)

    # Within ---------------------------------------------------------------------------------------------------------

    def _fetch_keys(self, key_from: Any, key_to: Any, *, reverse: bool) -> Sessions:
        self._check_open()
        lower, upper = self.raw_bound(key_from), self.raw_bound(key_to)
        if self._in_memory and lower is not None and upper is not None and lower > upper and self._holds_anything():
            raise InvalidBounds(f"store {self.name}: the key range is reversed")
        return self._find_keys(key_from, key_to, 0, LONG_MAX, reverse=reverse)

    def _holds_anything(self) -> bool:
        return next(self._found(None, None, 0, LONG_MAX, reverse=False), None) is not None

    def _find_keys(
        self, key_from: Any, key_to: Any, earliest_end: int, latest_start: int, *, reverse: bool
    ) -> Sessions:
        self._check_open()
        lower, upper = self.raw_bound(key_from), self.raw_bound(key_to)
        if lower is not None and upper is not None and lower > upper:
            return self._iterator(iter(()))
        return self._sessions(self._found(lower, upper, earliest_end, latest_start, reverse=reverse))

    def _of_key(self, raw: bytes, earliest_end: int, latest_start: int) -> list[Row]:
        """One key's sessions in the backend's order."""
        earliest = max(earliest_end, self.oldest_visible(), 0)
        rows = self._known.between(raw, earliest, LONG_MAX)
        if rows is None:
            rows = sorted(self._load_key(raw, clean=False), key=lambda row: row[:2])
            rows = [row for row in rows if row.time >= earliest]
        if latest_start >= self.observed:
            return rows
        start_of = layouts.session_start
        return [row for row in rows if start_of(row.name) <= latest_start]

    def _tie(self, start: int) -> int:
        # Sessions with one end: memory gives the later start first.
        return -start if self._in_memory else start

    def _found(
        self, lower: bytes | None, upper: bytes | None, earliest_end: int, latest_start: int, *, reverse: bool
    ) -> Iterator[tuple[bytes, Entry]]:
        """The rows that a search finds, in the backend's order."""
        earliest = max(earliest_end, self.oldest_visible(), 0)
        highest = layouts.session_key(b"", LONG_MAX, max(self.observed, 0))
        bounds = Range(lower, None if upper is None else layouts.key_range_end(upper, highest) + b"\x00", reverse)

        def wanted(row: bytes) -> bool:
            key, start, end = layouts.split_session_key(row)
            inside = (lower is None or key >= lower) and (upper is None or key <= upper)
            return inside and end >= earliest and start <= latest_start

        rows = self._scan_rows(bounds, (earliest, LONG_MAX), wanted)
        return self._in_memory_order(rows, reverse=reverse) if self._in_memory else rows

    def _in_memory_order(self, rows: Iterator[tuple[bytes, Entry]], *, reverse: bool) -> Iterator[tuple[bytes, Entry]]:
        def place(found: tuple[bytes, Entry]) -> tuple[int, bytes, int]:
            key, start, end = layouts.split_session_key(found[0])
            return end, key, -start

        return iter(sorted(rows, key=place, reverse=reverse))

    def _sessions(self, rows: Iterable[tuple[bytes, Entry]]) -> Sessions:
        return self._iterator(self._typed_rows(rows))

    def _typed_rows(self, rows: Iterable[tuple[bytes, Entry]]) -> Iterator[tuple[Windowed, Any]]:
        deserialize = self.key_serde.deserialize
        for row, entry in rows:
            key, start, end = layouts.split_session_key(row)
            yield Windowed(deserialize(key), start, end), self.decode(entry)

    def _time_of(self, row: bytes) -> int:
        end: int = LONG.unpack_from(row, len(row) - layouts.SESSION_SUFFIX)[0]
        return end

    def _tie_of(self, row: bytes) -> int:
        return self._tie(layouts.session_start(row))

    def _bounds_of(self, key: bytes) -> Range:
        return Range(layouts.session_key(key, 0, 0), layouts.session_key(key, LONG_MAX, LONG_MAX) + b"\x00")

    def _times_key(self, row: bytes) -> bytes:
        at = len(row) - layouts.SESSION_SUFFIX
        return row[at:] + row[:at]

    def _row_of(self, times_key: bytes) -> bytes:
        return times_key[layouts.SESSION_SUFFIX :] + times_key[: layouts.SESSION_SUFFIX]
