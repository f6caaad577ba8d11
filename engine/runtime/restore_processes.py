"""Restores that leave the process: a store is closed here, a child brings it to its end, and it is opened here again.

    here ──> lent ──> here
              └─────> here, for good: the child failed with it, the thread goes on from where it stands

A thread that restores competes with the loop for one interpreter; a child does not. RocksDB lets one process at a time have a store, and
a task that restores does not run yet, so a child can have it. Only large restores go: starting a process costs as much as restoring a
hundred thousand records. A store that comes back early, by a cancel or a crash, keeps what was restored: data and position are one write.

Owner: the restorer's thread.
"""

import logging
import queue
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine import broker_errors, errors
from engine.changelog.restore import Restoring
from engine.errors import StatehouseError
from engine.runtime.active_task import OpenStore
from engine.runtime.restore_child import RECALL_SECONDS, Child, Lease, News
from engine.runtime.take_over import TakeOver
from engine.stores import memory_budget
from engine.topology.stores import StoreSpec

log = logging.getLogger(__name__)

# Below this the thread is done before a process has started.
RECORDS_MIN = 200_000
# More than a store's memtables take is of no use to a child.
WRITE_BUFFER_BYTES_MAX = 64 * memory_budget.MEBIBYTE

Reopen = Callable[[TakeOver, OpenStore], Any]


