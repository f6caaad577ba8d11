"""The committed reads of each store kind behind one interface: a point, a version, a page of rows.

`engine.stores.committed` offers each kind its own words; a `View` says them for a `Scan`, and bounds a page in bytes
too. Made per request, used by the thread that answers it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from engine.query.ports import Scan
from engine.query.refusal import bad_request
from engine.stores.contract import CommittedRow
from engine.stores.layouts import LONG_MAX

# Rows fetched at a time: a page of large values then overshoots its bytes by one chunk only.
_CHUNK_FIRST = 64
_CHUNK_MAX = 1_000
# Called with limit=, reverse= and start_after=.
Fetch = Callable[..., list[CommittedRow]]


class View(Protocol):
    """Committed content of one store partition; readable from any thread while the loop writes."""

    def get(self, key: bytes) -> CommittedRow | None:
        """The row under `key` of a key-value store, or the latest version of a versioned one."""

    def get_many(self, keys: list[bytes]) -> list[CommittedRow | None]:
        """The row under each key, in order."""

    def as_of(self, key: bytes, timestamp_ms: int) -> CommittedRow | None:
        """The version that was valid at `timestamp_ms`; versioned stores only."""

    def versions(self, key: bytes, time_from: int, time_to: int, limit: int, before: int | None) -> list[CommittedRow]:
        """The versions that were valid at some time within the bounds, newest first; versioned stores only.

        With `before` those that began earlier than that.
        """

    def scan(self, scan: Scan) -> tuple[list[CommittedRow], bool]:
        """Rows of a page, and whether there may be more behind the last one."""


class KeyValueView:
    """A key-value store."""

    def __init__(self, committed: Any) -> None:
        self._committed = committed

    def get(self, key: bytes) -> CommittedRow | None:
        """See View."""
        return self.get_many([key])[0]

    def get_many(self, keys: list[bytes]) -> list[CommittedRow | None]:
        """See View."""
        found: list[CommittedRow | None] = self._committed.get_many(keys)
        return found

    def as_of(self, key: bytes, timestamp_ms: int) -> CommittedRow | None:  # noqa: ARG002 (the view's shape)
        """Refuse: only versioned stores keep history."""
        raise bad_request("as_of= needs a versioned store")

    def versions(self, key: bytes, time_from: int, time_to: int, limit: int, before: int | None) -> list[CommittedRow]:  # noqa: ARG002 (the view's shape)
        """Refuse: only versioned stores keep history."""
        raise bad_request("valid_from= and valid_to= need a versioned store")

    def scan(self, scan: Scan) -> tuple[list[CommittedRow], bool]:
        """See View."""
        if scan.prefix is not None:
            return _page(scan, partial(self._committed.prefix, scan.prefix))
        return _page(scan, partial(self._committed.range, scan.lower, scan.upper))


class VersionedView(KeyValueView):
    """A versioned store: its latest versions as a key-value store, and the version of a key at a time."""

    def get_many(self, keys: list[bytes]) -> list[CommittedRow | None]:
        """See View."""
        return [self._committed.get(key) for key in keys]

    def as_of(self, key: bytes, timestamp_ms: int) -> CommittedRow | None:
        """See View."""
        row: CommittedRow | None = self._committed.get(key, timestamp_ms)
        return row

    def versions(self, key: bytes, time_from: int, time_to: int, limit: int, before: int | None) -> list[CommittedRow]:
        """See View."""
        found: list[CommittedRow] = self._committed.versions(key, time_from, time_to, limit=limit, before=before)
        return found


class TimedView:
    """A window or session store. Windows are bounded by their start, sessions by the time that they overlap."""

    def __init__(self, committed: Any) -> None:
        self._committed = committed

    def get(self, key: bytes) -> CommittedRow | None:  # noqa: ARG002 (the view's shape)
        """Refuse: a key has many windows."""
        raise bad_request("a key of a window or session store has many entries: ask a page with key=")

    def get_many(self, keys: list[bytes]) -> list[CommittedRow | None]:
        """Refuse, as `get` does."""
        return [self.get(key) for key in keys]

    def as_of(self, key: bytes, timestamp_ms: int) -> CommittedRow | None:  # noqa: ARG002 (the view's shape)
        """Refuse: only versioned stores keep history."""
        raise bad_request("as_of= needs a versioned store")

    def versions(self, key: bytes, time_from: int, time_to: int, limit: int, before: int | None) -> list[CommittedRow]:  # noqa: ARG002 (the view's shape)
        """Refuse: only versioned stores keep history."""
        raise bad_request("valid_from= and valid_to= need a versioned store")

    def scan(self, scan: Scan) -> tuple[list[CommittedRow], bool]:
        """See View. For sessions the two times are the earliest end and the latest start: together, an overlap."""
        times = (
            scan.time_from if scan.time_from is not None else 0,
            scan.time_to if scan.time_to is not None else LONG_MAX,
        )
        if scan.prefix is not None:
            return _page(scan, partial(self._committed.prefix, scan.prefix, *times))
        if scan.lower is not None and scan.lower == scan.upper:
            return _page(scan, partial(self._committed.fetch, scan.lower, *times))
        return _page(scan, partial(self._committed.range, scan.lower, scan.upper, *times))


_VIEWS: dict[str, Callable[[Any], View]] = {
    "key-value": KeyValueView,
    "versioned": VersionedView,
    "window": TimedView,
    "session": TimedView,
}


def view_of(kind: str, committed: Any) -> View:
    """The view of a store's committed reads, by its kind."""
    return _VIEWS[kind](committed)


def _page(scan: Scan, fetch: Fetch) -> tuple[list[CommittedRow], bool]:
    """Fetch chunks until the page is full, in rows or in bytes, or the rows have ended."""
    rows: list[CommittedRow] = []
    size, after, chunk = 0, scan.after, _CHUNK_FIRST
    while len(rows) < scan.limit:
        wanted = min(chunk, scan.limit - len(rows))
        fetched = fetch(limit=wanted, reverse=scan.reverse, start_after=after)
        for row in fetched:
            if rows and size >= scan.bytes_max:
                return rows, True
            rows.append(row)
            size += len(row.value) + len(row.key)
        if len(fetched) < wanted:
            return rows, False
        after, chunk = rows[-1].cursor, min(chunk * 4, _CHUNK_MAX)
    return rows, True
