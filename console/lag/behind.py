"""Lag in time: how long ago the end of a partition passed the offset that is to be read next.

Record timestamps cannot say that: producers set them (a replay of last year's records is not a year behind), compaction
and retention take the records away that would be asked, and an idle topic has no new ones. When its end passed an offset
can be observed instead. One ``Ends`` a partition keeps when each end was first and last seen; the record at an offset
was appended between the last look at which the end was not beyond it and the first at which it was.

- *Idle topics*: an end that stands still keeps one span, so waiting records age by the clock, and the time between two
  bursts is not spread over the records.
- *Compacted topics*: offsets never move, whatever compaction takes away.
- *Truncated topics*: what was deleted cannot be read any more, so the age is that of the first record which still is.
- Where the offset is older than the first look, that look is only a lower bound, and said to be one.

Pure; owned by the observer's main thread. All times are ms of the observer's clock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

How = Literal["caught-up", "measured", "interpolated", "at-least"]

WORDS: dict[str, str] = {
    "caught-up": "Nothing is waiting.",
    "measured": "From when the end of the partition passed this offset, as it was observed.",
    "interpolated": "Between two looks at the end that lie far apart: the share of the records between them decides.",
    "at-least": "It waited already when observation of this partition began: this long at least.",
}
# Ends kept for a partition; above it every second of the older half goes, so that old ages lose precision, not new ones.
_ENDS_MAX = 96
# Two looks this close name a moment; further apart the answer is called interpolated.
_MOMENT_MS = 15_000


class Behind(NamedTuple):
    """How long the next record has waited, and how that is known; (None, None) is unknown."""

    ms: int | None
    how: How | None


UNKNOWN = Behind(None, None)
CAUGHT_UP = Behind(0, "caught-up")


class Ends:
    """When the end of one partition was where."""

    __slots__ = ("_end", "_first", "_last")

    def __init__(self) -> None:
        self._end = array("q")
        self._first = array("q")
        self._last = array("q")

    def note(self, end: int, at: int) -> None:
        """Take one look. An end that goes back belongs to another life of the topic: what was known of the former goes."""
        if self._end and end < self._end[-1]:
            self._forget(len(self._end))
        if self._end and end == self._end[-1]:
            self._last[-1] = max(self._last[-1], at)
            return
        if self._end and at <= self._last[-1]:
            return
        self._end.append(end)
        self._first.append(at)
        self._last.append(at)
        if len(self._end) > _ENDS_MAX:
            half = len(self._end) // 2
            for column in (self._end, self._first, self._last):
                column[: half + half % 2] = column[: half + half % 2 : 2]

    def older(self, looks: Iterable[tuple[int, int, int]]) -> None:
        """Put recorded looks, (end, first, last) oldest first, before those of this run."""
        newest = Ends()
        newest._end, newest._first, newest._last = self._end, self._first, self._last
        self._end, self._first, self._last = array("q"), array("q"), array("q")
        for end, first, last in looks:
            if newest._end and (end > newest._end[0] or first >= newest._first[0]):
                break
            self.note(end, first)
            self.note(end, last)
        for end, first, last in zip(newest._end, newest._first, newest._last, strict=True):
            self.note(end, first)
            self.note(end, last)

    def passed(self, position: int) -> None:
        """Drop what no question can need any more: a position never goes back below what was committed by much."""
        gone = bisect_right(self._end, position) - 2
        if gone > 0:
            self._forget(gone)

    def behind(self, position: int, now: int) -> Behind:
        """Return how long the record at ``position`` has waited."""
        after = bisect_right(self._end, position)
        if after == len(self._end):
            # The end was not beyond it when last looked at: nothing known to wait.
            return CAUGHT_UP if self._end else UNKNOWN
        if after == 0:
            return Behind(max(now - self._first[0], 0), "at-least")
        low, high = self._last[after - 1], self._first[after]
        share = (position - self._end[after - 1]) / (self._end[after] - self._end[after - 1])
        came = low + share * (high - low)
        return Behind(max(round(now - came), 0), "measured" if high - low <= _MOMENT_MS else "interpolated")

    def _forget(self, count: int) -> None:
        for column in (self._end, self._first, self._last):
            del column[:count]
