"""The stores of an instance as the query service sees them. Implements `engine.query.ports`.

Read by the service's threads while the loop runs: everything here is taken from values that the loop replaces whole.
A task that is closing, or whose owner may be someone else by now, has no handles.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.changelog.restore import Restoring
from engine.errors import StoreError, StoreNotReady
from engine.runtime.active_task import ActiveTask, OpenStore
from engine.runtime.blueprint import Blueprint
from engine.runtime.globals import GlobalTables
from engine.runtime.standby import Standby
from engine.runtime.take_over import TaskStores
from engine.runtime.tasks import Tasks
from engine.stores.opening import bound
from engine.stores.rocks_backend import RocksBackend
from engine.topology.stores import StoreSpec

Ends = Callable[[tuple[str, int]], int | None]


@dataclass(frozen=True)
class Handle:
    """One store partition here. `opened` is None while it is not open yet, `restoring` once it was restored."""

    spec: StoreSpec
    partition: int
    task: str
    role: str
    opened: OpenStore | None
    restoring: Restoring | None
    running: bool
    known_end: int | None
    moving: bool = False

    @property
    def phase(self) -> str:
        """Where its restore stands; `done` serves."""
        if self.running:
            return "done"
        if self.role == "global":
            return "applying"
        if self.role == "standby" and self.restoring is not None:
            return self.restoring.phase
        if self.restoring is None:
            return "queued"
        return "verifying" if self.restoring.phase == "done" else self.restoring.phase

    @property
    def start(self) -> int | None:
        """Where the last restore began."""
        return self.restoring.start if self.restoring is not None else None

    @property
    def position(self) -> int | None:
        """The next changelog offset to apply."""
        if not self.running and self.restoring is not None:
            return self.restoring.position
        if self.opened is None:
            return None
        position: int | None = self.opened.store.position
        return position

    @property
    def end(self) -> int | None:
        """The changelog's end when last looked at."""
        if not self.running and self.restoring is not None:
            # A standby that stands still for the sake of a restore does not see its changelog grow.
            return max(self.restoring.end, self.known_end or 0)
        return self.known_end

    @property
    def lag(self) -> int | None:
        """Offsets between position and end. An active store that runs holds all that is committed: 0.

        None where the end is not known, as while somebody else may have the task already.
        """
        if self.running:
            return None if self.moving else 0
        if self.role == "standby" and self.known_end is None:
            return None
        position, end = self.position, self.end
        return None if position is None or end is None else max(0, end - position)

    @property
    def keys_estimate(self) -> int | None:
        """About how many keys, as the loop last measured."""
        return self.opened.keys_estimate if self.opened is not None else None

    @property
    def bytes(self) -> int | None:
        """Size in bytes, as the loop last measured."""
        return self.opened.size_bytes if self.opened is not None else None

    def asked(self) -> None:
        """A reader was refused because it restores: what is asked for is restored first."""
        if self.restoring is not None:
            self.restoring.asked_at = time.monotonic()

    def rocksdb(self) -> dict[str, Any] | None:
        """What RocksDB tells of the copy; None for one in memory, or of a user's own making."""
        if self.opened is None:
            raise StoreNotReady(f"store {self.spec.name} of task {self.task} is not open yet: ask again")
        backend = getattr(self.opened.store, "backend", None)
        return backend.facts() if isinstance(backend, RocksBackend) else None

    def committed(self) -> Any:
        """The committed view of the store that is live now."""
        if self.opened is None:
            raise StoreNotReady(f"store {self.spec.name} of task {self.task} is not open yet: ask again")
        try:
            return self.opened.store.committed()
        except StoreError as error:
            raise StoreNotReady(f"store {self.spec.name} of task {self.task} was closed: ask again") from error


