"""Global tables: every instance reads all partitions of their topics into stores of its own, without a changelog.

Owner: the loop; its thread only. The stores are brought to the end of their topics before any task runs, and followed
from then on between batches. They are rebuilt at each start: the topic is all there is to restore from.
"""

import shutil
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import TopicPartition

from engine.changelog.topics import Topics
from engine.errors import Fatal, TaskCorrupted
from engine.runtime.active_task import OpenStore
from engine.runtime.blueprint import Blueprint
from engine.runtime.consumer import batches
from engine.runtime.plan import make_plan
from engine.runtime.state_directory import StateDirectory
from engine.runtime.task import Collector, Handlers, Task, TaskContext
from engine.stores import open_store

BATCH_RECORDS = 20_000
POLL_SECONDS = 0.2


class GlobalTables:
    """The global stores of an instance, by name in `stores`."""

    def __init__(
        self,
        blueprint: Blueprint,
        topics: Topics,
        directory: StateDirectory,
        settings: Mapping[str, Any],
        collector: Collector,
        handlers: Handlers,
        wall_clock: Callable[[], int],
    ) -> None:
        self._topics = topics
        self._client: Client | None = None
        # Whether the stores have come to the end that their topics had at the start: before, a row that they lack may be
        # there. Any thread.
        self.filled = False
        self._context = TaskContext(blueprint.application_id, "global", 0, wall_clock)
        self.opened: dict[str, OpenStore] = {}
        nodes = blueprint.topology.global_nodes()
        if not nodes:
            return
        for name in blueprint.topology.global_stores:
            spec = blueprint.topology.stores[name]
            path = directory.application / "global" / name
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            store = open_store(spec, path if spec.backend == "rocksdb" else None, self._context)
            self.opened[name] = OpenStore(spec, store)
        self._task = Task(make_plan(nodes), self._context, self.stores, collector, handlers)
        self._places = [(t, p) for t in set(blueprint.global_topics.values()) for p in range(blueprint.counts[t])]
        for topic in blueprint.global_topics.values():
            self._task.sources.setdefault(topic, self._place(topic))
        self._client = Client({**settings, "group.id": f"{blueprint.application_id}-global"})

    @property
    def stores(self) -> dict[str, Any]:
        """The open stores by name."""
        return {name: opened.store for name, opened in self.opened.items()}

    def fill(self, stopped: Callable[[], bool], commit_output: Callable[[], None]) -> None:
        """Read every topic to its present end; returns early when `stopped()`. `commit_output` commits dead letters.

        What is not committed is in Python's memory, and in a transaction that lives for seconds: no more than a step of
        it, however large the table.
        """
        if self._client is None:
            return
        begins, ends = self._topics.begin_offsets(self._places), self._topics.end_offsets(self._places)
        self._client.assign([TopicPartition(t, p, begins[t, p]) for t, p in self._places])
        asked = [TopicPartition(t, p) for t, p in self._places if ends[t, p] > begins[t, p]]
        while asked and not stopped():
            if self._step(POLL_SECONDS):
                self._commit()
                commit_output()
            found = self._client.position(asked)
            asked = [p for p in found if p.offset < ends[p.topic, p.partition]]
        self.filled = not asked

    def follow(self) -> None:
        """Apply what has arrived since; returns at once."""
        if self._client is not None and self._step(0):
            self._commit()

    def close(self) -> None:
        """Close the reader and the stores."""
        if self._client is not None:
            self._client.close()
            self._client = None
        for opened in self.opened.values():
            opened.store.close()
        self.opened = {}

    def _step(self, timeout: float) -> int:
        if self._client is None:
            return 0
        messages = self._client.consume(BATCH_RECORDS, timeout)
        try:
            found = batches(messages) if messages else []
        except TaskCorrupted as error:
            # No task could mend it, and the client reads that partition no more: the table would stand still unseen.
            raise Fatal(f"global table: {error}. Start again: global tables are rebuilt at each start") from error
        for raw in found:
            batch, _ = self._task.decode(raw, self._task.handlers.deserialization)
            self._task.process(raw.topic, batch)
        return len(messages)

    def _commit(self) -> None:
        for opened in self.opened.values():
            opened.store.drain_changelog()
            opened.store.commit(None)

    def _place(self, topic: str) -> int:
        for place, step in enumerate(self._task.plan.steps):
            if getattr(step.node.operation, "topic", None) == topic:
                return place
        raise KeyError(topic)
