"""Standbys: copies of other instances' tasks that follow their changelogs, to be promoted in place.

    opening ──> following ──> (taken by a take-over of the same task: the open stores go on as they are)
       └────────────┴──────> closing

A standby is made where placement wants one (`placement`), or out of a task that leaves this instance: its open stores
stay. The loop hands standbys in and drops them; between the two they belong to the restorer's thread, which applies
changelog records in batches, each one write with its position in it. Other threads see `published`.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.changelog.restore import Reader, Restoring
from engine.errors import Retry, StatehouseError
from engine.runtime.take_over import Preparation, TaskStores

log = logging.getLogger(__name__)

# A standby that cannot be opened is no reason to stop processing: it is tried again.
RETRY_SECONDS = 2.0
FAILED_SECONDS = 30.0
# An idle copy tells in its checkpoint that it is still complete (see `_distrust` in take_over).
CHECKPOINT_SECONDS = 30.0
# After a kill a copy goes on from what is on disk: it is brought there once it has caught up, and every so often.
FLUSH_SECONDS = 300.0
MEASURE_SECONDS = 5.0


@dataclass(kw_only=True)
class Standby(TaskStores):
    """One standby task. `following`: its stores are open and read on; `error`: why they are not, in words."""

    following: bool = False
    error: str | None = None
    retry_at: float = 0.0
    checkpoint_at: float = 0.0
    flushed_at: float | None = None
    measured_at: float = 0.0

    @classmethod
    def of(cls, former: TaskStores) -> "Standby":
        """What remains of a take-over, or of a task, whose stores stay here: it goes on from where they stand."""
        stays = cls(
            task=former.task,
            sub_topology=former.sub_topology,
            partition=former.partition,
            context=former.context,
            specs=former.specs,
            changelogs=former.changelogs,
        )
        for name, opened in {**former.kept, **former.stores}.items():
            changelog, position = opened.changelog, opened.store.position
            if changelog is None or position is None:
                opened.store.flush()
                opened.store.close()
                continue
            stays.stores[name] = opened
            # What is known of the end is the position itself, until the first fetch.
            restoring = Restoring(
                former.task,
                name,
                changelog,
                former.partition,
                opened.store,
                position,
                position,
                "standby",
                follows=True,
            )
            restoring.phase, restoring.ended_at = "done", time.time()
            stays.restores.append(restoring)
        logged = {name for name, changelog in former.changelogs.items() if changelog is not None}
        if stays.stores.keys() != logged:
            stays.try_again()
        former.stores, former.kept = {}, {}
        return stays

    @property
    def caught_up(self) -> bool:
        """Whether every store has reached its changelog's end once."""
        return self.following and all(r.ended_at is not None for r in self.restores)

    @property
    def lag(self) -> int | None:
        """How many records it is behind, all stores together; None while it is not open, or never looked at the ends."""
        return sum(max(0, r.end - r.position) for r in self.restores) if self.following else None

    def restoring(self, store: str) -> Restoring | None:
        """How far one store has come."""
        return next((r for r in self.restores if r.store_name == store), None)


