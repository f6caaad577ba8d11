"""A task that this instance was given: its inputs, its stores, its processors, and how far each has come.

Owner: the loop; its thread only, but for the stores, which the restorer owns until it hands them over. The processors
and their dispatch are in `task`; what stands here is what a `Task` does not know: offsets, generations, states.

    created ──> restoring ──> running ──> closing
       └────────────┴───────────────────────^
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import TopicPartition

from engine.changelog import partition_time
from engine.changelog.restore import Restoring
from engine.errors import Fatal
from engine.records import RawBatch
from engine.runtime.plan import Plan
from engine.runtime.record_queue import Inputs, Place, RecordQueue, Refused
from engine.runtime.task import Collector, Handlers, Task, TaskContext
from engine.topology.stores import StoreSpec

# How often a store's entries are counted for those who show them: counting scans small stores.
COUNT_SECONDS = 5.0
TRANSITIONS = {
    "created": {"restoring", "closing"},
    "restoring": {"running", "closing"},
    "running": {"closing", "suspended"},
    "suspended": {"running", "closing"},
    "closing": set(),
}


@dataclass(frozen=True)
class Committed:
    """Where one input partition stands in the group: the next offset, and the highest event time before it."""

    offset: int
    time: int = partition_time.UNKNOWN
    # Times that operators keep, by store: the same beside every partition of a task.
    processors: tuple[tuple[str, int], ...] = ()


@dataclass
class OpenStore:
    """An open store of a task. `generation` is None in memory; `changelog` is None when nothing is logged."""

    spec: StoreSpec
    store: Any
    generation: str | None = None
    changelog: str | None = None
    acked: int | None = None  # offset of the last changelog record the broker took in this commit
    drained_total: int = 0
    # As the loop last measured them, for other threads.
    keys_estimate: int | None = None
    counted_at: float = -COUNT_SECONDS
    size_bytes: int | None = None
    logged: bool = True  # whether changes go to the changelog: not for a store that reads its source topic


@dataclass(frozen=True)
class TaskParts:
    """What every task of an instance is made with."""

    application_id: str
    collector: Collector
    handlers: Handlers
    wall_clock: Callable[[], int]
    lag: Callable[[Place], int | None]
    seen: Callable[[Place], int]
    received: Callable[[RawBatch, int], None]
    max_task_idle_ms: int = 0
    caching: bool = True
    global_stores: Mapping[str, Any] = field(default_factory=dict)


class ActiveTask:
    """One task of this instance from assignment to revocation."""

    def __init__(
        self, task_id: str, sub_topology: int, partition: int, plan: Plan, places: list[Place], parts: TaskParts
    ) -> None:
        self.id = task_id
        self.sub_topology = sub_topology
        self.partition = partition
        self.places = places
        self.plan = plan
        self.parts = parts
        self.state = "created"
        self.context = TaskContext(parts.application_id, task_id, partition, parts.wall_clock)
        self.stores: dict[str, OpenStore] = {}
        self.committed: dict[Place, Committed] = {}
        self.inputs = Inputs([], parts.max_task_idle_ms, parts.lag)
        self.task: Task | None = None
        self.dirty = False  # whether something happened since the last commit
        self.confirmed = False  # whether its offsets were committed since it started
        self.behind = False  # whether its stores lack something of the last commit
        self.held = False  # whether a swap lets it wait
        self.processed_total = 0
        self.node_counts = [0] * len(plan.steps)  # records that reached each step of the plan, aborted ones too
        self.busy_seconds = 0.0
        self.restores: dict[str, Restoring] = {}

    def move(self, state: str) -> None:
        """Go to another state; raises Fatal where the table above has no such way."""
        if state not in TRANSITIONS[self.state]:
            raise Fatal(f"task {self.id} cannot go from {self.state} to {state}: this is a fault of the engine")
        self.state = state

    # -- beginning ----------------------------------------------------------------------------------------------------

    def start(self, committed: Mapping[Place, Committed], stores: Mapping[str, OpenStore]) -> None:
        """Make the processors over restored stores and stand at the committed offsets."""
        self.stores = dict(stores)
        self.committed = dict(committed)
        self.inputs = Inputs(
            [RecordQueue(p, self.committed[p].offset, self.committed[p].time) for p in self.places],
            self.parts.max_task_idle_ms,
            self.parts.lag,
        )
        self._make_processors(self._committed_times())
        self.move("running")
        # All offsets are committed at once, changed or not: the group must know them before anything is written.
        self.dirty = True

    def _committed_times(self) -> dict[str, int]:
        """Partition times by topic: of each a task reads one partition."""
        return {place[0]: c.time for place, c in self.committed.items() if c.time != partition_time.UNKNOWN}

    def _make_processors(self, partition_times: Mapping[str, int]) -> None:
        self.context.stream_time = max((c.time for c in self.committed.values()), default=partition_time.UNKNOWN)
        self.context.timestamp = self.context.stream_time
        # Sorted, so that the latest of each name wins.
        self.context.processor_times = dict(sorted(kept for c in self.committed.values() for kept in c.processors))
        opened = {name: o.store for name, o in self.stores.items()}
        self.task = Task(
            self.plan,
            self.context,
            {**self.parts.global_stores, **opened},
            self.parts.collector,
            self.parts.handlers,
            caching=self.parts.caching,
            counts=self.node_counts,
        )
        self.task.go_on_from(partition_times)

    # -- records ------------------------------------------------------------------------------------------------------

    def accept(self, raw: RawBatch) -> RecordQueue | None:
        """Decode what was polled of one input and queue it; None when it is stale, from before a rewind."""
        queue = self.inputs.by_place[raw.topic, raw.partition]
        if raw.offsets[0] < queue.received:
            raw = _from_offset(raw, queue.received)
            if not raw.offsets:
                return None
        self.parts.received(raw, self.committed[queue.place].offset)
        refused: list[Refused] = []
        batch, offsets = self._running().decode(raw, lambda *row: refused.append(Refused(*row)))
        queue.add(batch, offsets, raw.offsets[-1] + 1, refused)
        self._refuse(queue)
        self.dirty = True
        return queue

    def _refuse(self, queue: RecordQueue) -> None:
        """Let the handler decide about what could not be decoded, within the commit that takes the position past it."""
        for refused in queue.passed():
            self.parts.handlers.deserialization(*refused)

    def process(self, now_ms: int, records_max: int) -> int:
        """Process what may go now, `records_max` records or a little more; returns how many that were."""
        task = self._running()
        done = 0
        began = time.perf_counter()
        for topic, batch in self.inputs.take(now_ms):
            # Said again: what was accepted may have waited here while a commit passed.
            self.dirty = True
            for queue in self.inputs.by_place.values():
                if queue.refused:
                    self._refuse(queue)
            task.process(topic, batch)
            done += len(batch.keys)
            if done >= records_max:
                break
        if done:
            self.processed_total += done
            self.busy_seconds += time.perf_counter() - began
        return done

    def punctuate(self) -> None:
        """Run what is due at the wall clock, and in stream time."""
        schedules = self._running().schedules
        if schedules.wall_clock:
            self._running().punctuate_wall_clock()
            self.dirty = True

    # -- the commit ---------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Step 1: hand on what the record caches hold back."""
        self._running().flush()

    def offsets(self) -> list[TopicPartition]:
        """Step 2: where every input stands, changed or not, with its partition time beside it."""
        times = tuple(self.context.processor_times.items())
        return [
            TopicPartition(q.place[0], q.place[1], q.position, metadata=partition_time.encode(q.partition_time, times))
            for q in self.inputs.by_place.values()
        ]

    def commit_stores(self) -> None:
        """Step 4: each store takes its writes together with the changelog position that they bring it to."""
        self.behind = True
        for opened in self.stores.values():
            opened.store.commit(None if opened.acked is None else opened.acked + 1)
            opened.acked = None
        times = tuple(self.context.processor_times.items())
        inputs = self.inputs.by_place.values()
        self.committed = {q.place: Committed(q.position, q.partition_time, times) for q in inputs}
        self.behind = self.dirty = self.context.commit_requested = False
        self.confirmed = True

    def flush_stores(self) -> None:
        """Bring what is committed to disk, so that a kill costs no more than what comes after; any time, running or not."""
        for opened in self.stores.values():
            opened.store.flush()

    def rollback(self) -> list[TopicPartition]:
        """Forget everything since the last commit; returns where to read on."""
        for opened in self.stores.values():
            opened.store.rollback()
            opened.acked = None
        for queue in self.inputs.by_place.values():
            at = self.committed[queue.place]
            queue.clear(at.offset, at.time)
        if self.task is not None:
            self.task.close()
        self._make_processors(self._committed_times())
        # Nothing is open any more, but a task that never committed still owes the group its offsets.
        self.dirty = not self.confirmed
        return [TopicPartition(p[0], p[1], c.offset) for p, c in self.committed.items()]

    def measure(self) -> None:
        """Look at sizes and ends, for those who show them; called by the loop now and then."""
        now = time.monotonic()
        for opened in self.stores.values():
            if now - opened.counted_at >= COUNT_SECONDS:
                opened.keys_estimate = opened.store.approximate_num_entries()
                opened.counted_at = now
            opened.size_bytes = opened.store.bytes()
        for queue in self.inputs.by_place.values():
            # Beyond markers and aborted records once nothing waits, so that lag returns to 0.
            seen = self.parts.seen(queue.place)
            queue.shown = max(queue.position, seen) if queue.waiting == 0 else queue.position

    @property
    def damaged(self) -> bool:
        """Whether one of its stores was found damaged: it is rebuilt when the task is taken over again."""
        return any(getattr(o.store, "damaged", False) for o in self.stores.values())

    @property
    def waiting(self) -> int:
        """Records polled and not processed yet."""
        return sum(q.waiting for q in self.inputs.by_place.values())

    @property
    def uncommitted_bytes(self) -> int:
        """Bytes that the stores' overlays hold."""
        return sum(o.store.uncommitted_bytes for o in self.stores.values())

    def replace_store(self, name: str, opened: OpenStore) -> None:
        """Go on with another store of the same content; only right after a commit."""
        if self.dirty:
            raise Fatal(f"store {name} of task {self.id} was to be replaced amid a commit: a fault of the engine")
        opened.keys_estimate, opened.drained_total = self.stores[name].keys_estimate, self.stores[name].drained_total
        self.stores = {**self.stores, name: opened}
        former = self._running()
        former.close()
        # What was decoded may be further than what was processed.
        self._make_processors(former.partition_times())

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self, *, clean: bool) -> None:
        """Close processors and stores; `clean` brings what is committed to disk first, so that nothing is restored."""
        if self.state == "closing":
            return
        self.move("closing")
        if self.task is not None:
            self.task.close()
            self.task = None
        with contextlib.ExitStack() as closing:
            # All of them, whatever one says: a disk that is full fails a flush.
            for opened in self.stores.values():
                closing.callback(opened.store.close)
                if clean:
                    closing.callback(opened.store.flush)
        self.stores = {}

    def release(self) -> dict[str, OpenStore]:
        """Close the processors and give the stores away, open, with exactly what is committed in them."""
        if self.task is not None:
            self.task.close()
            self.task = None
        for opened in self.stores.values():
            # Nothing but the last commit, no open iterator, no cached object.
            opened.store.rollback()
            opened.acked = None
        self.context.commit_requested = False
        self.move("closing")
        stores, self.stores = self.stores, {}
        return stores

    def _running(self) -> Task:
        if self.task is None:
            raise Fatal(f"task {self.id} is {self.state} and was asked to work: this is a fault of the engine")
        return self.task


def _from_offset(raw: RawBatch, offset: int) -> RawBatch:
    keep = [i for i, at in enumerate(raw.offsets) if at >= offset]
    return RawBatch(
        raw.topic,
        raw.partition,
        [raw.offsets[i] for i in keep],
        [raw.keys[i] for i in keep],
        [raw.values[i] for i in keep],
        [raw.timestamps[i] for i in keep],
        None if raw.headers is None else [raw.headers[i] for i in keep],
    )