class RestoreProcesses:
    """The children of one instance, at most `processes_max`. All calls are the restorer's thread's, but for `pids`."""

    def __init__(
        self,
        client: Mapping[str, Any],
        group: str,
        reopen: Reopen,
        wake: Callable[[], None],
        *,
        processes_max: int,
        write_buffer_bytes: int,
    ) -> None:
        self._told: dict[str, Any] = {
            "client": dict(client),
            "group": group,
            # A part of the process's own budget for each child and for what stays here.
            "write_buffer_bytes": min(write_buffer_bytes // (processes_max + 1), WRITE_BUFFER_BYTES_MAX),
        }
        self._reopen = reopen
        self._wake = wake
        self._processes_max = processes_max
        self._children: list[Child] = []
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._numbers = 0
        self.pids: tuple[int, ...] = ()

    # -- lending ------------------------------------------------------------------------------------------------------

    def suits(self, spec: StoreSpec, restoring: Restoring) -> bool:
        """Whether a restore is one for a process."""
        return (
            self._processes_max > 0
            and not restoring.stays_here
            and spec.backend == "rocksdb"
            and spec.supplier is None
            and restoring.end - restoring.position >= RECORDS_MIN
        )

    @property
    def room(self) -> int:
        """How many more restores may leave."""
        return self._processes_max - sum(child.lease is not None for child in self._children)

    def lend(self, wanted: TakeOver, restoring: Restoring, directory: Path) -> None:
        """Close a store and have a child restore it. Raises what closing it raises; without a child it stays here."""
        child = self._idle_child()
        if child is None:
            restoring.stays_here = True
            return
        opened = wanted.stores.pop(restoring.store_name)
        try:
            opened.store.flush()
        finally:
            opened.store.close()
        restoring.lent, restoring.phase = True, "fetching"
        self._numbers += 1
        child.give(Lease(self._numbers, wanted, opened, restoring, restoring.records, restoring.bytes))
        child.tell(
            restore=self._numbers,
            spec=opened.spec.shape(),
            changelog=restoring.changelog,
            partition=restoring.partition,
            directory=str(directory),
            start=restoring.position,
            end=restoring.end,
        )

    def recall(self, wanted: TakeOver) -> bool:
        """Ask for the stores of a take-over; returns whether any is still out. They come back with what they have."""
        out = [child for child in self._children if child.lease is not None and child.lease.wanted is wanted]
        for child in out:
            child.recall()
        return bool(out)

    # -- what children say --------------------------------------------------------------------------------------------

    def turn(self) -> list[tuple[TakeOver, Exception]]:
        """Take note of what children said and take back what they are done with; returns take-overs that failed."""
        failed: list[tuple[TakeOver, Exception]] = []
        while not self._news.empty():
            child, news = self._news.get()
            try:
                self._heard(child, news)
            except Exception as error:  # as with an error of the thread, the loop decides
                if child.lease is None:
                    raise
                failed.append((child.lease.wanted, error))
                child.done()
        for each in self._children:
            each.end_when_due()
        return failed

    def _heard(self, child: Child, news: dict[str, Any] | None) -> None:
        child.heard_at = time.monotonic()
        if news is None:
            self._ended(child)
            return
        lease = child.lease
        if lease is None or news["id"] != lease.number:
            return
        restoring = lease.restoring
        if "position" in news:
            restoring.phase = "applying"
            restoring.position = news["position"]
            lease.told[restoring.position] = news["records"], news["bytes"]
            restoring.records, restoring.bytes = lease.records + news["records"], lease.bytes + news["bytes"]
        elif "waits" in news:
            log.warning("restoring %s-%d waits: %s", *restoring.place, news["waits"])
        elif news["ended"] != "failed":
            self._take_back(child)
        elif (error := named(news["error"], news["message"])) is None:
            self._take_back(child, f"{news['error']}: {news['message']}")
        else:
            restoring.lent = False
            raise error

    def _ended(self, child: Child) -> None:
        code = child.reap()
        self._children.remove(child)
        memory_budget.lend_write_buffers(-self._told["write_buffer_bytes"])
        self._publish()
        if child.lease is not None:
            self._take_back(child, f"process {child.process.pid} ended with {code}")

    def _take_back(self, child: Child, trouble: str | None = None) -> None:
        """Open a store here again. After trouble the thread goes on with it, from where it stands."""
        lease = child.lease
        if lease is None:
            return
        wanted, restoring = lease.wanted, lease.restoring
        restoring.lent = False
        if trouble is not None:
            restoring.stays_here = True
        # One that was cancelled goes on as a standby, which opens what is not open, or is closed already.
        if not wanted.cancelled and wanted.error is None:
            lease.opened.store = restoring.store = self._reopen(wanted, lease.opened)
            wanted.stores[restoring.store_name] = lease.opened
            position = restoring.store.position
            restoring.position = restoring.start if position is None else position
            # What a killed one had applied and not brought to the disk is applied again, and counts once.
            restoring.records, restoring.bytes = lease.restored(restoring.position)
            restoring.phase = "queued"
            if trouble is not None:
                log.warning(
                    "restoring %s-%d goes on in this process from offset %d: %s",
                    *restoring.place,
                    restoring.position,
                    trouble,
                )
            if restoring.done:
                restoring.phase, restoring.ended_at = "done", time.time()
        child.done()

    # -- children -----------------------------------------------------------------------------------------------------

    def _idle_child(self) -> Child | None:
        for child in self._children:
            if child.lease is None and not child.ending:
                return child
        return self._start()

    def _start(self) -> Child | None:
        child = Child.start(self._told, self._news, self._wake)
        if child is not None:
            self._children.append(child)
            memory_budget.lend_write_buffers(self._told["write_buffer_bytes"])
            self._publish()
        return child

    def close(self) -> None:
        """End all children; stores that are out are closed by them, with what they have."""
        for child in self._children:
            child.recall()
        deadline = time.monotonic() + RECALL_SECONDS
        while any(child.lease is not None for child in self._children) and time.monotonic() < deadline:
            try:
                child, news = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if news is None or "ended" in news:
                child.done()
        for child in self._children:
            child.end()
        for child in self._children:
            child.reap()
            memory_budget.lend_write_buffers(-self._told["write_buffer_bytes"])
        self._children.clear()
        self._publish()

    def _publish(self) -> None:
        self.pids = tuple(child.process.pid for child in self._children)


def named(name: str, message: str) -> StatehouseError | None:
    """The engine's error that a child met, or None where this process had better see for itself."""
    found = getattr(errors, name, None) or getattr(broker_errors, name, None)
    if found is None or not issubclass(found, StatehouseError) or found is errors.StateDirectoryLocked:
        return None
    error: StatehouseError = found(message)
    return error
