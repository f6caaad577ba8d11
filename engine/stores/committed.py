"""Views of committed state for interactive queries: raw rows, a page at a time, from any thread.

A view holds no lock between calls and no snapshot: each page is the committed state of its moment, and `cursor` leads
on by key. Keys and values are bytes; who shows them decodes them. After the store has closed a view raises StoreError.
"""

from __future__ import annotations

from engine.stores import layouts
from engine.stores.backend import DEFAULT, Backend, Range
from engine.stores.contract import CommittedRow


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
