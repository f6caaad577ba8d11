"""What happened, into the database: applications, lives of instances, events, restores, ownership, lag samples.

The observer's main thread notes; a thread of its own writes, so a slow or absent database delays history and nothing
else. Notes are coalesced by key while the database is away; events and samples are kept up to a bound. Writing the same
thing twice changes nothing: the topic is read from its beginning at every start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import DatabaseError, close_old_connections, connection

from console import limits
from console.lag import history as lag_history
from console.observe import lives, ownership, sizes
from engine.control import status

if TYPE_CHECKING:
    from console.lag.history import Row
    from console.lag.windows import Place
    from console.observe.latest import Ending

logger = logging.getLogger(__name__)

_WRITE_EVERY_S = 0.5
_BACKOFF_MAX_S = 5.0
# Ten minutes of a lively cluster; older ones are counted as lost, not kept until memory ends.
_EVENTS_MAX = 20_000
_SAMPLES_MAX = 100_000


@dataclass(slots=True)
class Notes:
    """What waits to be written."""

    records: dict[str, status.StatusRecord] = field(default_factory=dict)
    ended: list[tuple[status.StatusRecord, Ending, int]] = field(default_factory=list)
    events: deque[status.EventStatus] = field(default_factory=lambda: deque(maxlen=_EVENTS_MAX))
    samples: deque[Row] = field(default_factory=lambda: deque(maxlen=_SAMPLES_MAX))
    sizes: deque[sizes.Row] = field(default_factory=lambda: deque(maxlen=_SAMPLES_MAX))

    def __bool__(self) -> bool:
        return bool(self.records or self.ended or self.events or self.samples or self.sizes)


class History:
    """Call ``note``, ``end`` and ``sample`` from the observer's thread; ``start`` and ``close`` around them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes = Notes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._writer = lives.Writer()
        self._reconcile: set[str] | None = None
        self._looks: dict[str, dict[Place, list[lag_history.Look]]] = {}
        self._is_remembered = False
        self._observed_at = float("-inf")
        self.problem: str | None = None
        self.lost_total = 0

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, then stop; gives up after a few seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def note(self, record: status.StatusRecord) -> None:
        """Take a record that counts."""
        with self._lock:
            if isinstance(record, status.EventStatus):
                self.lost_total += len(self._notes.events) == _EVENTS_MAX
                self._notes.events.append(record)
            else:
                self._notes.records[record.key] = record

    def end(self, record: status.StatusRecord, ending: Ending, at_ms: int) -> None:
        """Note that what a record described has ended."""
        with self._lock:
            self._notes.records.pop(record.key, None)
            self._notes.ended.append((record, ending, at_ms))

    def sample(self, rows: list[Row]) -> None:
        """Take lag samples."""
        with self._lock:
            self._notes.samples.extend(rows)

    def sample_sizes(self, rows: list[sizes.Row]) -> None:
        """Take samples of stores' sizes."""
        with self._lock:
            self._notes.sizes.extend(rows)

    def reconcile(self, alive: set[str]) -> None:
        """After the topic has been read once: close what stands open in the database but is not among these kafka keys."""
        with self._lock:
            self._reconcile = alive

    def looks(self, application: str) -> dict[Place, list[lag_history.Look]]:
        """Return, once, what the database knew of the application's end offsets when this run began."""
        with self._lock:
            return self._looks.pop(application, {})

    def write(self) -> None:
        """Write what waits, once. Raises ``DatabaseError`` and keeps the notes."""
        with self._lock:
            notes, self._notes = self._notes, Notes()
            alive, self._reconcile = self._reconcile, None
        try:
            if not self._is_remembered:
                found = lag_history.looks(time.time_ns() // 1_000_000)
                with self._lock:
                    self._looks, self._is_remembered = found, True
            if time.monotonic() - self._observed_at > limits.OBSERVED_INTERVAL_MS / 1000:
                ownership.note_observed(time.time_ns() // 1_000_000)
                self._observed_at = time.monotonic()
            if notes:
                self._writer.write(notes.records, notes.ended, list(notes.events))
                notes.records, notes.ended, notes.events = {}, [], deque(maxlen=_EVENTS_MAX)
                lag_history.store(list(notes.samples))
                notes.samples.clear()
                sizes.store(list(notes.sizes))
            if alive is not None:
                self._writer.close_open(alive)
        except BaseException:
            self._give_back(notes, alive)
            raise

    def _give_back(self, notes: Notes, alive: set[str] | None) -> None:
        with self._lock:
            newer, self._notes = self._notes, notes
            # What was noted meanwhile comes after what is given back; an end outlives an older record of the same key.
            gone = {record.key for record, _, _ in newer.ended}
            for key in gone:
                notes.records.pop(key, None)
            notes.records |= newer.records
            notes.ended += newer.ended
            notes.events.extend(newer.events)
            notes.samples.extend(newer.samples)
            notes.sizes.extend(newer.sizes)
            self._reconcile = self._reconcile if self._reconcile is not None else alive

    def _run(self) -> None:
        wait_s = _WRITE_EVERY_S
        while not self._stop.wait(wait_s):
            wait_s = self._write_or_wait(wait_s)
        self._write_or_wait(wait_s)
        connection.close()

    def _write_or_wait(self, wait_s: float) -> float:
        started = time.monotonic()
        try:
            close_old_connections()
            self.write()
        except DatabaseError as error:
            self.problem = f"the database does not take history: {error}"
            logger.warning("history-waits: %s", error)
            connection.close()
            return min(wait_s * 2, _BACKOFF_MAX_S)
        except Exception:
            # A mistake of ours must not end history for good; the notes of this round are the price.
            logger.exception("history-failed")
            with self._lock:
                self._notes = Notes()
            return _BACKOFF_MAX_S
        self.problem = None
        return max(_WRITE_EVERY_S, 2 * (time.monotonic() - started))
