"""The commands of an engine instance: swap, rebuild, compact; which of them run, how far they are, how they ended.

A route registers a command and hands it to the runtime (`CommandRunner`); the runtime reports its progress on the
`Command`, from whichever thread does the work. What must happen between two commits goes through `LoopQueue`.

    queued ──> replaying ──> waiting-for-commit ──> swapped        swap, rebuild
    queued ──> compacting ──> done                                 compact
       any state but the last ──> failed | cancelled
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from engine.errors import StatehouseError

_log = logging.getLogger(__name__)
CommandKind = Literal["swap", "rebuild", "compact"]
_ENDED = frozenset({"swapped", "done", "failed", "cancelled"})
_REPLAY = {
    "queued": frozenset({"replaying", "waiting-for-commit", "swapped", "failed", "cancelled"}),
    "replaying": frozenset({"replaying", "waiting-for-commit", "failed", "cancelled"}),
    "waiting-for-commit": frozenset({"replaying", "swapped", "failed", "cancelled"}),
}
_TRANSITIONS: dict[str, dict[str, frozenset[str]]] = {
    "swap": _REPLAY,
    "rebuild": _REPLAY,
    "compact": {
        "queued": frozenset({"compacting", "failed", "cancelled"}),
        "compacting": frozenset({"compacting", "done", "failed", "cancelled"}),
    },
}
# Ended commands that can still be asked about: a worker that lost its connection asks again within minutes.
_ENDED_KEPT = 500


class CommandConflict(StatehouseError):
    """The command contradicts another one: wait for that one, or use its job id."""


class CommandUnknown(StatehouseError):
    """No such job here: the engine may have restarted since; send the command again."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, as it was asked: two orders with the same job must be equal."""

    kind: CommandKind
    store: str
    partition: int
    job: str
    generation: str | None = None


class Command:
    """One order and its progress. Thread-safe: the runtime writes, routes read."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._lock = threading.Lock()
        self._phase = "queued"
        self._facts: dict[str, Any] = _facts(order.kind)
        self._cancel = threading.Event()

    @property
    def phase(self) -> str:
        """The present phase."""
        return self._phase

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self._phase in _ENDED

    @property
    def cancel_requested(self) -> bool:
        """Whether the work should stop at the next good moment; whoever does it then calls `move("cancelled")`."""
        return self._cancel.is_set()

    def move(self, phase: str, **facts: Any) -> None:
        """Enter `phase` (or stay in it) with new facts; raises ValueError for a transition that the table lacks."""
        with self._lock:
            if phase not in _TRANSITIONS[self.order.kind].get(self._phase, frozenset()):
                raise ValueError(f"{self.order.kind} {self.order.job}: no way from {self._phase} to {phase}")
            if unknown := facts.keys() - self._facts.keys():
                raise ValueError(f"{self.order.kind} has no fact {', '.join(sorted(unknown))}")
            self._facts |= facts
            self._phase = phase

    def fail(self, error: str) -> None:
        """End with an error in words; a command that has ended stays as it is."""
        with self._lock:
            if self._phase not in _ENDED:
                self._facts["error"] = error
                self._phase = "failed"

    def request_cancel(self) -> bool:
        """Ask for the end; a queued command ends at once. False when it is too late."""
        with self._lock:
            if self._phase in _ENDED:
                return self._phase == "cancelled"
            self._cancel.set()
            if self._phase == "queued":
                self._phase = "cancelled"
            return True

    def progress(self) -> dict[str, Any]:
        """The answer of the progress route."""
        with self._lock:
            return {"job": self.order.job, "phase": self._phase, "cancelling": self._cancel.is_set(), **self._facts}


class CommandRunner(Protocol):
    """What the runtime does with an order. Called on the service's thread: start the work elsewhere and return.

    A `ValueError` or StatehouseError refuses the order with its words; later failures go to `Command.fail`.
    A command cancelled before it began has ended: look at `Command.ended` first.
    """

    def begin(self, command: Command) -> None:
        """Take up a command: for a swap, the staged generation stands beside the live one."""

    def tasks(self) -> list[dict[str, Any]]:
        """Tasks with their stores' generations and directories, for `/v1/control/tasks`."""


class Commands:
    """The commands of one instance by job. Thread-safe."""

    def __init__(self, runner: CommandRunner) -> None:
        self.runner = runner
        self._lock = threading.Lock()
        self._by_job: OrderedDict[tuple[str, str], Command] = OrderedDict()

    def start(self, order: Order) -> Command:
        """Begin an order, once however often it is sent.

        Raises CommandConflict when the job means something else, or another command works on the same copy; what the
        runner refuses comes out as it is, and the job can be sent again.
        """
        with self._lock:
            known = self._by_job.get((order.kind, order.job))
            if known is not None:
                if known.order != order:
                    raise CommandConflict(f"job {order.job} already means {_words(known.order)}: use another job id")
                return known
            self._check_free(order)
            command = self._by_job[(order.kind, order.job)] = Command(order)
            self._forget_oldest()
        try:
            self.runner.begin(command)
        except BaseException:
            with self._lock:
                self._by_job.pop((order.kind, order.job), None)
            raise
        return command

    def get(self, kind: str, store: str, partition: int, job: str) -> Command:
        """A command that was started here; raises CommandUnknown."""
        with self._lock:
            command = self._by_job.get((kind, job))
        if command is None or (command.order.store, command.order.partition) != (store, partition):
            raise CommandUnknown(f"no {kind} with job {job!r} here: the engine may have restarted, send it again")
        return command

    def running(self) -> list[Command]:
        """Those that have not ended."""
        with self._lock:
            return [command for command in self._by_job.values() if not command.ended]

    def fail_all(self, store: str, partition: int, error: str) -> None:
        """End the commands on a copy that this instance has lost; the worker then asks its new owner."""
        for command in self.running():
            if (command.order.store, command.order.partition) == (store, partition):
                command.fail(error)

    def _check_free(self, order: Order) -> None:
        for command in self._by_job.values():
            other = command.order
            if not command.ended and (other.store, other.partition) == (order.store, order.partition):
                raise CommandConflict(f"{_words(other)} runs as job {other.job}: wait for it, or cancel it")

    def _forget_oldest(self) -> None:
        ended = [key for key, command in self._by_job.items() if command.ended]
        for key in ended[: max(len(ended) - _ENDED_KEPT, 0)]:
            del self._by_job[key]


class LoopQueue:
    """Calls that wait for the loop thread to be between two commits. `submit` from any thread, `run` from the loop."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def submit(self, call: Callable[[], None]) -> None:
        """Have the loop call `call` between two commits; the call handles its own errors."""
        self._calls.append(call)

    def run(self, budget_ms: float = 50.0) -> int:
        """Run waiting calls for about `budget_ms`, so that many of them cannot hold up the records; returns how many.

        A call that raises is logged: it must not take the loop with it.
        """
        done = 0
        until = time.monotonic() + budget_ms / 1_000
        while self._calls and (done == 0 or time.monotonic() < until):
            call = self._calls.popleft()
            done += 1
            try:
                call()
            except Exception:  # noqa: BLE001 (see above)
                _log.exception("control.call_failed")
        return done


def _facts(kind: CommandKind) -> dict[str, Any]:
    if kind == "compact":
        sizes = ("bytes_before", "bytes_after", "levels_before", "levels_after")
        return {**dict.fromkeys(sizes), "error": None}
    return {"position": None, "end": None, "error": None}


def _words(order: Order) -> str:
    return f"{order.kind} of partition {order.partition} of store {order.store}"
