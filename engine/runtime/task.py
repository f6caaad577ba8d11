"""A task: one sub-topology on one partition, its processors and its open stores.

Owner: the loop (or a test driver); one thread. A task knows nothing of consumers, producers and files: it is given open
stores and a collector, takes batches and hands serialised output to the collector. Its place in the record's way is the
third step of `engine.runtime.loop`: between the record queues and the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from engine import names
from engine.operators import families  # noqa: F401 - registers every operation's processor
from engine.operators.processor import Output, Processor, Routed, build
from engine.operators.sources import Reader
from engine.records import Batch, RawBatch
from engine.runtime.plan import Plan, Step
from engine.runtime.punctuation import Punctuation, Schedules
from engine.topology.operations import Source


class Collector(Protocol):
    """Where a task's serialised output goes: a producer, or a test driver's topics."""

    def send(
        self,
        topic: str,
        keys: list[bytes | None],
        values: list[bytes | None],
        timestamps: list[int],
        headers: list[Any] | None = None,
        partitions: list[int | None] | None = None,
    ) -> None:
        """Take records for a topic under its real name; a None partition means murmur2 of the key."""

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has."""


class Handlers(Protocol):
    """What becomes of records that cannot be processed. Each raises to stop, or returns to skip the record."""

    # Whether `processing` may return.
    may_skip: bool

    def deserialization(self, raw: RawBatch, row: int, error: Exception) -> None:
        """Bytes that the source's serde refused."""

    def processing(self, task_id: str, node: str, batch: Batch, row: int, error: Exception) -> None:
        """User code raised."""

    def serialization(self, task_id: str, node: str, batch: Batch, row: int, error: Exception) -> None:
        """The serde of a sink refused."""


class TaskContext:
    """What all nodes and stores of one task share. Stores take it as their context: they read `timestamp`."""

    def __init__(self, application_id: str, task_id: str, partition: int, wall_clock: Callable[[], int]) -> None:
        self.application_id = application_id
        self.task_id = task_id
        self.partition = partition
        self.wall_clock = wall_clock
        self.timestamp = -1  # of the record being processed
        self.stream_time = -1
        self.dropped_by_reason: dict[str, int] = {}
        self.processor_times: dict[str, int] = {}  # by store; committed beside the offsets
        self.commit_requested = False  # by a processor; the loop clears it when it has committed

    def dropped(self, count: int, reason: str = "expired") -> None:
        """Count dropped records; stores call it for puts behind their retention."""
        self.dropped_by_reason[reason] = self.dropped_by_reason.get(reason, 0) + count

    @property
    def dropped_total(self) -> int:
        """Kafka Streams' `dropped-records-total` of the task."""
        return sum(self.dropped_by_reason.values())