class InstanceView:
    """The instance that the query service speaks for."""

    def __init__(
        self,
        instance_id: str,
        blueprint: Blueprint,
        tasks: Tasks,
        global_tables: GlobalTables,
        state: Callable[[], str],
        status: Callable[[], Mapping[str, Any]],
        ends: Ends,
        fresh_ends: Ends,
        may_be_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._instance_id = instance_id
        self._blueprint = blueprint
        self._tasks = tasks
        self._global_tables = global_tables
        self._state = state
        self._status = status
        self._ends = ends
        self._fresh_ends = fresh_ends
        self._may_be_lost = may_be_lost
        stores = blueprint.topology.stores
        self._specs = {name: bound(spec, blueprint.application_id) for name, spec in stores.items()}
        self._description = blueprint.topology.to_json(blueprint.application_id, dict(blueprint.task_counts))

    @property
    def application_id(self) -> str:
        """The application."""
        return self._blueprint.application_id

    @property
    def instance_id(self) -> str:
        """The process among the application's."""
        return self._instance_id

    def state(self) -> str:
        """The instance's state."""
        return self._state()

    def specs(self) -> Mapping[str, StoreSpec]:
        """The stores by name."""
        return self._specs

    def is_global(self, store: str) -> bool:
        """Whether every instance has all of it."""
        return store in self._blueprint.topology.global_stores

    def partition_count(self, store: str) -> int | None:
        """Partitions of a store: tasks of its sub-topology."""
        if self.is_global(store):
            return 1
        owner = self._blueprint.topology.sub_topology_of(store)
        return None if owner is None else self._blueprint.task_counts.get(owner)

    def key_partitions(self, store: str) -> int | None:
        """The most partitions of a topic that feeds a store: a sub-topology may read others that have more."""
        if self.is_global(store):
            return 1
        topics = self._blueprint.topology.feeding_topics(store, self._blueprint.application_id)
        return max((self._blueprint.counts[topic] for topic in topics), default=None)

    def placing_topic(self, store: str) -> str | None:
        """The topic whose own partitioner says where a store's keys lie."""
        return self._blueprint.topology.placing_topic(store, self._blueprint.application_id)

    def topology(self) -> Mapping[str, Any]:
        """The description with real topic names."""
        return self._description

    def status(self) -> Mapping[str, Any]:
        """The newest status records."""
        return self._status()

    def handle(self, store: str, partition: int) -> Handle | None:
        """The copy of one store partition here."""
        if self.is_global(store):
            return self._global(store)
        owner = self._blueprint.topology.sub_topology_of(store)
        for task in self._tasks.published:
            if task.sub_topology == owner and task.partition == partition:
                return self._of(task, store)
        for standby in self._tasks.standbys:
            if standby.sub_topology == owner and standby.partition == partition:
                return self._following(standby, store)
        return None

    def handles(self) -> Sequence[Handle]:
        """Every copy here."""
        published = self._tasks.published
        found = [self._of(t, name) for t in published for name in self._blueprint.specs(t.sub_topology)]
        owned = {t.id for t in published}
        found += [
            self._following(s, name) for s in self._tasks.standbys if s.task not in owned for name in s.changelogs
        ]
        found += [self._global(name) for name in self._blueprint.topology.global_stores]
        return [h for h in found if h is not None]

    def _of(self, task: ActiveTask, store: str) -> Handle | None:
        if task.state == "closing":
            return None
        running = task.state == "running"
        restores, opened = task.restores.get(store), task.stores.get(store)
        if not running:
            coming = self._coming(task.id)
            restores = next((r for r in coming.restores if r.store_name == store), None) if coming else None
            opened = (coming.stores.get(store) or coming.kept.get(store)) if coming else None
        spec = self._specs[store]
        running = running and opened is not None
        changelog = self._blueprint.changelog(spec)
        end = None if changelog is None else self._ends((changelog, task.partition))
        moving = running and self._may_be_lost()
        return Handle(spec, task.partition, task.id, "active", opened, restores, running, end, moving)

    def _coming(self, task: str) -> TaskStores | None:
        """What is there of a task that does not run yet: its take-over, or the standby that it will go on from."""
        wanted: TaskStores | None = self._tasks.take_overs.get(task)
        if wanted is not None and (wanted.stores or wanted.kept):
            return wanted
        return next((s for s in self._tasks.standbys if s.task == task), wanted)

    def _following(self, standby: Standby, store: str) -> Handle | None:
        """The handle of a standby's store; None for one that has no changelog, of which there is no copy."""
        spec = self._specs[store]
        changelog = self._blueprint.changelog(spec)
        if changelog is None:
            return None
        end = self._fresh_ends((changelog, standby.partition))
        opened, restoring = standby.stores.get(store), standby.restoring(store)
        return Handle(spec, standby.partition, standby.task, "standby", opened, restoring, running=False, known_end=end)

    def _global(self, store: str) -> Handle | None:
        opened = self._global_tables.opened.get(store)
        spec = self._specs[store]
        running = opened is not None and self._global_tables.filled
        return Handle(spec, 0, "global", "global", opened, None, running, None)
