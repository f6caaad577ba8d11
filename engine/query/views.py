"""The committed reads of each store kind behind one interface: a point, a version, a page of rows.

`engine.stores.committed` offers each kind its own words; a `View` says them for a `Scan`, and bounds a page in bytes
too. Made per request, used by the thread that answers it.
"""

from collections.abc import Callable
from typing import Any, Protocol

from engine.query.ports import Scan
from engine.query.refusal import bad_request
from engine.stores.contract import CommittedRow

# Rows fetched at a time: a page of large values then overshoots its bytes by one chunk only.
_CHUNK_FIRST = 64
_CHUNK_MAX = 1_000
Fetch = Callable[[int, bytes | None], list[CommittedRow]]


class View(Protocol):
    """Committed content of one store partition; readable from any thread while the loop writes."""

    def get(self, key: bytes) -> CommittedRow | None:
        """The row under `key` of a key-value store, or the latest version of a versioned one."""

    def get_many(self, keys: list[bytes]) -> list[CommittedRow | None]:
        """The row under each key, in order."""

    def as_of(self, key: bytes, timestamp_ms: int) -> CommittedRow | None:
        """The version that was valid at `timestamp_ms`; versioned stores only."""

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

    def scan(self, scan: Scan) -> tuple[list[CommittedRow], bool]:
        """See View."""
        if scan.prefix is not None:
            prefix = scan.prefix
            return _page(
                scan,
                lambda limit, after: self._committed.prefix(
                    prefix, limit=limit, reverse=scan.reverse, start_after=after
                ),
            )
        return _page(
            scan,
            lambda limit, after: self._committed.range(
                scan.lower, scan.upper, limit=limit, reverse=scan.reverse, start_after=after
            ),
        )


def view_of(kind: str, committed: Any) -> View:
    """The view of a store's committed reads, by its kind."""
    return KeyValueView(committed)


def _page(scan: Scan, fetch: Fetch) -> tuple[list[CommittedRow], bool]:
    """Fetch chunks until the page is full, in rows or in bytes, or the rows have ended."""
    rows: list[CommittedRow] = []
    size, after, chunk = 0, scan.after, _CHUNK_FIRST
    while len(rows) < scan.limit:
        wanted = min(chunk, scan.limit - len(rows))
        fetched = fetch(wanted, after)
        for row in fetched:
            if rows and size >= scan.bytes_max:
                return rows, True
            rows.append(row)
            size += len(row.value) + len(row.key)
        if len(fetched) < wanted:
            return rows, False
        after, chunk = rows[-1].cursor, min(chunk * 4, _CHUNK_MAX)
    return rows, True
