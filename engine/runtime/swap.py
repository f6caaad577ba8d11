"""Replacing a store under a running task: a rebuilt generation takes the place of the live one between two commits.

    opening ──> replaying ──> ready ──> holding ──> handed-over ──> swapped
        └───────────┴───────────┴───────────┴──> failed

The restorer's thread opens the new generation and follows the changelog with it. Once it is near the end the loop holds
the task after a commit, so that the changelog stands still; the new generation reaches the live store's position within
a fetch or two, and takes over. The old one is closed, and its files go when the new one has served a commit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.changelog.restore import Restoring
from engine.errors import Fatal
from engine.runtime.active_task import ActiveTask, OpenStore
from engine.runtime.restorer import Restorer
from engine.runtime.state_directory import StateDirectory

log = logging.getLogger(__name__)

TRANSITIONS = {
    "opening": {"replaying", "failed"},
    "replaying": {"ready", "failed"},
    "ready": {"holding", "failed"},
    "holding": {"handed-over", "failed"},
    "handed-over": {"swapped", "failed"},
    "swapped": set(),
    "failed": set(),
}


@dataclass
class Swap:
    """One replacement. `generation` names the staged directory; None rebuilds an in-memory store.

    `report(phase, position, end, error)` is called from the thread that makes the progress, and must not block.
    """

    task: ActiveTask
    store: str
    generation: str | None
    report: Callable[[str, int | None, int | None, str | None], None]
    cancelled: Callable[[], bool] = lambda: False
    phase: str = "opening"
    opened: OpenStore | None = None
    restoring: Restoring | None = None
    target: int | None = None  # the live store's position while the task is held
    error: str | None = None
    served: bool = field(default=False)

    def move(self, phase: str, error: str | None = None) -> None:
        """Enter another phase and say so; raises Fatal where the table has no such way."""
        if phase not in TRANSITIONS[self.phase]:
            raise Fatal(f"a swap of store {self.store} cannot go from {self.phase} to {phase}: a fault of the engine")
        self.phase, self.error = phase, error
        self.tell()

    def tell(self) -> None:
        """Report where it stands."""
        at = self.restoring
        if at is None:
            self.report(self.phase, None, None, self.error)
        else:
            self.report(self.phase, at.position, at.end, self.error)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.phase in {"swapped", "failed"}


class Swaps:
    """The swaps of an instance. `submit` from any thread; the rest belongs to the loop."""

    def __init__(self, restorer: Restorer, directory: StateDirectory) -> None:
        self._restorer = restorer
        self._directory = directory
        self._running: list[Swap] = []
        self._old: list[tuple[Swap, str]] = []

    def submit(self, swap: Swap) -> None:
        """Begin; the progress goes to `swap.report`."""
        self._running.append(swap)
        self._restorer.follow(swap)

    def after_commit(self) -> None:
        """Between two commits: hold the tasks whose new stores are near, swap those that have arrived, clean up."""
        if not self._running and not self._old:
            return
        for swap, generation in self._old:
            self._directory.remove_generation(swap.task.id, swap.store, generation)
        self._old.clear()
        for swap in self._running:
            if swap.task.state != "running" and not swap.ended:
                self._give_up(swap, "the task left this instance: ask its new owner")
            elif swap.cancelled() and swap.phase in {"replaying", "ready", "holding"}:
                self._give_up(swap, "cancelled")
            elif swap.phase == "handed-over":
                self._exchange(swap)
            elif swap.phase == "ready" and not swap.task.dirty:
                swap.task.held = True
                swap.target = swap.task.stores[swap.store].store.position
                swap.move("holding")

    def turn(self) -> None:
        """Each turn: swap what the restorer has handed over. The task was held since a commit, so nothing is open.

        But records may have been polled for it since, and a store is exchanged only right after a commit.
        """
        for swap in self._running:
            if swap.phase == "handed-over" and not (swap.task.state == "running" and swap.task.dirty):
                self._exchange(swap)
        if any(s.ended for s in self._running):
            self._running = [s for s in self._running if not s.ended]

    def _exchange(self, swap: Swap) -> None:
        task, new = swap.task, swap.opened
        if new is None or task.state != "running" or task.dirty:
            self._give_up(swap, "the task moved on before the swap: start it again")
            return
        old = task.stores[swap.store]
        if (old.store.position or 0) > (new.store.position or 0):
            self._give_up(swap, "the live store moved on before the swap: start it again")
            return
        task.replace_store(swap.store, new)
        if new.generation is not None:
            self._directory.move_current(task.id, swap.store, new.generation)
        old.store.close()
        if old.generation is not None and old.generation != new.generation:
            self._old.append((swap, old.generation))
        task.held = False
        swap.move("swapped")
        log.info("store %s of task %s swapped to generation %s", swap.store, task.id, new.generation)

    def _give_up(self, swap: Swap, why: str) -> None:
        swap.task.held = False
        if not swap.ended:
            swap.move("failed", why)
        self._restorer.wake()
