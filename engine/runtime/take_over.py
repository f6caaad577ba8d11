"""What has to be known and open before a task can run, in the order that makes it safe to take over from a dead owner.

1. The committed input offsets, stable: while a transaction of the former owner is pending they are asked for again.
2. The changelogs' high watermarks, read-uncommitted: the former owner's last commit lies below them.
3. The stores, opened and judged: a store that cannot be trusted is rebuilt into a new generation, with the cause.

Then the restore (`restorer`) brings every store to its watermark. Runs on the restorer's thread, never in the loop.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from engine.changelog import partition_time
from engine.changelog.restore import Restoring, holds_records
from engine.changelog.topics import Topics
from engine.errors import ConfigError, Fatal, StateDirectoryLocked, StatehouseError, TaskCorrupted
from engine.runtime.active_task import ActiveTask, Committed, OpenStore
from engine.runtime.record_queue import Place
from engine.runtime.state_directory import StateDirectory
from engine.runtime.task import TaskContext
from engine.stores import open_store
from engine.topology.stores import StoreSpec

log = logging.getLogger(__name__)

# Kafka's default of delete.retention.ms.
DELETE_RETENTION_MS = 86_400_000
# A process that restored for an engine which was killed holds its store for a moment longer.
ORPHAN_SECONDS = 5.0
ORPHAN_LOOK_SECONDS = 0.05
# A former owner's transaction ends by itself within its timeout: whoever waits for longer is told so, so often.
PENDING_SECONDS = 10.0
NEW_OWNER = "new owner"
LOST_DISK = "lost disk"
STANDBY = "standby"
TOO_OLD = "too old"


@dataclass(kw_only=True)
class TaskStores:
    """The stores of one task at this instance while the restorer's thread has them, and what it takes to open them.

    `kept` are open stores to go on with instead of opening them again: those of a standby, or of a former try.
    """

    task: str
    sub_topology: int
    partition: int
    context: TaskContext
    specs: Mapping[str, StoreSpec]
    changelogs: Mapping[str, str | None]
    stores: dict[str, OpenStore] = field(default_factory=dict)
    kept: dict[str, OpenStore] = field(default_factory=dict)
    restores: list[Restoring] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def close(self, *, clean: bool) -> None:
        """Close the stores opened so far; what was restored stays. One that cannot be is told: what it lacks is replayed."""
        for opened in (*self.kept.values(), *self.stores.values()):
            try:
                with contextlib.closing(opened.store):
                    if clean:
                        opened.store.flush()
            except StatehouseError as error:
                log.warning("task %s: a store was closed with less than it had: %s", self.task, error)
        self.stores, self.kept = {}, {}

    def try_again(self) -> None:
        """Forget how far the opening came, but not the open stores."""
        self.kept |= self.stores
        self.stores, self.restores = {}, []


@dataclass(kw_only=True)
class TakeOver(TaskStores):
    """One task on its way to run. Made by the loop, filled by the restorer's thread, then the loop's again."""

    places: list[Place]
    resets: Mapping[str, str]  # by topic: where to begin without a committed offset
    committed: dict[Place, Committed] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)  # of its inputs, read before anything of it was fetched
    cancelled: bool = False
    stays: bool = False  # whether a cancelled one stays here as a standby
    error: Exception | None = None
    asked_at: float = field(default_factory=time.monotonic)
    pending: int = 0  # how often its offsets were asked for in vain
    told_at: float = field(default_factory=time.monotonic)  # when this was last said

    def note_pending(self) -> None:
        """Count that its offsets are not known yet, and say so now and then."""
        self.pending += 1
        now = time.monotonic()
        if now - self.told_at >= PENDING_SECONDS:
            self.told_at = now
            log.warning(
                "task %s has waited for %.0f s: the offsets of its inputs are not stable, or the brokers are slow to tell them",
                self.task,
                now - self.asked_at,
            )

    @property
    def done(self) -> bool:
        """Whether every store has reached its watermark."""
        return all(r.done for r in self.restores)


class Preparation:
    """Steps 1 to 3 for one take-over after another. One thread."""

    def __init__(
        self,
        topics: Topics,
        directory: StateDirectory,
        committed: Callable[[list[TopicPartition], float], list[TopicPartition] | None],
        lost: Collection[tuple[str, str]] = (),
    ) -> None:
        self._topics = topics
        # Task and store of copies that were here once, on a disk that is gone.
        self._lost = set(lost)
        self._directory = directory
        self._committed = committed
        self._retentions: dict[str, int] = {}

    def prepare(self, wanted: TakeOver, timeout: float) -> bool:
        """Fill `wanted`; False while its offsets are not stable yet. Raises what stops the engine."""
        asked = [TopicPartition(*place) for place in wanted.places]
        answered = self._committed(asked, timeout)
        if answered is None:
            return False
        found = {(p.topic, p.partition): p for p in answered}
        ends, begins = self._watermarks(wanted)
        wanted.ends = {place: ends[place] for place in wanted.places}
        self._decide_offsets(wanted, found, begins, ends)
        for name, spec in wanted.specs.items():
            self._open(wanted, name, spec, begins, ends)
        return True

    def _watermarks(self, wanted: TakeOver) -> tuple[dict[Place, int], dict[Place, int]]:
        changelogs = [(c, wanted.partition) for c in wanted.changelogs.values() if c is not None]
        every = [*wanted.places, *changelogs]
        return self._topics.end_offsets(every), self._topics.begin_offsets(every)

    def open_standby(self, wanted: TaskStores) -> None:
        """Open and judge the stores of a standby, which then follow their changelogs."""
        places = [(c, wanted.partition) for c in wanted.changelogs.values() if c is not None]
        ends, begins = self._topics.end_offsets(places), self._topics.begin_offsets(places)
        for name, spec in wanted.specs.items():
            # A store without a changelog has nothing to follow.
            if wanted.changelogs[name] is not None:
                self._open(wanted, name, spec, begins, ends)
        for restoring in wanted.restores:
            restoring.follows = True
            restoring.cause = STANDBY if restoring.cause == NEW_OWNER else restoring.cause

    # -- 1: offsets ---------------------------------------------------------------------------------------------------

    def _decide_offsets(
        self,
        wanted: TakeOver,
        found: Mapping[Place, TopicPartition],
        begins: Mapping[Place, int],
        ends: Mapping[Place, int],
    ) -> None:
        known = {place: p for place, p in found.items() if p.offset >= 0}
        if not known:
            self._refuse_orphaned_state(wanted, begins, ends)
        for place in wanted.places:
            if place in known:
                offset = self._within(wanted, place, known[place].offset, begins[place], ends[place])
                beside = partition_time.beside(known[place])
                wanted.committed[place] = Committed(offset, beside.time, beside.processors)
            else:
                latest = wanted.resets.get(place[0]) == "latest"
                wanted.committed[place] = Committed(ends[place] if latest else begins[place])

    @staticmethod
    def _within(wanted: TakeOver, place: Place, offset: int, begin: int, end: int) -> int:
        """The committed offset, unless the topic no longer has it."""
        where = f"{place[0]}-{place[1]}"
        if offset > end:
            raise Fatal(
                f"task {wanted.task}: offset {offset} is committed for {where}, which ends at {end}: the topic was made "
                "anew. Reset the application, or restore the topic"
            )
        if offset < begin:
            wanted.notes.append(f"{where}: {begin - offset} records expired before they were processed")
            return begin
        return offset

    def _refuse_orphaned_state(self, wanted: TakeOver, begins: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        """Without any committed offset there must be no state: reading from the start would count twice."""
        for name, changelog in wanted.changelogs.items():
            place = (changelog or "", wanted.partition)
            filled = place in ends and ends[place] > begins[place]
            # Those of a transaction that was aborted are none.
            if filled and holds_records(self._topics.client, place, begins[place], ends[place]):
                raise Fatal(
                    f"task {wanted.task}: no offset is committed for its inputs, yet store {name} holds state (changelog "
                    f"{changelog}-{wanted.partition} has records up to {ends[place]}). The offsets expired or were deleted, "
                    "and starting over would count records twice: set the group's offsets to where the state stands, "
                    "or reset the application"
                )

    # -- 3: stores ----------------------------------------------------------------------------------------------------

    def _open(
        self, wanted: TaskStores, name: str, spec: StoreSpec, begins: Mapping[Place, int], ends: Mapping[Place, int]
    ) -> None:
        changelog = wanted.changelogs[name]
        generation, store, cause = self._opened(wanted, spec)
        wanted.stores[name] = (
            wanted.kept.pop(name) if name in wanted.kept else OpenStore(spec, store, generation, changelog)
        )
        if changelog is None:
            return
        place = (changelog, wanted.partition)
        begin, end = begins[place], ends[place]
        distrust = self._distrust(store, place, begin, end)
        if distrust is not None:
            wanted.notes.append(f"store {name}: {distrust}; rebuilding it from {changelog}")
            store.close()
            if generation is not None:
                self._directory.discard(wanted.task, name)
            generation, store, _ = self._opened(wanted, spec)
            wanted.stores[name] = OpenStore(spec, store, generation, changelog)
            cause = distrust
        start = begin if store.position is None else store.position
        if cause is None:
            lost = (wanted.task, name) in self._lost and spec.backend == "rocksdb"
            empty = LOST_DISK if lost else NEW_OWNER
            cause = empty if store.position is None else "behind its changelog"
        self._lost.discard((wanted.task, name))
        wanted.restores.append(Restoring(wanted.task, name, changelog, wanted.partition, store, start, end, cause))

    def open_staged(self, task: ActiveTask, name: str, generation: str | None) -> tuple[OpenStore, Restoring]:
        """Open a rebuilt generation of a running task's store; raises TaskCorrupted when it cannot take over."""
        live = task.stores[name]
        if live.changelog is None:
            raise ConfigError(f"store {name} has no changelog: it cannot be rebuilt")
        path = None if generation is None else self._directory.generation_directory(task.id, name, generation)
        if path is not None and (not path.is_dir() or generation == live.generation):
            raise ConfigError(f"store {name}: generation {generation} is not staged beside the live one")
        store = open_store(live.spec, path, task.context)
        place = (live.changelog, task.partition)
        begin, end = self._topics.begin_offsets([place])[place], self._topics.end_offsets([place])[place]
        distrust = self._distrust(store, place, begin, end)
        if distrust is not None:
            store.close()
            raise TaskCorrupted(f"generation {generation} of store {name} cannot take over: {distrust}")
        start = begin if store.position is None else store.position
        opened = OpenStore(live.spec, store, generation, live.changelog)
        return opened, Restoring(task.id, name, live.changelog, task.partition, store, start, end, "operator")

    def directory_of(self, wanted: TaskStores, opened: OpenStore) -> Path:
        """Where the files of an opened store on disk lie."""
        return self._directory.generation_directory(wanted.task, opened.spec.name, opened.generation or "")

    def reopen(self, wanted: TaskStores, opened: OpenStore) -> Any:
        """Open a store again that was closed for another process; raises what opening a store raises."""
        return _open_once_free(opened.spec, self.directory_of(wanted, opened), wanted.context)

    def _opened(self, wanted: TaskStores, spec: StoreSpec) -> tuple[str | None, Any, str | None]:
        """The store's generation, the open store, and why it is empty if it had to be made anew."""
        if spec.name in wanted.kept:
            return wanted.kept[spec.name].generation, wanted.kept[spec.name].store, None
        if spec.backend != "rocksdb":
            return None, open_store(spec, None, wanted.context), None
        generation = self._directory.make_current(wanted.task, spec.name)
        self._directory.sweep(wanted.task, spec.name)
        path = self._directory.generation_directory(wanted.task, spec.name, generation)
        try:
            return generation, _open_once_free(spec, path, wanted.context), None
        except TaskCorrupted as error:
            self._directory.discard(wanted.task, spec.name)
            generation = self._directory.make_current(wanted.task, spec.name)
            path = self._directory.generation_directory(wanted.task, spec.name, generation)
            wanted.notes.append(str(error))
            return generation, open_store(spec, path, wanted.context), f"corruption: {error}"

    def _distrust(self, store: Any, place: Place, begin: int, end: int) -> str | None:
        """Why a store's content cannot be carried on from its changelog, or None."""
        position, checkpoint_at = store.position, store.checkpoint_at
        if position is None:
            return None
        if position > end:
            return f"corruption: its position {position} is beyond the changelog's end {end}"
        if position < begin:
            return f"truncated: the changelog begins at {begin}, the store stands at {position}"
        if position < end and checkpoint_at is not None:
            age = int(time.time() * 1000) - checkpoint_at
            # Behind the last record stands its transaction's marker: an application that rested for days is not behind.
            if age > self._retention(place[0]) and holds_records(self._topics.client, place, position, end):
                return TOO_OLD
        return None

    def _retention(self, changelog: str) -> int:
        """How long the changelog keeps tombstones, in ms: deletions older than that may be missing from it."""
        if changelog not in self._retentions:
            text = self._topics.settings([changelog])[changelog].get("delete.retention.ms")
            self._retentions[changelog] = int(text) if text else DELETE_RETENTION_MS
        return self._retentions[changelog]


def _open_once_free(spec: StoreSpec, path: Path, context: TaskContext) -> Any:
    """Open a store on disk; the state directory is ours, so who holds it is about to end."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            return open_store(spec, path, context)
        except StateDirectoryLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(ORPHAN_LOOK_SECONDS)