class Task:
    """Processors and stores of one task. After an abort it is closed and another is made from the same plan."""

    def __init__(
        self,
        plan: Plan,
        context: TaskContext,
        stores: Mapping[str, Any],
        collector: Collector,
        handlers: Handlers,
        *,
        caching: bool = True,
        emit_interval_ms: int = 1000,
        counts: list[int] | None = None,
    ) -> None:
        self.plan = plan
        # Records that reached each step: a list of the caller's goes on over the lives of one task.
        self.counts = counts if counts is not None else [0] * len(plan.steps)
        self.context = context
        self.stores = stores
        self.collector = collector
        self.handlers = handlers
        self.caching = caching
        self.emit_interval_ms = emit_interval_ms
        self.schedules = Schedules()
        self.shared: dict[str, Any] = {}
        self.sources: dict[str, int] = {}  # real topic name -> place of its source
        self.processors: list[Processor] = [build(step.node) for step in plan.steps]
        for place, (step, processor) in enumerate(zip(plan.steps, self.processors, strict=True)):
            operation = step.node.operation
            if isinstance(operation, Source):
                for topic in operation.topics:
                    self.sources[self.topic_name(topic, internal=operation.internal)] = place
            processor.init(_NodeContext(self, place, step))

    def topic_name(self, topic: str, *, internal: bool) -> str:
        """The real name of a topic of the topology."""
        return names.repartition_topic(self.context.application_id, topic) if internal else topic

    def decode(self, raw: RawBatch, refused: Callable[[RawBatch, int, Exception], None]) -> tuple[Batch, list[int]]:
        """Deserialise what came from a topic; returns the records kept and their offsets, and tells `refused` the others.

        Event times are extracted here, before partitions are merged by them. Raises what `refused` raises.
        """
        return self._reader(raw.topic).decode(raw, refused)

    def partition_times(self) -> dict[str, int]:
        """The highest event time decoded of each topic so far, where a timestamp extractor is told it."""
        found: dict[str, int] = {}
        for topic in self.sources:
            found |= self._reader(topic).partition_time
        return found

    def go_on_from(self, partition_times: Mapping[str, int]) -> None:
        """Decode as if records of these highest event times had come before; once, before anything is decoded."""
        for topic, at in partition_times.items():
            self._reader(topic).partition_time[topic] = at

    def _reader(self, topic: str) -> Reader:
        source: Any = self.processors[self.sources[topic]]
        return source.reader  # type: ignore[no-any-return]

    def process(self, topic: str, batch: Batch) -> None:
        """Run decoded records of one source topic through the task, in order, punctuating in stream time."""
        place = self.sources[topic]
        if not batch.keys:
            return
        if not self.plan.steps[place].per_record and not self.schedules.stream_time:
            self._advance(batch)
            self._run(place, batch)
            return
        for row in range(len(batch)):
            single = batch.row(row)
            self._advance(single)
            self._run(place, single)
            self.punctuate_stream_time()

    def _advance(self, batch: Batch) -> None:
        highest = max(batch.timestamps)
        context = self.context
        context.stream_time = max(context.stream_time, highest)
        context.timestamp = batch.timestamps[-1]

    def punctuate_stream_time(self) -> None:
        """Run what is due at the task's stream time."""
        self.schedules.stream_time_reached(self.context.stream_time)

    def punctuate_wall_clock(self) -> None:
        """Run what is due at the wall clock; called by the loop between batches."""
        self.schedules.wall_clock_reached(self.context.wall_clock())

    def flush(self) -> None:
        """First half of a commit's step 1: the record caches hand on what they hold back, top to bottom."""
        for place, processor in enumerate(self.processors):
            self._hand_on(place, processor.flush())

    def close(self) -> None:
        """Close the processors; the stores belong to the caller."""
        for processor in self.processors:
            processor.close()

    def _run(self, place: int, batch: Batch) -> None:
        step = self.plan.steps[place]
        self.counts[place] += len(batch.keys)
        if step.splits_input and len(batch.keys) > 1:
            for row in range(len(batch.keys)):
                self._hand_on(place, self.processors[place].process(batch.row(row)))
        else:
            self._hand_on(place, self.processors[place].process(batch))

    def _hand_on(self, place: int, output: Output) -> None:
        if output is None:
            return
        if isinstance(output, Routed):
            for child, batch in output:
                if batch.keys:
                    self._run(self.plan.steps[place].children[child], batch)
        elif output.keys:
            self.hand_to_children(place, output)

    def hand_to_children(self, place: int, batch: Batch) -> None:
        """Run every child of a node on its output, child by child, or record by record where the paths meet again."""
        step = self.plan.steps[place]
        if len(step.children) == 1:
            self._run(step.children[0], batch)
        elif step.splits_output and len(batch.keys) > 1:
            for row in range(len(batch.keys)):
                single = batch.row(row)
                for child in step.children:
                    self._run(child, single)
        else:
            for child in step.children:
                self._run(child, batch)

    def run_child(self, place: int, child: int, batch: Batch) -> None:
        """Run one child of a node on a batch."""
        self._run(self.plan.steps[place].children[child], batch)


class _NodeContext:
    """`engine.operators.context.NodeContext` of one node."""

    def __init__(self, task: Task, place: int, step: Step) -> None:
        self._task = task
        self._place = place
        self._node = step.node
        self._shared = task.context
        self.application_id = task.context.application_id
        self.task_id = task.context.task_id
        self.partition = task.context.partition
        self.children = tuple(task.plan.steps[c].node.name for c in step.children)
        self.emit_interval_ms = task.emit_interval_ms
        self.caching = task.caching
        self.may_skip = task.handlers.may_skip
        self.wall_clock = task.context.wall_clock
        self.processor_times = task.context.processor_times
        self.dropped = task.context.dropped
        self.send = task.collector.send
        self.partitions_of = task.collector.partitions_of
        self.topic_name = task.topic_name

    @property
    def timestamp(self) -> int:
        return self._shared.timestamp

    @timestamp.setter
    def timestamp(self, value: int) -> None:
        self._shared.timestamp = value

    def store(self, name: str) -> Any:
        return self._task.stores[name]

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._task.shared:
            self._task.shared[name] = make()
        return self._task.shared[name]

    def stream_time(self) -> int:
        return self._shared.stream_time

    def failed(self, batch: Batch, row: int, error: Exception) -> None:
        self._task.handlers.processing(self.task_id, self._node.name, batch, row, error)

    def unwritable(self, batch: Batch, row: int, error: Exception) -> None:
        self._task.handlers.serialization(self.task_id, self._node.name, batch, row, error)

    def forward_now(self, batch: Batch, child: int | None = None) -> None:
        if child is None:
            self._task.hand_to_children(self._place, batch)
        else:
            self._task.run_child(self._place, child, batch)

    def schedule(
        self, interval_ms: int, kind: str, callback: Callable[[int], None], start_ms: int | None = None
    ) -> Punctuation:
        return self._task.schedules.add(
            interval_ms, kind, callback, start_ms, wall_clock=self.wall_clock(), stream_time=self._shared.stream_time
        )

    def request_commit(self) -> None:
        self._shared.commit_requested = True
