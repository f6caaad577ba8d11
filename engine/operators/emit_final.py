"""Emission of windows when they close (KIP-825): when to scan, and which part of the store.

Warts of Kafka Streams that are kept, because applications change hands: a scan happens at most every
`emit_interval_ms` of wall clock and only when a record comes; it runs after that record was put, so windows that stream
time jumps over may have expired from the store before they were seen. A longer retention avoids it.
"""

from __future__ import annotations

from engine.operators.context import NodeContext
from engine.topology.windows import SessionWindows, SlidingWindows, TimeWindows

NEVER = -1
NOTHING: tuple[int, int] | None = None


class CloseScan:
    """Remembers up to where windows were emitted, for one operator. Subclasses know each kind's arithmetic."""

    def __init__(self, context: NodeContext, store: str) -> None:
        self._context = context
        self._store = store
        self._next_time_to_emit = 0
        # Kafka Streams keeps it in its commit metadata, so that no window comes out twice after a restart.
        self.last_close = context.processor_times.get(store, NEVER)

    def due(self, close: int) -> tuple[int, int] | None:
        """The bounds, both inclusive, that must be scanned now that all before `close` is final; None: not now.

        Bounds are of window starts, or of session ends. The caller scans them before it asks again.
        """
        now = self._context.wall_clock()
        if now < self._next_time_to_emit:
            return NOTHING
        self._next_time_to_emit = now + self._context.emit_interval_ms
        if self.last_close != NEVER and self.last_close >= close:
            return NOTHING
        upper = self.upper(close)
        if upper < 0:
            return NOTHING
        lower = self.lower()
        if not self.worthwhile(lower, upper):
            return NOTHING
        self.last_close = self._context.processor_times[self._store] = close
        return lower, upper

    def upper(self, close: int) -> int:
        """The last start (session: end) that is final."""
        raise NotImplementedError

    def lower(self) -> int:
        """The first start (session: end) that no scan has covered."""
        raise NotImplementedError

    def worthwhile(self, lower: int, upper: int) -> bool:
        """Whether there can be anything within the bounds."""
        raise NotImplementedError


class TimeCloseScan(CloseScan):
    """Tumbling and hopping windows: final when their exclusive end is reached."""

    def __init__(self, context: NodeContext, store: str, windows: TimeWindows) -> None:
        super().__init__(context, store)
        self._windows = windows

    def upper(self, close: int) -> int:
        """The last start whose end is not after `close`."""
        return close - self._windows.size_ms

    def lower(self) -> int:
        """The start after the last one scanned."""
        return 0 if self.last_close == NEVER else max(0, self.last_close - self._windows.size_ms) + 1

    def worthwhile(self, lower: int, upper: int) -> bool:
        """Whether a window boundary lies between the bounds."""
        if self.last_close == NEVER:
            return True
        return self._windows.starts_for(upper) != self._windows.starts_for(lower - 1)


class SlidingCloseScan(CloseScan):
    """Sliding windows: final when their inclusive end has passed."""

    def __init__(self, context: NodeContext, store: str, windows: SlidingWindows) -> None:
        super().__init__(context, store)
        self._windows = windows

    def upper(self, close: int) -> int:
        """The last start whose end is before `close`."""
        return close - self._windows.difference_ms - 1

    def lower(self) -> int:
        """The start after the last one scanned."""
        return 0 if self.last_close == NEVER else max(0, self.last_close - self._windows.difference_ms)

    def worthwhile(self, lower: int, upper: int) -> bool:  # noqa: ARG002 - the other kinds need them
        """Any millisecond can end a sliding window."""
        return True


class SessionCloseScan(CloseScan):
    """Sessions: final when their inclusive end, the gap and the grace have passed; the bounds are of ends."""

    def __init__(self, context: NodeContext, store: str, windows: SessionWindows) -> None:
        super().__init__(context, store)
        self._windows = windows

    def upper(self, close: int) -> int:
        """The last end before `close`, which already allows for gap and grace."""
        return close - 1

    def lower(self) -> int:
        """The end after the last one scanned."""
        return max(0, self.last_close)

    def worthwhile(self, lower: int, upper: int) -> bool:
        """Whether the bounds are in order; a session can be a single millisecond."""
        return upper >= lower
