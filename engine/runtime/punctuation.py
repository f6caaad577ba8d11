"""Scheduled callbacks of one task, in stream time and in wall-clock time.

As in Kafka Streams: a stream-time schedule first fires at the first record, then whenever stream time has passed the
next multiple of the interval; a wall-clock schedule first fires one interval after it was made. A schedule that missed several
intervals fires once and keeps its grid. With `start_ms` the grid is anchored there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from engine.errors import ConfigError

STREAM_TIME = "stream-time"
WALL_CLOCK_TIME = "wall-clock-time"


class Punctuation:
    """One schedule; `cancel` stops it."""

    def __init__(self, interval_ms: int, callback: Callable[[int], None], due: int) -> None:
        self.interval_ms = interval_ms
        self.callback = callback
        self.due = due
        self.cancelled = False

    def cancel(self) -> None:
        """Stop calling; also from within the callback."""
        self.cancelled = True

    def fire(self, now: int) -> None:
        """Call back with `now` and move on along the grid past it."""
        missed = (now - self.due) // self.interval_ms
        self.due += (missed + 1) * self.interval_ms
        self.callback(now)


class Schedules:
    """The schedules of one task, each kind in a heap by the time at which it is due (ties: in order of making)."""

    def __init__(self) -> None:
        self.stream_time: list[tuple[int, int, Punctuation]] = []
        self.wall_clock: list[tuple[int, int, Punctuation]] = []
        self._made = count()

    def add(
        self,
        interval_ms: int,
        kind: str,
        callback: Callable[[int], None],
        start_ms: int | None,
        *,
        wall_clock: int,
        stream_time: int,
    ) -> Punctuation:
        """Schedule `callback` every `interval_ms`; raises ConfigError for an unknown kind or an interval below 1 ms."""
        if interval_ms < 1:
            raise ConfigError(f"a punctuation interval of {interval_ms} ms is too short: use at least 1 ms")
        if kind == STREAM_TIME:
            heap, due = self.stream_time, 0
        elif kind == WALL_CLOCK_TIME:
            heap, due = self.wall_clock, wall_clock + interval_ms
        else:
            raise ConfigError(f"{kind!r} is no kind of punctuation: use {STREAM_TIME!r} or {WALL_CLOCK_TIME!r}")
        if start_ms is not None:
            now = max(stream_time, 0) if kind == STREAM_TIME else wall_clock
            late = max(0, -(-(now - start_ms) // interval_ms))
            due = start_ms + late * interval_ms
        punctuation = Punctuation(interval_ms, callback, due)
        heapq.heappush(heap, (due, next(self._made), punctuation))
        return punctuation

    def stream_time_reached(self, stream_time: int) -> None:
        """Fire every stream-time schedule that is due, each once."""
        self._fire(self.stream_time, stream_time)

    def wall_clock_reached(self, now: int) -> None:
        """Fire every wall-clock schedule that is due, each once."""
        self._fire(self.wall_clock, now)

    def _fire(self, heap: list[tuple[int, int, Punctuation]], now: int) -> None:
        while heap and heap[0][0] <= now:
            _, made, punctuation = heapq.heappop(heap)
            if punctuation.cancelled:
                continue
            punctuation.fire(now)
            if not punctuation.cancelled:
                heapq.heappush(heap, (punctuation.due, made, punctuation))
