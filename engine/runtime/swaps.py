"""The swaps of an instance, as the loop takes part in them: hold a task, exchange its store, remove the old files."""

import logging

from engine.runtime.restorer import Restorer
from engine.runtime.state_directory import StateDirectory
from engine.runtime.swap import Swap

log = logging.getLogger(__name__)


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
                live = swap.task.stores[swap.store].store.position
                # One that never held a record has no position: the new one stands at the changelog's end as it is.
                swap.target = swap.restoring.position if live is None and swap.restoring is not None else live
                swap.move("holding")

    def turn(self) -> None:
        """Each turn: swap what the restorer has handed over. The task was held since a commit, so nothing is open.

        But records may have been polled for it since, and a store is exchanged only right after a commit.
        """
        for swap in self._running:
            if swap.phase == "handed-over" and not (swap.task.state == "running" and swap.task.dirty):
                self._exchange(swap)
        if any(s.ended for s in self._running):
            for swap in self._running:
                if swap.phase == "failed":
                    # The restorer fails one without asking the loop, which may hold the task for it by then.
                    self._let_go(swap)
            self._running = [s for s in self._running if not s.ended]

    def _exchange(self, swap: Swap) -> None:
        task, new = swap.task, swap.opened
        if new is None or task.state != "running" or task.dirty:
            self._give_up(swap, "the task moved on before the swap: start it again")
            return
        if new.generation is not None and not self._is_there(task.id, swap.store, new.generation):
            # RocksDB goes on in a directory that somebody removed, up to its next flush.
            self._give_up(swap, f"generation {new.generation} was removed before the swap: start it again")
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
        swap.move("swapped")
        self._let_go(swap)
        log.info("store %s of task %s swapped to generation %s", swap.store, task.id, new.generation)

    def _is_there(self, task: str, store: str, generation: str) -> bool:
        return self._directory.generation_directory(task, store, generation).is_dir()

    def _give_up(self, swap: Swap, why: str) -> None:
        if swap.phase == "handed-over":
            # The restorer has let go of it.
            swap.discard()
        if not swap.ended:
            swap.move("failed", why)
        self._let_go(swap)
        self._restorer.wake()

    def _let_go(self, swap: Swap) -> None:
        """Let the task of a swap that has ended go on, unless it is held for another of its stores."""
        others = (other for other in self._running if other.task is swap.task)
        swap.task.held = any(other.phase in {"holding", "handed-over"} for other in others)
