"""The rows of single keys, complete and sorted, for operators that search one key's times record by record.

Scanning for one key costs a seek in every segment and a merge with the overlay, 10 µs and more; a key whose rows are
known costs two bisections. A key is known from its first search on, with every row that is still live, uncommitted ones
included; writes keep it up to date. Only a cache: the tables hold everything, and `forget` is always allowed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from engine.stores import memory_budget
from engine.stores.table import Entry

# A key with more rows than this is searched in the tables: one hot key must not bring a whole store into memory.
_ROWS_OF_KEY_MAX = 10_000
# What the interpreter spends on a row here: tuple, row name, entry, two ints.
_ROW_BYTES = 400
# And on a key that is known, with or without rows: dict slot, key, list.
_KEY_BYTES = 200
# Rows that may be out of sight at the head of a list before it is cut.
_STALE_MAX = 8


class Row(NamedTuple):
    """A row of a key: what decides its place (time, then `tie`), its name in the table, its entry."""

    time: int
    tie: int
    name: bytes
    entry: Entry


class KeyRows:
    """See the module's text. `load(key, clean)` gives a key's rows; `clean` says that none of them is uncommitted."""

    def __init__(self, load: Callable[[bytes, bool], Iterable[Row]]) -> None:
        self._load = load
        self._known: dict[bytes, list[Row]] = {}
        # Keys written since the last commit while unknown: their rows are not all in the backend.
        self._loose: set[bytes] = set()
        self._too_many: set[bytes] = set()
        self._count = 0
        # Whether anybody searches single keys; without, writes have nothing to keep up to date.
        self.used = False
        # Whether `_loose` is right: what was written in the commit of the first search was not noted.
        self._noted = False
        # Whether every key that has rows is known, as from an empty start on until something is given up.
        self._complete = False

    def begin_empty(self) -> None:
        """The store holds nothing: until something is given up, a key that is not known has no rows."""
        self._complete = True

    def expect(self) -> None:
        """Single keys will be searched: writes that come before the first search are kept up with too."""
        self.used = True

    def find(self, key: bytes) -> list[Row] | None:
        """The rows of a key in order, not to be changed; None if they are too many to keep: search the tables."""
        self.used = True
        rows = self._known.get(key)
        return rows if rows is not None else self._learn(key)

    def between(self, key: bytes, low: int, high: int) -> list[Row] | None:
        """The rows of a key with low <= time <= high, as a list of the caller's own; None as in `find`."""
        rows = self.find(key)
        if rows is None:
            return None
        return rows[_first(rows, low) : _first(rows, high + 1)]

    def prepare(self, key: bytes) -> None:
        """Before a write: learn the key while all its rows are in the backend, which is cheaper than later."""
        if self.used and key not in self._known:
            self._learn(key)

    def put(self, key: bytes, row: Row, *, present: bool, oldest: int) -> None:
        """After a write of one row. `oldest`: rows of earlier times will never be visible again."""
        if not self.used:
            self._complete = False
            return
        rows = self._known.get(key)
        if rows is None:
            self._loose.add(key)
            self._complete = False
            return
        place = row[:2]
        at = bisect_left(rows, place)
        if at < len(rows) and rows[at][:2] == place:
            if present:
                rows[at] = row
            else:
                del rows[at]
                self._count -= 1
            return
        if not present:
            return
        rows.insert(at, row)
        self._count += 1
        if len(rows) > _STALE_MAX and rows[_STALE_MAX].time < oldest:
            gone = _first(rows, oldest)
            del rows[:gone]
            self._count -= gone
        if len(rows) > _ROWS_OF_KEY_MAX:
            self._count -= len(rows)
            del self._known[key]
            self._too_many.add(key)
            self._loose.add(key)

    def wrote(self, keys: Iterable[bytes]) -> None:
        """After a write of a batch: these keys are not known any more."""
        self._complete = False
        if not self.used:
            return
        keys = set(keys)
        for key in keys & self._known.keys():
            self._count -= len(self._known.pop(key))
        self._loose |= keys

    def committed(self) -> None:
        """Everything is in the backend now. If what is known takes more than its share of memory it goes."""
        self._loose.clear()
        self._noted = self.used
        held = self._held_bytes()
        share = memory_budget.object_cache_share(id(self), held)
        if held <= share:
            return
        if self._complete:
            # A key without rows need not be known then: a join whose other side is empty never looks one up again.
            self._known = {key: rows for key, rows in self._known.items() if rows}
            # Half, so that a store full of rows does not go through them at every commit.
            if self._held_bytes() <= share // 2:
                return
        self.forget()

    def forget(self) -> None:
        """Know nothing, as after a rollback or a restore."""
        self._known, self._count = {}, 0
        self._complete = False
        self._loose.clear()
        self._too_many.clear()
        self._noted = self.used

    def close(self) -> None:
        """Forget, and leave the memory budget."""
        self.forget()
        memory_budget.leave(id(self))

    def _held_bytes(self) -> int:
        return self._count * _ROW_BYTES + len(self._known) * _KEY_BYTES

    def _learn(self, key: bytes) -> list[Row] | None:
        if key in self._too_many:
            return None
        rows: list[Row] = []
        if self._complete:
            self._known[key] = rows
            return rows
        for row in self._load(key, self._noted and key not in self._loose):
            rows.append(row)
            if len(rows) > _ROWS_OF_KEY_MAX:
                self._too_many.add(key)
                return None
        rows.sort(key=_place)
        self._known[key] = rows
        self._count += len(rows)
        return rows


def _place(row: Row) -> Any:
    return row[:2]


def _first(rows: list[Row], time: int) -> int:
    """The index of the first row of that time or later."""
    return bisect_left(rows, (time,))