class Standbys:
    """The standbys of an instance. `hold`, `drop` and `published` are for any thread, the rest for the restorer's."""

    def __init__(self, reader: Reader, preparation: Preparation) -> None:
        self._reader = reader
        self._preparation = preparation
        self._lock = threading.Lock()
        self._by_task: dict[str, Standby] = {}
        self._closing: deque[Standby] = deque()
        self._paused = False
        # What is told in words to whoever runs the instance.
        self.note: Callable[[str], None] = log.warning
        self.published: tuple[Standby, ...] = ()

    def hold(self, standby: Standby) -> None:
        """Have a standby, instead of one of the same task that there may be."""
        with self._lock:
            former = self._by_task.pop(standby.task, None)
            if former is not None:
                self._closing.append(former)
            self._by_task[standby.task] = standby
            self._publish()

    def drop(self, task: str) -> None:
        """Let a standby go: its stores are closed, and its files stay until they are tidied up."""
        with self._lock:
            former = self._by_task.pop(task, None)
            if former is not None:
                self._closing.append(former)
            self._publish()

    def get(self, task: str) -> Standby | None:
        """The standby of a task."""
        return self._by_task.get(task)

    # -- the restorer's thread ----------------------------------------------------------------------------------------

    def take(self, task: str) -> Standby | None:
        """Give a standby to the take-over of its task: it is read no more and is the caller's.

        One that was dropped is closed before this returns, so that the caller can open its files.
        """
        self._close_dropped()
        with self._lock:
            standby = self._by_task.pop(task, None)
            self._publish()
        if standby is not None:
            self._stop_reading(standby)
        return standby

    def turn(self, *, busy: bool) -> None:
        """Close, open and follow what is due. While tasks restore (`busy`) standbys stand still: their turn comes."""
        self._close_dropped()
        if not busy:
            self._begin_one()
        with self._lock:
            held = list(self._by_task.values())
        if busy != self._paused:
            restores = [r for standby in held if standby.following for r in standby.restores]
            (self._reader.pause if busy else self._reader.resume)(restores)
            self._paused = busy
        for standby in held:
            if standby.following:
                try:
                    self._checkpoint(standby)
                    _flush(standby)
                    _measure(standby)
                except StatehouseError as error:
                    # Damage that a reader may have met.
                    self._open_again(standby, error)

    def fail(self, place: tuple[str, int] | None, error: Exception) -> bool:
        """Whether it was a standby that failed at `place`; then it is closed and opened again later."""
        with self._lock:
            found = [s for s in self._by_task.values() if any(r.place == place for r in s.restores)]
        for standby in found:
            self._open_again(standby, error)
        return bool(found)

    def _open_again(self, standby: Standby, error: Exception) -> None:
        self.note(f"the standby of task {standby.task} is opened again: {error}")
        self._stop_reading(standby)
        standby.close(clean=False)
        self._put_off(standby, error)

    def close(self) -> None:
        """Close all of them, with what they have on disk."""
        with self._lock:
            self._closing.extend(self._by_task.values())
            self._by_task.clear()
            self._publish()
        self._close_dropped()

    def _close_dropped(self) -> None:
        while self._closing:
            standby = self._closing.popleft()
            self._stop_reading(standby)
            standby.close(clean=True)

    def _begin_one(self) -> None:
        """Open one that waits: each costs a question to the brokers, and take-overs come first."""
        now = time.monotonic()
        with self._lock:
            waiting = [s for s in self._by_task.values() if not s.following and s.retry_at <= now]
        if not waiting:
            return
        standby = waiting[0]
        try:
            if not standby.restores:
                self._preparation.open_standby(standby)
        except Retry as error:
            standby.try_again()
            self._put_off(standby, error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the instance goes on
            self.note(f"the standby of task {standby.task} cannot be opened: {error}")
            standby.close(clean=False)
            self._put_off(standby, error)
            return
        for restoring in standby.restores:
            if restoring.done and restoring.ended_at is None:
                restoring.phase, restoring.ended_at = "done", time.time()
            self._reader.add(restoring)
        standby.following, standby.error = True, None

    def _put_off(self, standby: Standby, error: Exception) -> None:
        standby.following, standby.error = False, str(error)
        standby.restores = []
        standby.retry_at = time.monotonic() + (RETRY_SECONDS if isinstance(error, Retry) else FAILED_SECONDS)

    def _stop_reading(self, standby: Standby) -> None:
        for restoring in standby.restores:
            self._reader.remove(restoring)
        standby.following = False

    def _checkpoint(self, standby: Standby) -> None:
        now = time.monotonic()
        if now - standby.checkpoint_at >= CHECKPOINT_SECONDS:
            standby.checkpoint_at = now
            for restoring in standby.restores:
                if restoring.done and restoring.place in self._reader.reading:
                    restoring.store.restore([], restoring.position)

    def _publish(self) -> None:
        self.published = tuple(self._by_task.values())


def _flush(standby: Standby) -> None:
    """Bring to disk what is due."""
    now = time.monotonic()
    if standby.flushed_at is None and not standby.caught_up:
        return
    if standby.flushed_at is None or now - standby.flushed_at >= FLUSH_SECONDS:
        standby.flushed_at = now
        for opened in standby.stores.values():
            opened.store.flush()


def _measure(standby: Standby) -> None:
    """Look at sizes now and then, for those who show them."""
    now = time.monotonic()
    if now - standby.measured_at >= MEASURE_SECONDS:
        standby.measured_at = now
        for opened in standby.stores.values():
            opened.keys_estimate = opened.store.approximate_num_entries()
            opened.size_bytes = opened.store.bytes()
