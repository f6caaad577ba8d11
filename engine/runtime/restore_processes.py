"""Restores that leave the process: a store is closed here, a child brings it to its end, and it is opened here again.

    here ──> lent ──> here
              └─────> here, for good: the child failed with it, the thread goes on from where it stands

A thread that restores competes with the loop for one interpreter; a child does not. RocksDB lets one process at a time have a store, and
a task that restores does not run yet, so a child can have it. Only large restores go: starting a process costs as much as restoring a
hundred thousand records. A store that comes back early, by a cancel or a crash, keeps what was restored: data and position are one write.

Owner: the restorer's thread. One thread for each child listens to it, and wakes the restorer's.
"""

import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from engine import broker_errors, errors
from engine.changelog.restore import Restoring
from engine.errors import StatehouseError
from engine.runtime.active_task import OpenStore
from engine.runtime.take_over import TakeOver
from engine.stores import memory_budget
from engine.topology.stores import StoreSpec

log = logging.getLogger(__name__)

# Below this the thread is done before a process has started.
RECORDS_MIN = 200_000
# A child without work ends after this: the next task is often about to be taken over.
IDLE_SECONDS = 5.0
# A child tells of itself after every step; one that is silent for so long is ended. A cancelled one has less time.
SILENT_SECONDS = 60.0
RECALL_SECONDS = 10.0
# How long a child that was told to end may take before it is killed.
END_SECONDS = 2.0
# More than a store's memtables take is of no use to a child.
WRITE_BUFFER_BYTES_MAX = 64 * memory_budget.MEBIBYTE

Reopen = Callable[[TakeOver, OpenStore], Any]
# What a child said: its line, or None at its end.
News = tuple["_Child", dict[str, Any] | None]
_SOURCE = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "engine.changelog.restore_process"]


@dataclass
class _Lease:
    """A store that a child has. `records` and `bytes` are what was restored before."""

    number: int
    wanted: TakeOver
    opened: OpenStore
    restoring: Restoring
    records: int
    bytes: int
    recalled_at: float | None = None


@dataclass
class _Child:
    """A process that restores, one store at a time. `heard_at` and `idle_since` are monotonic."""

    process: "subprocess.Popen[str]"
    orders: IO[str]
    lease: _Lease | None = None
    heard_at: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)
    ending: bool = False


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
        self._children: list[_Child] = []
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
        child.lease = _Lease(self._numbers, wanted, opened, restoring, restoring.records, restoring.bytes)
        child.heard_at = time.monotonic()
        _tell(
            child,
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
            if child.lease is not None and child.lease.recalled_at is None:
                child.lease.recalled_at = time.monotonic()
                _tell(child, cancel=child.lease.number)
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
                self._done_with(child)
        self._end_some()
        return failed

    def _heard(self, child: _Child, news: dict[str, Any] | None) -> None:
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

    def _ended(self, child: _Child) -> None:
        code = _reap(child)
        self._children.remove(child)
        memory_budget.lend_write_buffers(-self._told["write_buffer_bytes"])
        self._publish()
        if child.lease is not None:
            self._take_back(child, f"process {child.process.pid} ended with {code}")

    def _take_back(self, child: _Child, trouble: str | None = None) -> None:
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
        self._done_with(child)

    def _done_with(self, child: _Child) -> None:
        if child.lease is not None:
            child.lease.restoring.lent = False
        child.lease, child.idle_since = None, time.monotonic()

    # -- children -----------------------------------------------------------------------------------------------------

    def _idle_child(self) -> _Child | None:
        for child in self._children:
            if child.lease is None and not child.ending:
                return child
        return self._start()

    def _start(self) -> _Child | None:
        """A new child, or None when the system gives none."""
        paths = [str(_SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                # Ctrl-C is the parent's. It stays in its session: schedulers share cores out by sessions.
                process_group=0,
            )
        except OSError as error:
            log.warning("no process for restores could be started, they stay in this one: %s", error)
            return None
        if process.stdin is None or process.stdout is None:
            raise AssertionError("Popen was asked for pipes")
        child = _Child(process, process.stdin)
        self._children.append(child)
        memory_budget.lend_write_buffers(self._told["write_buffer_bytes"])
        self._publish()
        threading.Thread(
            target=self._listen, args=(child, process.stdout), name=f"restore-{process.pid}", daemon=True
        ).start()
        _tell(child, **self._told)
        return child

    def _listen(self, child: _Child, lines: IO[str]) -> None:
        """A thread for each child: pass on what it says."""
        try:
            with lines:
                for line in lines:
                    self._news.put((child, json.loads(line)))
                    self._wake()
        finally:
            # Also after a line that is none: who cannot be understood is ended.
            self._news.put((child, None))
            self._wake()

    def _end_some(self) -> None:
        """End children that have nothing to do, and kill those that are stuck."""
        now = time.monotonic()
        for child in self._children:
            lease = child.lease
            if lease is None:
                if not child.ending and now - child.idle_since > IDLE_SECONDS:
                    _end(child)
                elif child.ending and now - child.idle_since > IDLE_SECONDS + END_SECONDS:
                    child.process.kill()
                continue
            late = lease.recalled_at is not None and now - lease.recalled_at > RECALL_SECONDS
            if late or now - child.heard_at > SILENT_SECONDS:
                log.warning("process %d, which restores %s-%d, is stuck", child.process.pid, *lease.restoring.place)
                child.process.kill()
                child.heard_at = now

    def close(self) -> None:
        """End all children; stores that are out are closed by them, with what they have."""
        for child in self._children:
            if child.lease is not None:
                _tell(child, cancel=child.lease.number)
        deadline = time.monotonic() + RECALL_SECONDS
        while any(child.lease is not None for child in self._children) and time.monotonic() < deadline:
            try:
                child, news = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if news is None or "ended" in news:
                self._done_with(child)
        for child in self._children:
            _end(child)
        for child in self._children:
            _reap(child)
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


def _tell(child: _Child, **order: Any) -> None:
    try:
        child.orders.write(json.dumps(order) + "\n")
        child.orders.flush()
    except OSError as error:
        # It is gone, which its listener tells too.
        log.debug("process %d takes no order: %s", child.process.pid, error)


def _end(child: _Child) -> None:
    """The end of its input ends a child."""
    child.ending = True
    try:
        child.orders.close()
    except OSError as error:
        log.debug("process %d had ended: %s", child.process.pid, error)


def _reap(child: _Child) -> int:
    """Wait for a child that is about to end; returns its exit code (below 0: the signal)."""
    _end(child)
    try:
        return child.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.process.kill()
        return child.process.wait()
