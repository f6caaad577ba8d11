"""One process that restores, as its parent has it: its orders, what it says, its end, and the store that it has.

Owner: the restorer's thread. One thread for each child listens to it and wakes the restorer's. What goes over the two pipes stands
in `engine.changelog.restore_process`.
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

from engine.changelog.restore import Restoring
from engine.runtime.active_task import OpenStore
from engine.runtime.take_over import TakeOver

log = logging.getLogger(__name__)

# A child without work ends after this: the next task is often about to be taken over.
IDLE_SECONDS = 5.0
# A child tells of itself after every step; one that is silent for so long is ended. A cancelled one has less time.
SILENT_SECONDS = 60.0
RECALL_SECONDS = 10.0
# How long a child that was told to end may take before it is killed.
END_SECONDS = 2.0

_SOURCE = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "engine.changelog.restore_process"]

# What a child said: its line, or None at its end.
News = tuple["Child", dict[str, Any] | None]


@dataclass
class Lease:
    """A store that a child has. `records` and `bytes` are what was restored before; `told` is what the child had by each position."""

    number: int
    wanted: TakeOver
    opened: OpenStore
    restoring: Restoring
    records: int
    bytes: int
    told: dict[int, tuple[int, int]] = field(default_factory=dict)
    recalled_at: float | None = None

    def restored(self, position: int) -> tuple[int, int]:
        """Records and bytes that were restored up to a position that the child has told."""
        records, size = self.told.get(max((told for told in self.told if told <= position), default=0), (0, 0))
        return self.records + records, self.bytes + size


class Child:
    """A process that restores, one store at a time. `heard_at` is monotonic."""

    def __init__(self, process: "subprocess.Popen[str]", orders: IO[str]) -> None:
        self.process = process
        self.lease: Lease | None = None
        self.heard_at = time.monotonic()
        self.ending = False
        self._orders = orders
        self._idle_since = time.monotonic()

    @classmethod
    def start(
        cls, settings: Mapping[str, Any], news: "queue.SimpleQueue[News]", wake: Callable[[], None]
    ) -> "Child | None":
        """A new child, or None when the system gives none. What it says goes to `news`, and `wake` is called."""
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
        child = cls(process, process.stdin)
        listening = (process.stdout, news, wake)
        threading.Thread(target=child._listen, args=listening, name=f"restore-{process.pid}", daemon=True).start()
        child.tell(**settings)
        return child

    def _listen(self, lines: IO[str], news: "queue.SimpleQueue[News]", wake: Callable[[], None]) -> None:
        """Pass on what it says. A thread for each child."""
        try:
            with lines:
                for line in lines:
                    news.put((self, json.loads(line)))
                    wake()
        finally:
            # Also after a line that is none: who cannot be understood is ended.
            news.put((self, None))
            wake()

    def tell(self, **order: Any) -> None:
        """Give an order, one line of JSON."""
        try:
            self._orders.write(json.dumps(order) + "\n")
            self._orders.flush()
        except OSError as error:
            # It is gone, which its listener tells too.
            log.debug("process %d takes no order: %s", self.process.pid, error)

    def give(self, lease: Lease) -> None:
        """Have it restore a store from now on."""
        self.lease, self.heard_at = lease, time.monotonic()

    def recall(self) -> None:
        """Ask for its store, once."""
        if self.lease is not None and self.lease.recalled_at is None:
            self.lease.recalled_at = time.monotonic()
            self.tell(cancel=self.lease.number)

    def done(self) -> None:
        """It has no store any more."""
        if self.lease is not None:
            self.lease.restoring.lent = False
        self.lease, self._idle_since = None, time.monotonic()

    def end_when_due(self) -> None:
        """End it when it has had nothing to do for a while; kill it when it is stuck."""
        now = time.monotonic()
        lease = self.lease
        if lease is None:
            if not self.ending and now - self._idle_since > IDLE_SECONDS:
                self.end()
            elif self.ending and now - self._idle_since > IDLE_SECONDS + END_SECONDS:
                self.process.kill()
            return
        late = lease.recalled_at is not None and now - lease.recalled_at > RECALL_SECONDS
        if late or now - self.heard_at > SILENT_SECONDS:
            log.warning("process %d, which restores %s-%d, is stuck", self.process.pid, *lease.restoring.place)
            self.process.kill()
            self.heard_at = now

    def end(self) -> None:
        """The end of its input ends it."""
        self.ending = True
        try:
            self._orders.close()
        except OSError as error:
            log.debug("process %d had ended: %s", self.process.pid, error)

    def reap(self) -> int:
        """Wait for a child that is about to end; returns its exit code (below 0: the signal)."""
        self.end()
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
