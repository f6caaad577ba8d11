"""Views of committed state for interactive queries: raw rows, a page at a time, from any thread.

A view holds no lock between calls and no snapshot: each page is the committed state of its moment, and `cursor` leads
on by key. Keys and values are bytes; who shows them decodes them. After the store has closed a view raises StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice

from engine.stores import layouts
from engine.stores.backend import DEFAULT, Backend, Range
from engine.stores.contract import CommittedRow
from engine.stores.versions import VersionRow
from engine.topology.stores import StoreSpec

_SEGMENT = "segment-"
_SEGMENTS = "segments"
# Rows read at a time while a page is filtered, or asked for where most are not there.
_PIECE_ROWS = 512


def beyond(bounds: Range, start_after: bytes | None) -> Range:
    """`bounds` without what comes up to and including the row at `start_after`."""
    if start_after is None:
        return bounds
    if bounds.reverse:
        return bounds._replace(upper=start_after if bounds.upper is None else min(bounds.upper, start_after))
    behind = start_after + b"\x00"
    return bounds._replace(lower=behind if bounds.lower is None else max(bounds.lower, behind))


class CommittedKeyValue:
    """Committed rows of a key-value store, in the order of their key bytes."""

    def __init__(self, backend: Backend, *, timestamped: bool) -> None:
        self._backend = backend
        self._timestamped = timestamped

    def get(self, key: bytes) -> CommittedRow | None:
        """The row of a key, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: list[bytes]) -> list[CommittedRow | None]:
        """The row of each key in order, None where there is none."""
        found = self._backend.lookup(DEFAULT, keys)
        return [None if raw is None else self._row(key, raw) for key, raw in zip(keys, found, strict=True)]

    def range(
        self,
        key_from: bytes | None,
        key_to: bytes | None,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` rows from `key_from` to `key_to`, both inclusive, None open, behind the row at `start_after`."""
        upper = None if key_to is None else key_to + b"\x00"
        return self._page(Range(key_from, upper, reverse), limit, start_after)

    def prefix(
        self, prefix: bytes, *, limit: int, reverse: bool = False, start_after: bytes | None = None
    ) -> list[CommittedRow]:
        """Up to `limit` rows whose key starts with `prefix`."""
        return self._page(Range(prefix, layouts.after_prefix(prefix), reverse), limit, start_after)

    def all(self, *, limit: int, reverse: bool = False, start_after: bytes | None = None) -> list[CommittedRow]:
        """Up to `limit` rows of the whole store."""
        return self._page(Range(None, None, reverse), limit, start_after)

    def _page(self, bounds: Range, limit: int, start_after: bytes | None) -> list[CommittedRow]:
        rows = self._backend.page(DEFAULT, beyond(bounds, start_after), limit)
        return [self._row(key, raw) for key, raw in rows]

    def _row(self, key: bytes, raw: bytes) -> CommittedRow:
        value, timestamp = layouts.split_timestamped(raw) if self._timestamped else (raw, None)
        return CommittedRow(key, value, timestamp, cursor=key)


class _CommittedSegments:
    """Rows of time segments, in the order of segment and changelog key; expired rows are left out."""

    def __init__(self, backend: Backend, spec: StoreSpec, interval_ms: int) -> None:
        self._backend = backend
        self._spec = spec
        self._interval_ms = interval_ms
        self._timestamped = spec.timestamped

    def _oldest(self) -> int:
        observed = self._backend.meta("observed")
        if observed is None:
            return 0
        latest: int = layouts.LONG.unpack(observed)[0]
        return max(latest - (self._spec.retention_ms or 0) + 1, 0)

    def _segments(self, time_from: int, time_to: int, *, reverse: bool) -> list[int]:
        first, last = time_from // self._interval_ms, time_to // self._interval_ms
        found = [int(name[len(_SEGMENT) :]) for name in self._backend.families() if name.startswith(_SEGMENT)]
        return sorted((i for i in found if first <= i <= last), reverse=reverse)

    def _page(
        self,
        bounds_of: Callable[[int], Range],
        times: tuple[int, int],
        wanted: Callable[[CommittedRow], bool],
        limit: int,
        start_after: bytes | None,
        *,
        reverse: bool,
    ) -> list[CommittedRow]:
        """Up to `limit` wanted rows. `bounds_of(last)` tells where they can lie in a segment whose times end with `last`."""
        low, high = max(times[0], self._oldest()), times[1]
        after_segment = None if start_after is None else layouts.LONG.unpack_from(start_after)[0]
        rows: list[CommittedRow] = []
        for segment in self._segments(low, high, reverse=reverse) if low <= high else ():
            behind = None
            if after_segment is not None:
                if (segment > after_segment) if reverse else (segment < after_segment):
                    continue
                behind = start_after[8:] if start_after is not None and segment == after_segment else None
            last = min(high, (segment + 1) * self._interval_ms - 1, layouts.LONG_MAX)
            for row in self._rows_of(segment, beyond(bounds_of(last)._replace(reverse=reverse), behind)):
                if low <= self._time(row) <= high and wanted(row):
                    rows.append(row)
                    if len(rows) == limit:
                        return rows
        return rows

    def _rows_of(self, segment: int, bounds: Range) -> Iterator[CommittedRow]:
        """All rows of a segment, read in pieces so that no lock is held for long."""
        prefix = layouts.LONG.pack(segment)
        while True:
            found = self._backend.page(f"{_SEGMENT}{segment}", bounds, _PIECE_ROWS)
            for name, raw in found:
                yield self._row(name, raw, prefix + name)
            if len(found) < _PIECE_ROWS:
                return
            bounds = beyond(bounds, found[-1][0])

    def _find(self, name: bytes, time: int) -> CommittedRow | None:
        segment = time // self._interval_ms
        raw = self._backend.lookup(f"{_SEGMENT}{segment}", [name])[0] if time >= self._oldest() else None
        return None if raw is None else self._row(name, raw, layouts.LONG.pack(segment) + name)

    def _row(self, name: bytes, raw: bytes, cursor: bytes) -> CommittedRow:
        raise NotImplementedError

    def _time(self, row: CommittedRow) -> int:
        raise NotImplementedError


class CommittedWindows(_CommittedSegments):
    """Committed windows. Bounds of keys and of starts are inclusive; a None key bound is open."""

    def get(self, key: bytes, start: int) -> CommittedRow | None:
        """The window of a key that starts at `start`, or None (always None where duplicates are retained)."""
        return None if self._spec.retain_duplicates else self._find(layouts.window_key(key, start), start)

    def fetch(
        self,
        key: bytes,
        time_from: int,
        time_to: int,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` windows of one key, by start."""
        if time_to < max(time_from, 0):
            return []
        low, high = layouts.window_key(key, max(time_from, 0)), layouts.window_key(key, time_to, layouts.SEQUENCE_MAX)
        bounds = Range(low, high + b"\x00")
        return self._page(
            lambda _: bounds, (time_from, time_to), lambda row: row.key == key, limit, start_after, reverse=reverse
        )

    def range(
        self,
        key_from: bytes | None,
        key_to: bytes | None,
        time_from: int = 0,
        time_to: int = layouts.LONG_MAX,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` windows of a range of keys (both None: all) and starts."""

        def bounds_of(last: int) -> Range:
            return _key_range(key_from, key_to, layouts.window_key(b"", last, layouts.SEQUENCE_MAX))

        wanted = _within(key_from, key_to)
        return self._page(bounds_of, (time_from, time_to), wanted, limit, start_after, reverse=reverse)

    def prefix(
        self,
        prefix: bytes,
        time_from: int = 0,
        time_to: int = layouts.LONG_MAX,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` windows of the keys that start with `prefix`."""
        bounds = Range(prefix, layouts.after_prefix(prefix))

        def wanted(row: CommittedRow) -> bool:
            return row.key.startswith(prefix)

        return self._page(lambda _: bounds, (time_from, time_to), wanted, limit, start_after, reverse=reverse)

    def _row(self, name: bytes, raw: bytes, cursor: bytes) -> CommittedRow:
        key, start, _ = layouts.split_window_key(name)
        value, timestamp = layouts.split_timestamped(raw) if self._timestamped else (raw, None)
        end = min(start + (self._spec.window_ms or 0), layouts.LONG_MAX)
        return CommittedRow(key, value, timestamp, start, end, cursor=cursor)

    def _time(self, row: CommittedRow) -> int:
        return row.start or 0


class CommittedSessions(_CommittedSegments):
    """Committed sessions. `earliest_end` and `latest_start` are inclusive, as in `SessionStore.find_sessions`."""

    def get(self, key: bytes, start: int, end: int) -> CommittedRow | None:
        """Exactly that session, or None."""
        return self._find(layouts.session_key(key, start, end), end)

    def fetch(
        self,
        key: bytes,
        earliest_end: int = 0,
        latest_start: int = layouts.LONG_MAX,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` sessions of one key, by (end, start)."""
        first = layouts.session_key(key, 0, max(earliest_end, 0))

        def bounds_of(last: int) -> Range:
            return Range(first, layouts.session_key(key, last, last) + b"\x00")

        wanted = _starting_by(latest_start, key, key)
        return self._page(bounds_of, (earliest_end, layouts.LONG_MAX), wanted, limit, start_after, reverse=reverse)

    def range(
        self,
        key_from: bytes | None,
        key_to: bytes | None,
        earliest_end: int = 0,
        latest_start: int = layouts.LONG_MAX,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` sessions of a range of keys (both None: all)."""

        def bounds_of(last: int) -> Range:
            return _key_range(key_from, key_to, layouts.session_key(b"", last, last))

        wanted = _starting_by(latest_start, key_from, key_to)
        return self._page(bounds_of, (earliest_end, layouts.LONG_MAX), wanted, limit, start_after, reverse=reverse)

    def prefix(
        self,
        prefix: bytes,
        earliest_end: int = 0,
        latest_start: int = layouts.LONG_MAX,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` sessions of the keys that start with `prefix`."""
        bounds = Range(prefix, layouts.after_prefix(prefix))

        def wanted(row: CommittedRow) -> bool:
            return row.key.startswith(prefix) and (row.start or 0) <= latest_start

        return self._page(
            lambda _: bounds, (earliest_end, layouts.LONG_MAX), wanted, limit, start_after, reverse=reverse
        )

    def _row(self, name: bytes, raw: bytes, cursor: bytes) -> CommittedRow:
        key, start, end = layouts.split_session_key(name)
        return CommittedRow(key, raw, None, start, end, cursor=cursor)

    def _time(self, row: CommittedRow) -> int:
        return row.end or 0


def _key_range(key_from: bytes | None, key_to: bytes | None, suffix: bytes) -> Range:
    """Where the rows of a range of keys can lie whose names end with `suffix` at most. Other keys' rows lie there too."""
    return Range(key_from, None if key_to is None else layouts.key_range_end(key_to, suffix) + b"\x00")


def _within(key_from: bytes | None, key_to: bytes | None) -> Callable[[CommittedRow], bool]:
    def wanted(row: CommittedRow) -> bool:
        return (key_from is None or row.key >= key_from) and (key_to is None or row.key <= key_to)

    return wanted


def _starting_by(latest_start: int, key_from: bytes | None, key_to: bytes | None) -> Callable[[CommittedRow], bool]:
    inside = _within(key_from, key_to)

    def wanted(row: CommittedRow) -> bool:
        return inside(row) and (row.start or 0) <= latest_start

    return wanted


class CommittedVersions:
    """Committed versions: the latest of each key in key order, or one key's history."""

    def __init__(self, backend: Backend, history_ms: int, interval_ms: int) -> None:
        self._backend = backend
        self._history_ms = history_ms
        self._interval_ms = interval_ms
        self._latest = CommittedKeyValue(backend, timestamped=True)

    def get(self, key: bytes, as_of: int | None = None) -> CommittedRow | None:
        """The latest version of a key, or the one valid at `as_of` as far as the history goes."""
        latest = self._latest.get(key)
        if as_of is None or (latest is not None and (latest.timestamp or 0) <= as_of):
            return latest
        if as_of < self._observed() - self._history_ms:
            return None
        for row in self._past(key, as_of):
            if (row.timestamp or 0) <= as_of < (row.valid_to or 0):
                return row
        return None

    def versions(
        self, key: bytes, time_from: int, time_to: int, *, limit: int, before: int | None = None
    ) -> list[CommittedRow]:
        """Up to `limit` versions of a key valid at any time within the bounds (both inclusive), the newest first.

        `before` leaves out those that began then or later: they were on an earlier page of the same question.
        """
        begun = time_to if before is None else min(time_to, before - 1)
        latest = self._latest.get(key)
        rows = [latest] if latest is not None and (latest.timestamp or 0) <= begun else []
        if time_to < self._observed() - self._history_ms:
            return rows[:limit]
        past = self._past(key, max(time_from, 0))
        found = (row for row in past if (row.timestamp or 0) <= begun and (row.valid_to or 0) > time_from)
        return list(islice(chain(rows, found), limit))

    def range(
        self,
        key_from: bytes | None,
        key_to: bytes | None,
        *,
        limit: int,
        reverse: bool = False,
        start_after: bytes | None = None,
    ) -> list[CommittedRow]:
        """Up to `limit` latest versions of a range of keys (both None: all)."""
        return self._latest.range(key_from, key_to, limit=limit, reverse=reverse, start_after=start_after)

    def prefix(
        self, prefix: bytes, *, limit: int, reverse: bool = False, start_after: bytes | None = None
    ) -> list[CommittedRow]:
        """Up to `limit` latest versions of the keys that start with `prefix`."""
        return self._latest.prefix(prefix, limit=limit, reverse=reverse, start_after=start_after)

    def all(self, *, limit: int, reverse: bool = False, start_after: bytes | None = None) -> list[CommittedRow]:
        """Up to `limit` latest versions of the whole store."""
        return self._latest.all(limit=limit, reverse=reverse, start_after=start_after)

    def _observed(self) -> int:
        observed = self._backend.meta("observed")
        return -1 if observed is None else int(layouts.LONG.unpack(observed)[0])

    def _past(self, key: bytes, time: int) -> Iterator[CommittedRow]:
        """The versions of a key, tombstones left out, in the segments from that of `time` on, the newest first."""
        last = self._backend.page(_SEGMENTS, Range(None, None, reverse=True), 1)
        if not last:
            return
        live = self._backend.meta("first_live")
        # A time before the history would name every segment since 1970, and none of those is there any more.
        first_id = max(time // self._interval_ms, 0 if live is None else layouts.LONG.unpack(live)[0])
        last_id = layouts.LONG.unpack_from(last[0][0])[0]
        for newest in range(last_id, first_id - 1, -_PIECE_ROWS):
            segments = range(newest, max(newest - _PIECE_ROWS, first_id - 1), -1)
            found = self._backend.lookup(_SEGMENTS, [layouts.LONG.pack(segment) + key for segment in segments])
            for version in chain.from_iterable(VersionRow.decode(raw).all() for raw in found if raw is not None):
                if version.value is not None:
                    yield CommittedRow(key, version.value, version.valid_from, valid_to=version.valid_to, cursor=key)
