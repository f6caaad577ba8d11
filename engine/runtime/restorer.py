"""The restore thread: takes tasks over and brings their stores up to their changelogs, beside processing.

The loop hands in take-overs and collects them when they are done; in between the stores belong to this thread. Several
partitions are read at once. A cancelled take-over keeps what it restored: the next owner here goes on from there.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.changelog.restore import Reader, Restoring
from engine.changelog.topics import Topics
from engine.errors import BrokerUnavailable, Retry, TaskCorrupted
from engine.runtime.state_directory import StateDirectory
from engine.runtime.take_over import Preparation, TakeOver

if TYPE_CHECKING:
    from engine.runtime.swap import Swap

log = logging.getLogger(__name__)

# How long one question for committed offsets may hold up the restores beside it.
OFFSETS_SECONDS = 1.0
IDLE_SECONDS = 0.05
STOP_SECONDS = 30.0


class Restorer:
    """Owns the restore thread. `submit`, `cancel` and `finished` are for the loop's thread."""

    def __init__(
        self,
        topics: Topics,
        directory: StateDirectory,
        client: Mapping[str, Any],
        group: str,
        *,
        partitions_max: int = 8,
        bytes_per_second_max: int | None = None,
    ) -> None:
        self._reader = Reader(client, group)
        self._preparation = Preparation(topics, directory, self._reader.committed)
        self._partitions_max = partitions_max
        self._bytes_per_second_max = bytes_per_second_max
        self._waiting: deque[TakeOver] = deque()
        self._restoring: list[TakeOver] = []
        self._finished: deque[TakeOver] = deque()
        self._following: list[Swap] = []
        # Held while finished take-overs change hands or are closed.
        self._handing_over = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="restorer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, wanted: TakeOver) -> None:
        """Take a task over; it appears in `finished` once it may run, or with the error that stops it."""
        self._waiting.append(wanted)
        self._wake.set()

    def cancel(self, wanted: TakeOver) -> None:
        """The task is no longer ours: its stores are closed as they are, and it never appears in `finished`."""
        wanted.cancelled = True
        self._wake.set()

    def follow(self, swap: "Swap") -> None:
        """Bring a rebuilt store up to its changelog and keep it there until the loop takes it."""
        self._following.append(swap)
        self._wake.set()

    def wake(self) -> None:
        """Look at the swaps now: one has been given up, or waits for its store."""
        self._wake.set()

    def finished(self) -> list[TakeOver]:
        """Take-overs that ended since the last call."""
        found = []
        with self._handing_over:
            while self._finished:
                wanted = self._finished.popleft()
                if wanted.cancelled:
                    wanted.close(clean=True)
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
                self._follow()
                if self._restoring or self._reader.reading:
                    self._restore()
                elif not self._waiting:
                    self._wake.wait(IDLE_SECONDS)
                    self._wake.clear()
        finally:
            for wanted in (*self._restoring, *self._waiting):
                self._end(wanted)
                wanted.close(clean=True)
            self._reader.close()

    def _prepare(self) -> None:
        """Take over what waits, as many as there is room for. A pending transaction puts its task behind the others."""
        for _ in range(len(self._waiting)):
            if len(self._reader.reading) >= self._partitions_max:
                return
            wanted = self._waiting.popleft()
            if wanted.cancelled:
                continue
            self._let_go(wanted.task)
            try:
                ready = self._preparation.prepare(wanted, OFFSETS_SECONDS)
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

    def _let_go(self, task: str) -> None:
        """Close what an earlier, cancelled take-over of the same task still holds open."""
        self._drop_cancelled()
        with self._handing_over:
            for former in [w for w in self._finished if w.cancelled and w.task == task]:
                self._finished.remove(former)
                former.close(clean=True)

    def _retry(self, wanted: TakeOver) -> None:
        wanted.close(clean=False)
        wanted.restores.clear()
        self._waiting.append(wanted)
        time.sleep(IDLE_SECONDS)

    def _begin(self, wanted: TakeOver) -> None:
        for restoring in wanted.restores:
            if restoring.done:
                _finish(restoring)
            else:
                self._reader.add(restoring)
        self._restoring.append(wanted)
        self._collect()

    def _restore(self) -> None:
        began = time.monotonic()
        try:
            read = self._reader.step()
        except Retry as error:
            log.warning("restoring waits: %s", error)
            return
        except TaskCorrupted as error:
            # The changelog moved under a restore; which one, its place says. All start over from what they have.
            for wanted in list(self._restoring):
                if not wanted.done:
                    self._fail(wanted, error)
            return
        except Exception as error:  # noqa: BLE001 - it is handed to the loop, which decides
            for wanted in list(self._restoring):
                self._fail(wanted, error)
            for swap in self._following:
                swap.move("failed", str(error))
            return
        self._collect()
        self._throttle(read, time.monotonic() - began)

    def _collect(self) -> None:
        for wanted in list(self._restoring):
            for restoring in wanted.restores:
                if restoring.done and restoring.place in self._reader.reading:
                    self._reader.remove(restoring)
            if wanted.done:
                self._restoring.remove(wanted)
                self._finished.append(wanted)

    def _drop_cancelled(self) -> None:
        for wanted in [w for w in self._restoring if w.cancelled]:
            self._end(wanted)
            wanted.close(clean=True)
            self._restoring.remove(wanted)

    def _fail(self, wanted: TakeOver, error: Exception) -> None:
        self._end(wanted)
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
                if swap.phase == "failed" and swap.opened is not None:
                    swap.opened.store.close()

    def _advance(self, swap: "Swap") -> None:
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

    def _throttle(self, read: int, took: float) -> None:
        if self._bytes_per_second_max and read:
            time.sleep(max(0.0, read / self._bytes_per_second_max - took))


def _finish(restoring: Restoring) -> None:
    restoring.phase = "done"
    restoring.ended_at = time.time()
