"""What the control routes' commands do here: swap a rebuilt generation in, rebuild a store in memory, compact.

Called on the service's thread: the work starts elsewhere (the restorer's thread and the loop, or a thread of its own for
a compaction) and reports its progress on the `Command`.
"""

import logging
import threading
from typing import Any

from engine.control.commands import Command, LoopQueue
from engine.errors import ConfigError, StatehouseError
from engine.names import check_name
from engine.runtime.active_task import ActiveTask, OpenStore
from engine.runtime.blueprint import Blueprint
from engine.runtime.state_directory import StateDirectory
from engine.runtime.swap import Swap
from engine.runtime.swaps import Swaps
from engine.runtime.tasks import Tasks

log = logging.getLogger(__name__)

LEVELS_PROPERTY = "rocksdb.levelstats"
# A swap's phases in the words of docs/contracts.md.
PHASES = {
    "opening": "replaying",
    "replaying": "replaying",
    "ready": "waiting-for-commit",
    "holding": "waiting-for-commit",
    "handed-over": "waiting-for-commit",
    "swapped": "swapped",
}


class Orders:
    """Implements `engine.control.commands.CommandRunner` for one instance."""

    def __init__(
        self, blueprint: Blueprint, tasks: Tasks, swaps: Swaps, directory: StateDirectory, loop_queue: LoopQueue
    ) -> None:
        self._blueprint = blueprint
        self._tasks = tasks
        self._swaps = swaps
        self._directory = directory
        self._loop_queue = loop_queue

    def begin(self, command: Command) -> None:
        """Start an order; raises ConfigError when it cannot be done here."""
        order = command.order
        task, opened = self._find(order.store, order.partition)
        if order.kind == "compact":
            if opened.spec.backend != "rocksdb":
                raise ConfigError(f"store {order.store} is in memory: there is nothing to compact")
            name = f"compact-{order.store}-{order.partition}"
            threading.Thread(target=_compact, args=(command, opened), name=name, daemon=True).start()
            return
        in_memory = opened.spec.backend != "rocksdb"
        if (order.kind == "rebuild") != in_memory:
            other = "is in memory: it is rebuilt inside the engine" if in_memory else "is on disk: swap in a generation"
            raise ConfigError(f"store {order.store} {other}")
        swap = Swap(task, order.store, order.generation, _Progress(command), lambda: command.cancel_requested)
        # Submitted from the loop, so that the task is still ours when it begins.
        self._loop_queue.submit(lambda: self._submit(command, swap))

    def _submit(self, command: Command, swap: Swap) -> None:
        if command.ended:
            return
        if swap.task.state != "running":
            command.fail("the task left this instance before the order began: ask its new owner")
            return
        self._swaps.submit(swap)

    def tasks(self) -> list[dict[str, Any]]:
        """Tasks with their stores' generations and directories."""
        found = []
        for task in self._tasks.published:
            stores = {}
            for name in self._blueprint.specs(task.sub_topology):
                opened = task.stores.get(name)
                stores[name] = {
                    "generation": opened.generation if opened is not None else None,
                    "directory": str(self._directory.store_directory(task.id, name)),
                    "generations": self._directory.generations(task.id, name),
                    "next_generation": self._directory.next_generation(task.id, name),
                    "changelog": self._blueprint.changelog(self._blueprint.topology.stores[name]),
                    "backend": self._blueprint.topology.stores[name].backend,
                    "position": opened.store.position if opened is not None else None,
                    "spec": self._blueprint.topology.stores[name].shape(),
                }
            found.append({"task": task.id, "partition": task.partition, "state": task.state, "stores": stores})
        return found

    def _find(self, store: str, partition: int) -> tuple[ActiveTask, OpenStore]:
        check_name(store, "store name")
        owner = self._blueprint.topology.sub_topology_of(store)
        for task in self._tasks.published:
            if task.sub_topology == owner and task.partition == partition and store in task.stores:
                return task, task.stores[store]
        raise ConfigError(f"partition {partition} of store {store} does not run here")


class _Progress:
    """Carries a swap's progress to its command."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def __call__(self, phase: str, position: int | None, end: int | None, error: str | None) -> None:
        if self._command.ended:
            return
        if phase == "failed":
            if self._command.cancel_requested:
                self._command.move("cancelled", position=position, end=end)
            else:
                self._command.fail(error or "the swap failed")
            return
        words = PHASES[phase]
        # The contract has one word for the last steps; entering it twice is no transition.
        if words == "replaying" or words != self._command.phase:
            self._command.move(words, position=position, end=end)


def _compact(command: Command, opened: OpenStore) -> None:
    if command.ended:
        return
    try:
        store = opened.store
        command.move("compacting", bytes_before=store.bytes(), levels_before=_levels(store))
        store.backend.compact()
        command.move("done", bytes_after=store.bytes(), levels_after=_levels(store))
    except (StatehouseError, ValueError) as error:
        log.warning("compacting store %s failed: %s", opened.spec.name, error)
        command.fail(str(error))
    except Exception as error:  # rocksdict raises plain Exception; the job has to learn of it
        log.exception("compacting store %s failed", opened.spec.name)
        command.fail(f"RocksDB: {error}")


def _levels(store: Any) -> str | None:
    found: str | None = store.backend.property(LEVELS_PROPERTY)
    return found
