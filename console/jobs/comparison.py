"""Comparing a live store with a copy that was built from its changelog, row by row, while the live one moves on.

Both sides come in the store's own order and are merged. What differs at first sight becomes a candidate, and is settled
with the changelog's records that are newer than the copy: a row that changed meanwhile agrees when what was read of it
is something that the changelog said in that time. Expired rows count on neither side. One thread; knows no Kafka.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.stores import layouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.stores.contract import CommittedRow
    from engine.topology.stores import StoreSpec

Said = tuple[bytes | None, int | None]


class Row(NamedTuple):
    """One row of either side. ``order`` is its place in the store, ``name`` its key in the changelog."""

    order: bytes
    name: bytes
    row: CommittedRow


class OutOfOrder(Exception):
    """A side did not come in the store's order, so that merging would find differences that there are not."""


class Shape:
    """What of a store's layout decides about order, names and expiry."""

    def __init__(self, spec: StoreSpec, interval_ms: int | None) -> None:
        self.kind, self._spec, self._interval_ms = spec.kind, spec, interval_ms or 1
        self.has_timestamps = spec.timestamped or spec.kind == "versioned"

    def place(self, row: CommittedRow) -> Row:
        """Return the row with its place and name."""
        if self.kind == "window":
            name = layouts.window_key(row.key, row.start or 0)
        elif self.kind == "session":
            name = layouts.session_key(row.key, row.start or 0, row.end or 0)
        else:
            return Row(row.key, row.key, row)
        return Row(layouts.LONG.pack((self._time(row) or 0) // self._interval_ms) + name, name, row)

    def said(self, row: CommittedRow) -> Said:
        """Return what the row says, in a form that can be kept and compared."""
        return self.digest(row.value, row.timestamp)

    def digest(self, value: bytes | None, timestamp: int | None) -> Said:
        """Return what a changelog record says, in the same form. A deletion has no time of its own."""
        if value is None:
            return None, None
        return hashlib.blake2b(value, digest_size=16).digest(), timestamp if self.has_timestamps else None

    def time_of(self, name: bytes) -> int | None:
        """Return the time of a changelog key, None where keys have none."""
        try:
            if self.kind == "window":
                return layouts.split_window_key(name)[1]
            if self.kind == "session":
                return layouts.split_session_key(name)[2]
        except ValueError:
            return None
        return None

    def is_expired(self, row: CommittedRow, observed: int) -> bool:
        """Say whether a row may have expired by the time of ``observed``."""
        time, retention = self._time(row), self._spec.retention_ms
        return time is not None and retention is not None and time <= observed - retention

    def _time(self, row: CommittedRow) -> int | None:
        return row.start if self.kind == "window" else row.end if self.kind == "session" else None


@dataclass
class Counts:
    """Rows by what came of them. ``moved_on`` agree, or cannot be told: they changed while they were read."""

    same: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    moved_on: int = 0
    expired: int = 0

    @property
    def differences(self) -> int:
        """How many rows are not what the changelog says."""
        return self.missing + self.extra + self.different


class Difference(NamedTuple):
    """One row that is not what the changelog says: ``missing`` in the store, ``extra`` in it, or ``different``."""

    what: str
    live: CommittedRow | None
    copy: CommittedRow | None


@dataclass
class Newer:
    """What the changelog said of the candidates after the copy: name -> all it said; those that cannot be told."""

    said: dict[bytes, set[Said]] = field(default_factory=dict)
    unsure: set[bytes] = field(default_factory=set)
    observed: int = -1


class Comparison:
    """Counts, and the first differences. ``kept_max`` bounds what is kept."""

    def __init__(self, shape: Shape, kept_max: int, observed: int) -> None:
        self.shape, self.counts, self.kept = shape, Counts(), []  # type: ignore[var-annotated]
        self.candidates: dict[bytes, tuple[CommittedRow | None, CommittedRow | None]] = {}
        self._kept_max, self._observed = kept_max, observed

    @property
    def compared(self) -> int:
        """How many rows have been looked at."""
        counts = self.counts
        return counts.same + counts.differences + counts.moved_on + counts.expired + len(self.candidates)

    def merge(self, live: Iterable[Row], copy: Iterable[Row]) -> Iterator[int]:
        """Go through both sides; yields the number of candidates after each row, for the caller to settle and to stop."""
        ours, theirs = _ordered(live, "The live store"), _ordered(copy, "The copy")
        left, right = next(ours, None), next(theirs, None)
        while left is not None or right is not None:
            if right is None or (left is not None and left.order < right.order):
                self.candidates[left.name] = (left.row, None)  # type: ignore[union-attr]
                left = next(ours, None)
            elif left is None or right.order < left.order:
                self.candidates[right.name] = (None, right.row)
                right = next(theirs, None)
            else:
                if self.shape.said(left.row) == self.shape.said(right.row):
                    self.counts.same += 1
                else:
                    self.candidates[left.name] = (left.row, right.row)
                left, right = next(ours, None), next(theirs, None)
            yield len(self.candidates)

    def settle(self, newer: Newer) -> None:
        """Decide about the candidates, which are gone then."""
        self._observed = max(self._observed, newer.observed)
        for name, (live, copy) in self.candidates.items():
            if any(row is not None and self.shape.is_expired(row, self._observed) for row in (live, copy)):
                self.counts.expired += 1
            elif name in newer.unsure or self._agrees(live, newer.said.get(name)):
                self.counts.moved_on += 1
            else:
                self._differs(live, copy)
        self.candidates.clear()

    def _agrees(self, live: CommittedRow | None, said: set[Said] | None) -> bool:
        seen: Said = (None, None) if live is None else self.shape.said(live)
        return said is not None and seen in said

    def _differs(self, live: CommittedRow | None, copy: CommittedRow | None) -> None:
        what = "missing" if live is None else "extra" if copy is None else "different"
        setattr(self.counts, what, getattr(self.counts, what) + 1)
        if len(self.kept) < self._kept_max:
            self.kept.append(Difference(what, live, copy))


def _ordered(rows: Iterable[Row], whose: str) -> Iterator[Row]:
    before: bytes | None = None
    for row in rows:
        if before is not None and row.order <= before:
            raise OutOfOrder(f"{whose} does not come in the order of its keys, so it cannot be compared row by row.")
        before = row.order
        yield row
