"""Committed state in memory: a dict per family, with a sorted index that exists only once somebody scans."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice

from sortedcontainers import SortedList

from engine.errors import StoreError
from engine.stores.backend import DEFAULT, Columns, Range, Write

# What CPython spends on a dict slot and two bytes objects, beyond their contents.
_ROW_OVERHEAD_BYTES = 170
# Rows that a scan copies at a time: whoever wants only the first few doesn't pay for all.
_SCAN_ROWS = 512


class _Family:
    """One ordered key space. All methods are called under the backend's lock."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.content_bytes = 0
        # None until the first scan: a store that is only read by key never pays for order.
        self._index: SortedList | None = None

    def apply(self, columns: Columns) -> None:
        rows = self.rows
        if columns.keys:
            # A restore can bring a key twice; the dict keeps the last of each.
            incoming = dict(zip(columns.keys, columns.values, strict=True))
            before = list(map(rows.get, incoming))
            new = [key for key, value in zip(incoming, before, strict=True) if value is None]
            if self._index is not None and new:
                self._index.update(new)
            self.content_bytes += sum(map(len, new)) + sum(map(len, incoming.values()))
            self.content_bytes -= sum(len(value) for value in before if value is not None)
            rows.update(incoming)
        for key in columns.deletes:
            value = rows.pop(key, None)
            if value is not None:
                self.content_bytes -= len(key) + len(value)
                if self._index is not None:
                    self._index.remove(key)

    def keys(self, bounds: Range) -> Iterator[bytes]:
        if self._index is None:
            self._index = SortedList(self.rows)
        keys: Iterator[bytes] = self._index.irange(
            bounds.lower, bounds.upper, inclusive=(True, False), reverse=bounds.reverse
        )
        return keys

    def bytes(self) -> int:
        return self.content_bytes + len(self.rows) * _ROW_OVERHEAD_BYTES


class MemoryBackend:
    """`engine.stores.backend.Backend` in this process's memory; gone with it."""

    persistent = False

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {DEFAULT: _Family()}
        self._meta: dict[str, bytes] = {}
        # Held for a page or a write, never across a caller's loop: readers of other threads wait microseconds.
        self._lock = threading.Lock()
        self._closed = False

    def get_many(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """See `Backend`."""
        space = self._families.get(family)
        return [None] * len(keys) if space is None else list(map(space.rows.get, keys))

    def lookup(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """See `Backend`."""
        with self._lock:
            self._check_open()
            return self.get_many(family, keys)

    def scan(self, family: str, bounds: Range) -> Iterator[tuple[bytes, bytes]]:
        """See `Backend`. Copied piece by piece: a commit during the iteration may show in what is still to come."""
        while True:
            rows = self.page(family, bounds, _SCAN_ROWS)
            yield from rows
            if len(rows) < _SCAN_ROWS:
                return
            last = rows[-1][0]
            bounds = bounds._replace(upper=last) if bounds.reverse else bounds._replace(lower=last + b"\x00")

    def page(self, family: str, bounds: Range, limit: int) -> list[tuple[bytes, bytes]]:
        """See `Backend`."""
        with self._lock:
            self._check_open()
            space = self._families.get(family)
            if space is None or (
                bounds.lower is not None and bounds.upper is not None and bounds.lower >= bounds.upper
            ):
                return []
            rows = space.rows
            return [(key, rows[key]) for key in islice(space.keys(bounds), limit)]

    def families(self) -> list[str]:
        """See `Backend`."""
        with self._lock:
            self._check_open()
            return list(self._families)

    def write(self, change: Write) -> None:
        """See `Backend`."""
        with self._lock:
            for family, lower, upper in change.ranges:
                if family in self._families:
                    doomed = list(self._families[family].keys(Range(lower, upper)))
                    self._families[family].apply(Columns(deletes=doomed))
            for family, columns in change.entries.items():
                space = self._families.setdefault(family, _Family())
                for part in columns:
                    space.apply(part)
            for family in change.drops:
                self._families.pop(family, None)
            self._meta.update(change.meta)

    def meta(self, name: str) -> bytes | None:
        """See `Backend`."""
        with self._lock:
            self._check_open()
            return self._meta.get(name)

    def count(self, family: str) -> int:
        """See `Backend`; exact here."""
        space = self._families.get(family)
        return 0 if space is None else len(space.rows)

    def bytes(self) -> int:
        """See `Backend`; an estimate of what the process spends."""
        return sum(space.bytes() for space in list(self._families.values()))

    def flush(self) -> None:
        """See `Backend`; memory has nothing to flush."""

    def close(self) -> None:
        """See `Backend`."""
        with self._lock:
            self._closed = True
            self._families = {DEFAULT: _Family()}
            self._meta = {}

    def _check_open(self) -> None:
        """An emptied store must not look like one that holds nothing."""
        if self._closed:
            raise StoreError("the store in memory was closed meanwhile")


def row_bytes(keys: Iterable[bytes], values: Iterable[bytes]) -> int:
    """What rows would take in memory, counted as `MemoryBackend.bytes` counts."""
    sizes = list(map(len, keys))
    return sum(sizes) + sum(map(len, values)) + len(sizes) * _ROW_OVERHEAD_BYTES
