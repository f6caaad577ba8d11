"""The restore thread: takes tasks over and brings their stores up to their changelogs, beside processing.

The loop hands in take-overs and collects them when they are done; in between the stores belong to this thread, which lends
large ones to processes of their own (`restore_processes`). Several partitions are read at once, first what readers ask for, then what is furthest behind. A cancelled take-over keeps what
it restored: it stays as a standby, or on disk, and the next owner here goes on from there. The same thread follows the
changelogs of standbys (`standby`) while nothing restores; a task that has one is taken over with its open stores.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from engine.changelog.restore import POLL_SECONDS, Reader, Restoring
from engine.changelog.topics import Topics
from engine.errors import BrokerUnavailable, Fatal, Retry, StopEngine, TaskCorrupted
from engine.runtime.restore_pace import Pace
from engine.runtime.restore_processes import RestoreProcesses
from engine.runtime.standby import Standby, Standbys
from engine.runtime.state_directory import StateDirectory
from engine.runtime.swap import Swap
from engine.runtime.take_over import Preparation, TakeOver
from engine.stores import memory_budget

log = logging.getLogger(__name__)

# How long one question for committed offsets may hold up the restores beside it. A client that gave up a question drops
# its connection, so brokers that take longer would never be heard: with nothing to hold up, each question waits twice
# as long as the one before, so many times.
OFFSETS_SECONDS = 1.0
OFFSETS_DOUBLINGS_MAX = 2
IDLE_SECONDS = 0.05
STOP_SECONDS = 30.0
# With only standbys to follow, submitted tasks wait no longer than this.
FOLLOW_SECONDS = 0.05
# A restore of so few records is over before others have begun; one that is not is like the others.
NEAR_RECORDS = 1_000
NEAR_SECONDS = 10.0
# Who was refused so long ago asks no more.
ASKED_SECONDS = 30.0


class Restorer:
    """Owns the restore thread. `submit`, `cancel` and `finished` are for the loop's thread.

    `began` is called on its own thread with each restore of a task that has applied its first records.
    """

    def __init__(
        self,
        topics: Topics,
        directory: StateDirectory,
        client: Mapping[str, Any],
        group: str,
        *,
        pace: Pace,
        partitions_max: int = 8,
        processes_max: int = 0,
        write_buffer_bytes: int = memory_budget.WRITE_BUFFER_BYTES,
        began: Callable[[Restoring], None] = lambda _restoring: None,
        lost: Collection[tuple[str, str]] = (),
    ) -> None:
        self._began = began
        self._reader = Reader(client, group)
        self._preparation = Preparation(topics, directory, self._reader.committed, lost)
        self.processes = RestoreProcesses(
            client,
            group,
            self._preparation.reopen,
            self.wake,
            # What is throttled is slow on purpose: one reader keeps the bound.
            processes_max=0 if pace.throttles else min(processes_max, partitions_max),
            write_buffer_bytes=write_buffer_bytes,
        )
        self.standbys = Standbys(self._reader, self._preparation)
        self.pace = pace
        self._partitions_max = partitions_max
        self._waiting: deque[TakeOver] = deque()
        self._restoring: list[TakeOver] = []
        self._finished: deque[TakeOver] = deque()
        self._following: list[Swap] = []
        # Held while finished take-overs change hands or are closed.
        self._handing_over = threading.Lock()
        self._wake = threading.Event()
        self._held_back: dict[tuple[str, int], Restoring] = {}
        self._stopping = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="restorer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, wanted: TakeOver) -> None:
        """Take a task over; it appears in `finished` once it may run, or with the error that stops it."""
        self._waiting.append(wanted)
        self._wake.set()

    def cancel(self, wanted: TakeOver, *, stays: bool = False) -> None:
        """The task is no longer ours and never appears in `finished`: it becomes a standby, or is closed as it is."""
        wanted.stays = stays
        wanted.cancelled = True
        self._wake.set()

    def follow(self, swap: Swap) -> None:
        """Bring a rebuilt store up to its changelog and keep it there until the loop takes it."""
        self._following.append(swap)
        self._wake.set()

    def wake(self) -> None:
        """Look at the swaps now: one has been given up, or waits for its store."""
        self._wake.set()

    def finished(self) -> list[TakeOver]:
        """Take-overs that ended since the last call; raises what ended the restorer's thread, without which none would."""
        if self._failure is not None:
            raise self._failure
        found = []
        with self._handing_over:
            while self._finished:
                wanted = self._finished.popleft()
                if wanted.cancelled:
                    self._dispose(wanted)
                else:
                    found.append(wanted)
        return found

    @property
    def busy(self) -> bool:
        """Whether anything waits or restores."""
        return bool(self._waiting or self._restoring or self._finished)

    def stop(self) -> None:
        """End the thread; stores on their way are closed with what they have."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                log.warning("the restorer did not end within %.0f s: it still waits for the brokers", STOP_SECONDS)
        self.finished_after_stop()

    def finished_after_stop(self) -> None:
        """Close what nobody collected."""
        while self._finished:
            self._finished.popleft().close(clean=True)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._drop_cancelled()
                self._prepare()
                self._lend()
                self._admit()
                self._follow()
                self.standbys.turn(busy=self._reads_for_tasks())
                paused = self.pace.wait_seconds
                if self._reader.reading and paused <= 0:
                    self._restore()
                elif paused > 0 or not self._waiting or self._restoring:
                    self._wake.wait(min(paused, IDLE_SECONDS) if paused > 0 else IDLE_SECONDS)
                    self._wake.clear()
        except Exception as error:
            log.exception("the restorer's thread ended")
            self._failure = error if isinstance(error, StopEngine) else Fatal(f"the restorer's thread ended: {error!r}")
        finally:
            self.processes.close()
            for wanted in (*self._restoring, *self._waiting):
                self._end(wanted)
                wanted.close(clean=True)
            self.standbys.close()
            self._reader.close()

    def _reads_for_tasks(self) -> bool:
        """Whether this thread restores, and not only processes do."""
        reading = self._reader.reading
        return any(reading.get(r.place) is r for wanted in self._restoring for r in wanted.restores)

    def _prepare(self) -> None:
        """Take over what waits. A pending transaction puts its task behind the others."""
        for _ in range(len(self._waiting)):
            wanted = self._waiting.popleft()
            if wanted.cancelled:
                self._dispose(wanted)
                continue
            self._let_go(wanted.task)
            if any(former.task == wanted.task for former in self._restoring):
                # A process still has a store of a former take-over.
                self._waiting.append(wanted)
                continue
            self._promote(wanted)
            try:
                ready = self._preparation.prepare(wanted, self._patience(wanted))
            except BrokerUnavailable as error:
                log.warning("task %s waits: %s", wanted.task, error)
                self._retry(wanted)
            except Exception as error:  # noqa: BLE001 - it is handed to the loop, which decides
                self._fail(wanted, error)
            else:
                if ready:
                    self._begin(wanted)
                else:
                    self._waiting.append(wanted)
                    wanted.note_pending()
                    if self._restoring:
                        # Asking took its time, and others are on their way.
                        return

    def _patience(self, wanted: TakeOver) -> float:
        """Seconds that the next question for its committed offsets may take."""
        doublings = 0 if self._restoring else min(wanted.pending, OFFSETS_DOUBLINGS_MAX)
        return OFFSETS_SECONDS * float(2**doublings)

    def _let_go(self, task: str) -> None:
        """Close what an earlier, cancelled take-over of the same task still holds open."""
        self._drop_cancelled()
        with self._handing_over:
            for former in [w for w in self._finished if w.cancelled and w.task == task]:
                self._finished.remove(former)
                self._dispose(former)

    def _promote(self, wanted: TakeOver) -> None:
        """Go on with the open stores of the task's standby, if there is one."""
        standby = self.standbys.take(wanted.task)
        if standby is not None:
            wanted.context = standby.context
            wanted.kept = {**standby.kept, **standby.stores}

    def _dispose(self, wanted: TakeOver) -> None:
        """A cancelled take-over ends."""
        logged = any(changelog is not None for changelog in wanted.changelogs.values())
        if wanted.stays and wanted.error is None and logged:
            self.standbys.hold(Standby.of(wanted))
        else:
            wanted.close(clean=True)

    def _retry(self, wanted: TakeOver) -> None:
        wanted.try_again()
        self._waiting.append(wanted)
        time.sleep(IDLE_SECONDS)

    def _begin(self, wanted: TakeOver) -> None:
        for restoring in wanted.restores:
            if restoring.done:
                _finish(restoring)
        self._restoring.append(wanted)
        self._collect()

    def _lend(self) -> None:
        """Take back what processes are done with, and give them what is most wanted of what suits them."""
        for wanted, error in self.processes.turn():
            self._fail(wanted, error)
        self._collect()
        suiting = [
            (wanted, restoring)
            for wanted in self._restoring
            for restoring in wanted.restores
            if not wanted.cancelled and wanted.error is None and self._for_process(wanted, restoring)
        ]
        suiting.sort(key=lambda pair: _urgency(pair[1]), reverse=True)
        for wanted, restoring in suiting[: max(self.processes.room, 0)]:
            directory = self._preparation.directory_of(wanted, wanted.stores[restoring.store_name])
            try:
                self.processes.lend(wanted, restoring, directory)
            except Exception as error:  # noqa: BLE001 - it is handed to the loop, which decides
                self._fail(wanted, error)

    def _for_process(self, wanted: TakeOver, restoring: Restoring) -> bool:
        return (
            not restoring.done
            and not restoring.lent
            and restoring.place not in self._reader.reading
            and self.processes.suits(wanted.specs[restoring.store_name], restoring)
        )

    def _admit(self) -> None:
        """Read what is most wanted, as many partitions as there is room for.

        What is nearly there, by a transaction's marker often, goes before everything: it must not queue behind records that
        were fetched for others.
        """
        reading = self._reader.reading
        every = [
            restoring
            for wanted in self._restoring
            # One that was cancelled amid this turn may have come back from a process with its store closed.
            if not wanted.cancelled
            for restoring in wanted.restores
            if not (restoring.done or restoring.lent or wanted.error or self._for_process(wanted, restoring))
        ]
        lately = time.time() - NEAR_SECONDS
        near = [r for r in every if r.end - r.position <= NEAR_RECORDS and r.began_at > lately]
        self._hold_back([r for r in every if not any(r is n for n in near)] if near else [])
        under_way = [r for r in every if reading.get(r.place) is r]
        waiting = [r for r in near or every if reading.get(r.place) is not r]
        room = len(waiting) if near else self._partitions_max - len(under_way)
        if waiting and room > 0:
            waiting.sort(key=_urgency, reverse=True)
            for restoring in waiting[:room]:
                self._reader.add(restoring)

    def _hold_back(self, restorings: list[Restoring]) -> None:
        """Let those of them that are read stand still, and let go on who stood still before."""
        held = {r.place: r for r in restorings if self._reader.reading.get(r.place) is r}
        if held.keys() != self._held_back.keys():
            self._reader.resume([r for place, r in self._held_back.items() if place not in held])
            self._reader.pause([r for place, r in held.items() if place not in self._held_back])
            self._held_back = held

    def _restore(self) -> None:
        # A standby that has caught up keeps in step with the loop of another instance, and is no restore.
        yields = any(restoring.ended_at is None for restoring in self._reader.reading.values())
        began, cpu_began = time.monotonic(), time.thread_time()
        try:
            size = self._reader.step(POLL_SECONDS if self._restoring else FOLLOW_SECONDS, self.pace.records_max)
        except Exception as error:  # noqa: BLE001 - each has its reaction
            self._failed_step(error)
            self._reader.rewind()
            return
        self._collect()
        seconds, cpu_seconds = time.monotonic() - began, time.thread_time() - cpu_began
        self.pace.note(self._reader.polled, size, seconds, cpu_seconds, yields=yields)

    def _failed_step(self, error: Exception) -> None:
        if self.standbys.fail(self._reader.failed, error):
            return
        if isinstance(error, Retry) or not (self._restoring or self._following):
            # Without a restore it is nobody's but the standbys', which are read on from where they stand.
            log.warning("restoring waits: %s", error)
            time.sleep(IDLE_SECONDS)
            return
        # A changelog that moved under a restore, or that may not be read, is named: the others are read on. What else
        # there is the loop decides about.
        place = self._reader.failed
        for wanted in list(self._restoring):
            concerned = place is None or any(restoring.place == place for restoring in wanted.restores)
            if concerned and not (isinstance(error, TaskCorrupted) and wanted.done):
                self._fail(wanted, error)
        for swap in self._following:
            concerned = swap.restoring is not None and swap.restoring.place == place
            if concerned or (place is None and not isinstance(error, TaskCorrupted)):
                swap.move("failed", str(error))

    def _collect(self) -> None:
        for wanted in list(self._restoring):
            for restoring in wanted.restores:
                if restoring.records and not restoring.told:
                    # Not before: most that have anything to pass have a transaction's marker, and nothing to restore.
                    restoring.told = True
                    self._began(restoring)
                if restoring.done and restoring.place in self._reader.reading:
                    self._reader.remove(restoring)
            if wanted.done and wanted.error is None and not wanted.cancelled:
                self._restoring.remove(wanted)
                self._finished.append(wanted)

    def _drop_cancelled(self) -> None:
        for wanted in [w for w in self._restoring if w.cancelled or w.error]:
            self._end(wanted)
            if self.processes.recall(wanted):
                continue
            if wanted.cancelled:
                self._restoring.remove(wanted)
                self._dispose(wanted)
            elif wanted.error is not None:
                self._fail(wanted, wanted.error)

    def _fail(self, wanted: TakeOver, error: Exception) -> None:
        self._end(wanted)
        if self.processes.recall(wanted):
            # Told once all its stores are back.
            wanted.error = error
            return
        wanted.close(clean=False)
        if wanted in self._restoring:
            self._restoring.remove(wanted)
        wanted.error = error
        self._finished.append(wanted)

    def _end(self, wanted: TakeOver) -> None:
        for restoring in wanted.restores:
            self._reader.remove(restoring)

    # -- stores that are to be swapped in ------------------------------------------------------------------------------

    def _follow(self) -> None:
        for swap in list(self._following):
            try:
                self._advance(swap)
            except Exception as error:  # noqa: BLE001 - it ends this swap, with its words
                if not swap.ended:
                    swap.move("failed", str(error))
            if swap.phase in {"handed-over", "swapped", "failed"}:
                self._following.remove(swap)
                if swap.restoring is not None:
                    self._reader.remove(swap.restoring)
                if swap.phase == "failed":
                    swap.discard()

    def _advance(self, swap: Swap) -> None:
        if swap.phase == "opening":
            swap.opened, swap.restoring = self._preparation.open_staged(swap.task, swap.store, swap.generation)
            self._reader.add(swap.restoring)
            swap.move("replaying")
        restoring = swap.restoring
        if restoring is None:
            return
        if swap.phase == "replaying":
            if restoring.done:
                swap.move("ready")
            else:
                swap.tell()
        elif swap.phase == "holding" and swap.target is not None:
            restoring.end = max(restoring.end, swap.target)
            if restoring.position >= swap.target:
                swap.move("handed-over")


def _urgency(restoring: Restoring) -> tuple[bool, int]:
    """First what readers were refused, then what is furthest behind."""
    return restoring.asked_at > time.monotonic() - ASKED_SECONDS, restoring.end - restoring.position


def _finish(restoring: Restoring) -> None:
    restoring.phase = "done"
    restoring.ended_at = time.time()
