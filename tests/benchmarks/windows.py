"""Stretches of one engine's run, measured so that kinds of stretches can alternate within it and be compared in pairs."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

# A loop counts its records by the batch: a window ends where a batch does, or nothing is processed.
BATCH_SECONDS_MAX = 3.0
TICK_SECONDS = 0.002


@dataclass(frozen=True)
class Window:
    """What the engine processed and restored in so many seconds, and the CPU seconds of its process."""

    processed: int
    restored: int
    seconds: float
    cpu_seconds: float

    @property
    def processed_per_second(self) -> float:
        """Records that tasks processed."""
        return self.processed / self.seconds

    @property
    def restored_per_second(self) -> float:
        """Changelog records that went into stores."""
        return self.restored / self.seconds

    @property
    def cpu_us_per_record(self) -> float:
        """CPU time of all threads of the process, in µs, for a processed record."""
        return self.cpu_seconds * 1e6 / self.processed


def measure(engine: Any, seconds: float) -> Window:
    """Let an engine of this process go on for `seconds`, from the end of a batch to the end of another."""
    began = _batch_end(engine)
    time.sleep(seconds)
    ended = _batch_end(engine)
    return Window(*(after - before for before, after in zip(began, ended, strict=True)))


def _batch_end(engine: Any) -> tuple[int, int, float, float]:
    """Counters as they are where a batch has just ended."""
    before, deadline = engine.loop.processed_total, time.monotonic() + BATCH_SECONDS_MAX
    if any(not task.held for task in engine.tasks.running()):
        while engine.loop.processed_total == before and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)
    restored = sum(r.records for wanted in list(engine.tasks.take_overs.values()) for r in wanted.restores)
    return engine.loop.processed_total, restored, time.monotonic(), time.process_time()


def hold(engine: Any, *, held: bool) -> None:
    """Let the running tasks stand still, or go on."""
    for task in engine.tasks.running():
        task.held = held


def spread(ratios: list[float]) -> str:
    """The median, with the least and the most."""
    if not ratios:
        return "not measured"
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
