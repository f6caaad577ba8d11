"""`TopologyTestDriver`: a topology without a broker, run by the task code of production.

The whole topology is one task on one partition. An input goes through completely, repartition topics included, before the
next one. The wall clock moves only when told.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine import names
from engine.errors import ConfigError, DeserializationError, ProcessingError
from engine.records import Batch, RawBatch
from engine.runtime.plan import make_plan
from engine.runtime.task import Task, TaskContext
from engine.stores import open_store
from engine.testing.captured import CapturedTopics, Sent
from engine.testing.linear import linear_sources
from engine.testing.topics import TestInputTopic, TestOutputTopic
from engine.topology.builder import StreamsBuilder, topology_of
from engine.topology.operations import GlobalSource, Sink, Source
from engine.topology.topology import Topology

TASK_ID = "0_0"


class _Raise:
    """Handlers under which any record that cannot be processed ends the test, with its cause."""

    may_skip = False

    def deserialization(self, raw: RawBatch, row: int, error: Exception) -> None:
        where = f"{raw.topic}-{raw.partition}@{raw.offsets[row]}"
        raise DeserializationError(f"{where} cannot be read: {type(error).__name__}: {error}") from error

    def processing(self, task_id: str, node: str, batch: Batch, row: int, error: Exception) -> None:
        where = f"task {task_id}, node {node}, key {batch.keys[row]!r}"
        raise ProcessingError(f"{where}: {type(error).__name__}: {error}") from error

    serialization = processing


class TopologyTestDriver:
    """Runs a topology in this thread. Use it as a context manager, or `close` it: RocksDB stores live in a directory.

    `build` is a function that fills a `StreamsBuilder`, a builder, or a topology. With `caching` results are held back until
    `commit()`. `emit_interval_ms` is how often closed windows and unmatched outer-join records are looked for.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    def __init__(
        self,
        build: Callable[[StreamsBuilder], Any] | StreamsBuilder | Topology,
        *,
        application_id: str = "test",
        caching: bool = False,
        emit_interval_ms: int = 0,
        wall_clock_ms: int = 0,
        handlers: Any = None,
    ) -> None:
        self.topology = _topology(build)
        self.application_id = names.check_name(application_id, "application id")
        self.wall_clock_ms = wall_clock_ms
        self._directory: Path | None = None
        self._context = TaskContext(application_id, TASK_ID, 0, lambda: self.wall_clock_ms)
        self._captured = CapturedTopics(self._reads)
        self._handlers = handlers or _Raise()
        self._offsets: dict[str, int] = {}
        self._stores: dict[str, Any] = {}
        self._closed = False
        self._read: dict[str, int] = {}
        self._caching = caching
        try:
            self._open_stores(caching=caching)
            self._task = self._make_task(caching=caching, emit_interval_ms=emit_interval_ms)
        except BaseException:
            self._close_stores()
            raise
        self._linear = linear_sources(self.topology)

    def _open_stores(self, *, caching: bool) -> None:
        for spec in self.topology.stores.values():
            # Without a record cache every put is logged, as with a cache of size 0 in Kafka Streams.
            opened = spec if caching else spec.with_(caching=False)
            directory = None
            if spec.backend == "rocksdb":
                if self._directory is None:
                    self._directory = Path(tempfile.mkdtemp(prefix="statehouse-driver-"))
                directory = self._directory / spec.name
            self._stores[spec.name] = open_store(opened, directory, self._context)

    def _make_task(self, *, caching: bool, emit_interval_ms: int) -> Task:
        is_global = {n: isinstance(node.operation, GlobalSource) for n, node in self.topology.nodes.items()}

        def task(*, of_globals: bool) -> Task:
            nodes = {n: node for n, node in self.topology.nodes.items() if is_global[n] is of_globals}
            return Task(
                make_plan(nodes),
                self._context,
                self._stores,
                self._captured,
                self._handlers,
                caching=caching,
                emit_interval_ms=emit_interval_ms,
            )

        tables = task(of_globals=True)
        self._globals: dict[str, Any] = {
            step.node.operation.topic: processor
            for step, processor in zip(tables.plan.steps, tables.processors, strict=True)
            if isinstance(step.node.operation, GlobalSource)
        }
        return task(of_globals=False)

    # -- in and out -------------------------------------------------------------------------------------------------------

    def input_topic(self, name: str, key_serde: Any = None, value_serde: Any = None) -> TestInputTopic:
        """Where records of a topic are piped in. Raises ConfigError for a topic that the topology does not read."""
        if not self._reads(name):
            raise ConfigError(f"the topology does not read topic {name}: it reads {', '.join(self._inputs())}")
        operation: Any = self._source(name)
        return TestInputTopic(self, name, key_serde or operation.key_serde, value_serde or operation.value_serde)

    def output_topic(self, name: str, key_serde: Any = None, value_serde: Any = None) -> TestOutputTopic:
        """Where records of a topic are read. Serdes not given are those that the topology writes it with."""
        sinks = [n.operation for n in self.topology.nodes.values() if isinstance(n.operation, Sink)]
        found = next((s for s in sinks if s.topic == name), None) or next((s for s in sinks if callable(s.topic)), None)
        if found is not None:
            key_serde, value_serde = key_serde or found.key_serde, value_serde or found.value_serde
        return TestOutputTopic(self, name, key_serde, value_serde)

    def pipe_all(self, rows: Iterable[tuple[str, Any, Any, int]]) -> None:
        """Process `(topic, key, value, timestamp_ms)` rows of any topics as one micro-batch, in this order."""
        for topic, run in groupby(rows, key=lambda row: row[0]):
            self.input_topic(topic).pipe_batch([row[1:] for row in run])

    def pipe_raw(self, topic: str, rows: list[tuple[bytes | None, bytes | None, int, Any]]) -> None:
        """Process records of one topic, as bytes: at once where that cannot change an answer, else one by one."""
        if self._closed:
            raise ConfigError("the driver is closed")
        step = max(len(rows), 1) if self._is_linear(topic) else 1
        for start in range(0, len(rows), step):
            self._feed(topic, [Sent(*row) for row in rows[start : start + step]])
            self._settle(whole=step > 1)

    def unread(self, topic: str, *, keep: bool = False) -> list[Sent]:
        """What was written to a topic since it was last read, by any of its `TestOutputTopic`s; `keep` leaves it unread."""
        sent, read = self.sent(topic), self._read.get(topic, 0)
        if not keep:
            self._read[topic] = len(sent)
        return sent[read:]

    def sent(self, topic: str) -> list[Sent]:
        """Every record written to a topic, under its real name, since the driver was made."""
        return self._captured.records.get(topic, [])

    # -- time and state ---------------------------------------------------------------------------------------------------

    def advance_wall_clock(self, ms: int) -> None:
        """Move the wall clock on, and run the punctuations that are due."""
        self.wall_clock_ms += ms
        self._task.punctuate_wall_clock()
        self._settle(whole=False)

    def commit(self) -> None:
        """Commit as the engine does: what the record caches held back goes on, then changelogs and stores follow."""
        while True:
            before = sum(map(len, self._captured.records.values()))
            self._task.flush()
            self._settle(whole=False, commits=False)
            if sum(map(len, self._captured.records.values())) == before:
                break
        self._context.commit_requested = False
        self._drain()

    def store(self, name: str) -> Any:
        """A store of the topology by name, with its typed methods."""
        try:
            return self._stores[name]
        except KeyError:
            known = ", ".join(self._stores) or "none"
            raise ConfigError(f"the topology has no store {name!r}; its stores: {known}") from None

    @property
    def dropped_records_total(self) -> int:
        """Kafka Streams' `dropped-records-total` over the whole topology."""
        return self._context.dropped_total

    def changelog(self, topic: str) -> list[Sent]:
        """Everything written to an internal topic (a changelog, or a repartition topic), under its real name."""
        self._drain()
        return self.sent(topic)

    def internal_topics(self) -> list[str]:
        """Real names of all internal topics of the topology that were written to."""
        self._drain()
        return sorted(topic for topic in self._captured.records if self._is_internal(topic))

    def outputs(self) -> list[tuple[str, Sent]]:
        """Every record written to a topic that is not internal, with the topic, in the order of writing."""
        is_internal = {topic: self._is_internal(topic) for topic in self._captured.records}
        return [(topic, row) for topic, row in self._captured.log if not is_internal[topic]]

    def close(self) -> None:
        """Close processors and stores, and remove what they kept on disk. Calling it twice is allowed."""
        if self._closed:
            return
        self._closed = True
        try:
            self._task.close()
        finally:
            self._close_stores()

    def __enter__(self) -> Self:
        """Return the driver."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    # -- within -----------------------------------------------------------------------------------------------------------

    def _feed(self, topic: str, rows: list[Sent]) -> None:
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + len(rows)
        raw = RawBatch(
            topic,
            0,
            list(range(offset, offset + len(rows))),
            [row.key for row in rows],
            [row.value for row in rows],
            [row.timestamp for row in rows],
            [row.headers for row in rows] if any(row.headers for row in rows) else None,
        )
        table = self._globals.get(topic)
        if table is not None:
            table.process(table.reader.decode(raw, self._handlers.deserialization)[0])
            return
        batch, _ = self._task.decode(raw, self._handlers.deserialization)
        self._task.process(topic, batch)
        if not self._caching:
            # As in Kafka Streams' test driver every record is a commit of its own: what logs by commit shows each step.
            self._task.flush()
            self._drain(commits=False)

    def _settle(self, *, whole: bool, commits: bool = True) -> None:
        """Let what was written to the topology's own topics come back in, until nothing is left."""
        while (found := self._captured.next(whole=whole)) is not None:
            self._feed(*found)
        if commits and self._context.commit_requested:
            self.commit()

    def _drain(self, *, commits: bool = True) -> None:
        for name, store in self._stores.items():
            if name in self.topology.global_stores:
                continue
            records = store.drain_changelog()
            if records:
                keys, values, timestamps = (list(column) for column in zip(*records, strict=True))
                self._captured.send(names.changelog_topic(self.application_id, name), keys, values, timestamps)
            if commits:
                store.commit(None)

    def _is_internal(self, topic: str) -> bool:
        ends = ("-changelog", "-repartition", *names.FOREIGN_KEY_SUFFIXES)
        return topic.startswith(f"{self.application_id}-") and topic.endswith(ends)

    def _reads(self, topic: str) -> bool:
        return topic in self._globals or topic in self._task.sources

    def _inputs(self) -> list[str]:
        return [*self._task.sources, *self._globals]

    def _source(self, topic: str) -> Source | GlobalSource:
        if topic in self._globals:
            return self._globals[topic].operation  # type: ignore[no-any-return]
        return self._task.plan.steps[self._task.sources[topic]].node.operation  # type: ignore[return-value]

    def _is_linear(self, topic: str) -> bool:
        return topic in self._globals or self._task.plan.steps[self._task.sources[topic]].node.name in self._linear

    def _close_stores(self) -> None:
        for store in self._stores.values():
            store.close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


def _topology(build: Any) -> Topology:
    if isinstance(build, Topology):
        return build
    if isinstance(build, StreamsBuilder):
        return build.build()
    return topology_of(build)
