"""How fast the restore thread reads: beside a busy loop a share of the time, beside an idle one all of it, and never above a bound in bytes.

Loop and restore thread take turns for one interpreter, so what one takes the other lacks. After each batch the thread waits until
its CPU time is no more than its share of the time that went by; the share is what the loop leaves, and `share_min` at least, lest a busy
loop starve a restore. Batches are small meanwhile, for the loop cannot interrupt one everywhere.

Owner: the restorer's thread. The loop is looked at from outside and never waits for this.
"""

import time
from collections.abc import Callable

from engine.changelog.restore import BATCH_RECORDS

# The share follows what the loop did in the last stretch of this length: a few of its turns.
LOOK_SECONDS = 0.25
# Beside a loop with work a batch takes about so much CPU time, twice the interpreter's own turn.
PIECE_SECONDS = 0.01
PIECE_RECORDS_MIN = 500
# A throttled restore takes its share in pieces of this length, and begins with a small one.
THROTTLE_SECONDS = 0.25
THROTTLED_RECORDS_FIRST = 100


class Pace:
    """When to read next, and how many records at most.

    `share_min` is above 0 and at most 1, which yields to nobody. `loop_busy_seconds` returns how long the loop has worked
    since its start. `throttled_seconds` and `yielded_seconds` are what was waited for either reason, in all.
    """

    def __init__(
        self,
        *,
        bytes_per_second_max: int | None = None,
        share_min: float = 1.0,
        loop_busy_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._bytes_per_second_max = bytes_per_second_max
        self._share_min = share_min
        self._loop_busy_seconds = loop_busy_seconds
        self._looked_at = 0.0
        self._busy_seconds = 0.0
        self._resumes_at = 0.0
        self.share = 1.0
        self.records_max = THROTTLED_RECORDS_FIRST if bytes_per_second_max else BATCH_RECORDS
        self.throttled_seconds = 0.0
        self.yielded_seconds = 0.0

    @property
    def throttles(self) -> bool:
        """Whether there is a bound in bytes."""
        return self._bytes_per_second_max is not None

    @property
    def wait_seconds(self) -> float:
        """How long to read nothing from now on; 0 or less: read."""
        return self._resumes_at - time.monotonic()

    def note(self, records: int, size: int, seconds: float, cpu_seconds: float, *, yields: bool) -> None:
        """Take note of a batch: its records and bytes, how long it took, and what it took of the processor.

        `yields` says whether it makes way for the loop: restores do, copies that are caught up and follow do not.
        """
        if not records:
            return
        throttled = yielded = 0.0
        self.records_max = BATCH_RECORDS
        if self._bytes_per_second_max and size:
            throttled = max(0.0, size / self._bytes_per_second_max - seconds)
            self._read_for(THROTTLE_SECONDS, records, size / self._bytes_per_second_max)
        self._look()
        if yields and self.share < 1:
            yielded = max(0.0, cpu_seconds / self.share - seconds)
            self._read_for(PIECE_SECONDS, records, cpu_seconds, PIECE_RECORDS_MIN)
        self.throttled_seconds += throttled
        self.yielded_seconds += max(0.0, yielded - throttled)
        self._resumes_at = time.monotonic() + max(throttled, yielded)

    def _read_for(self, seconds: float, records: int, took: float, records_min: int = 1) -> None:
        """Let the next batch take about `seconds` where the last one of `records` took `took`."""
        fit = int(records * seconds / took) if took > 0 else BATCH_RECORDS
        self.records_max = min(self.records_max, max(fit, records_min))

    def _look(self) -> None:
        """Give the restore what the loop left since the last look, or its least."""
        now = time.monotonic()
        passed = now - self._looked_at
        if passed < LOOK_SECONDS:
            return
        busy_seconds = self._loop_busy_seconds()
        left = 1 - (busy_seconds - self._busy_seconds) / passed
        self.share = min(1.0, max(self._share_min, left))
        self._looked_at, self._busy_seconds = now, busy_seconds
