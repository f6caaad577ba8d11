"""Kafka Streams' own integration scenarios for exactly-once and restores, by the names of its tests.

Others stand where the rest of their subject does: what is restored from a checkpoint, a tombstone, and the purge of
repartition topics in `tests/runtime/test_restore.py`.
"""

import shutil
import threading
import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from rocksdict import Options, Rdict

from engine import Consumed, Materialized, Processor, Produced, Stores, StreamsBuilder, serdes
from engine.config import AT_LEAST_ONCE
from engine.control.status import StoreStatus
from engine.errors import Fatal
from engine.instance import Engine
from engine.runtime.state_directory import StateDirectory
from engine.stores import open_store
from tests.runtime import programs
from tests.runtime.harness import (
    PATIENCE_SECONDS,
    config,
    create,
    eventually,
    fold,
    int64,
    produce,
    read,
    reports,
    run_to_the_end,
    running,
)
from tests.stores.vectors import Context

pytestmark = pytest.mark.kafka
# Commits come when the test asks for one: the interval is longer than any of these tests.
BY_HAND = {"session_timeout_ms": 120_000, "commit_interval_ms": 100_000, "max_poll_interval_ms": 300_000}


@pytest.fixture
def application(kafka):
    name = kafka.unique("scenario")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, programs.output_topic(name), partitions=2)
    create(kafka, f"{name}.sums", partitions=2)
    return name


def nothing(_key, _value):
    """No fault."""


def summed(application, seen=nothing):
    """Values as they came, and running sums by key. `seen` is called with each record, and may raise or block."""

    def look(key, value):
        seen(key, value)
        return value

    def build(builder):
        builder.add_state_store(Stores.persistent_key_value("sums"), serdes.string, serdes.int64)
        records = builder.stream(programs.input_topic(application), Consumed(serdes.string, serdes.int64)).map(
            lambda key, value: (key, look(key, value))
        )
        records.to(programs.output_topic(application), Produced(serdes.string, serdes.int64))
        records.process(Sums, stores=["sums"]).to(f"{application}.sums", Produced(serdes.string, serdes.int64))

    return build


class Sums(Processor):
    """Adds each value to its key's sum and forwards the sum: each record shows, none is held back."""

    def init(self, context):
        self.context = context
        self.sums = context.state_store("sums")

    def process(self, record):
        total = (self.sums.get(record.key) or 0) + record.value
        self.sums.put(record.key, total)
        self.context.forward(record.with_value(total))


def write(kafka, application, values, keys=(0, 1)):
    """Each value once for each key; even keys go to partition 0, odd ones to partition 1."""
    rows = [(str(key).encode(), value.to_bytes(8, "big"), 1_000, key % 2) for value in values for key in keys]
    produce(kafka, programs.input_topic(application), rows)


def values_of(kafka, topic, *, committed=True):
    """Values of each key, in order: up to the last stable offset, or to the end with what is not committed."""
    isolation = "read_committed" if committed else "read_uncommitted"
    client = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": kafka.unique("reader"),
        "isolation.level": isolation,
    }
    consumer = Consumer({**client, "enable.auto.commit": False})
    found = {}
    try:
        for partition in (0, 1):
            place = TopicPartition(topic, partition, 0)
            _, end = consumer.get_watermark_offsets(place, 10)
            consumer.assign([place])
            deadline = time.monotonic() + PATIENCE_SECONDS
            while end and consumer.position([place])[0].offset < end:
                assert time.monotonic() < deadline, f"{topic}-{partition} was not read to {end}"
                for message in consumer.consume(1_000, 0.1):
                    assert message.error() is None, message.error()
                    if message.offset() < end:
                        found.setdefault(int(message.key()), []).append(int64(message.value()))
    finally:
        consumer.close()
    return found


def processes(engine, count):
    eventually(lambda: hasattr(engine, "loop") and engine.loop.processed_total >= count, f"{count} records")


def commits(engine):
    """Ask for a commit and wait for it."""
    before = engine.committer.commits_total
    engine.loop.request_commit()
    eventually(lambda: engine.committer.commits_total > before, "a commit")


def sums_of(engine):
    """(committed, uncommitted) sum of each key."""
    committed, overlay = {}, {}
    for task in engine.tasks.running():
        store = task.stores["sums"].store
        for row in store.committed().all(limit=100):
            committed[int(row.key)] = int64(row.value[-8:])
        overlay |= {int(key): value for key, value in store.all()}
    return committed, overlay


def test_a_task_fails_before_its_commit_and_nothing_shows_twice(kafka, application, tmp_path):
    """shouldNotViolateEosIfOneTaskFails(WithState), shouldBufferStateStoreWritesUntilCommitUnderEos."""
    failing = threading.Event()

    def seen(key, value):
        if failing.is_set() and key == "0" and value == 17:
            raise RuntimeError("a test says so")

    settings = config(kafka, application, tmp_path / "state", **BY_HAND)
    engine = Engine(summed(application, seen), settings)
    engine.start()
    write(kafka, application, range(10))
    processes(engine, 20)
    commits(engine)
    output = programs.output_topic(application)
    # The marker of a transaction lands a moment after its commit has returned.
    eventually(lambda: values_of(kafka, output) == {0: list(range(10)), 1: list(range(10))}, "20 committed")
    assert sums_of(engine) == ({0: 45, 1: 45}, {0: 45, 1: 45})

    write(kafka, application, range(10, 13))
    write(kafka, application, [100], keys=(2, 3))
    processes(engine, 28)
    eventually(lambda: sum(map(len, values_of(kafka, output, committed=False).values())) == 28, "uncommitted output")
    assert sum(map(len, values_of(kafka, output).values())) == 20
    # What readers see is committed; what the task sees is its own.
    assert sums_of(engine) == ({0: 45, 1: 45}, {0: 78, 1: 78, 2: 100, 3: 100})

    failing.set()
    write(kafka, application, range(13, 20))
    with pytest.raises(Fatal, match="a test says so"):
        engine.wait(PATIENCE_SECONDS)
    assert sum(map(len, values_of(kafka, output).values())) == 20
    failing.clear()
    run_to_the_end(summed(application), settings)
    every = {0: list(range(20)), 1: list(range(20)), 2: [100], 3: [100]}
    eventually(lambda: values_of(kafka, output) == every, "all committed")
    running_sums = [sum(range(n + 1)) for n in range(20)]
    every_sum = {0: running_sums, 1: running_sums, 2: [100], 3: [100]}
    eventually(lambda: values_of(kafka, f"{application}.sums") == every_sum, "all sums committed")
    assert len([v for values in values_of(kafka, output, committed=False).values() for v in values]) <= 42 + 22
    ends_where_its_changelog_ends(kafka, application, tmp_path)


def ends_where_its_changelog_ends(kafka, application, tmp_path):
    """shouldWriteLatestOffsetsToCheckpointOnShutdown: after a clean close nothing is left to restore."""
    changelog = f"{application}-sums-changelog"
    directory = StateDirectory(tmp_path / "state", application)
    builder = StreamsBuilder()
    summed(application)(builder)
    spec = builder.build().stores["sums"]
    for partition in (0, 1):
        generation = directory.current(f"0_{partition}", "sums")
        store = open_store(spec, directory.generation_directory(f"0_{partition}", "sums", generation), Context())
        try:
            wanted = fold(r for r in read(kafka, changelog) if r[3] == partition)
            assert {k.encode(): v.to_bytes(8, "big") for k, v in store.all()} == wanted
            position = store.position
        finally:
            store.close()
        low, high = kafka_end(kafka, changelog, partition)
        # Only the marker of the last transaction may lie behind.
        assert high - 1 <= position <= high, (low, high)


def kafka_end(kafka, topic, partition):
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": kafka.unique("end")})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
    finally:
        consumer.close()


def test_an_instance_that_stalls_is_fenced_and_rejoins(kafka, application, tmp_path):
    """shouldNotViolateEosIfOneTaskGetsFencedUsingIsolatedAppInstances."""
    stall, go_on, stalled = threading.Event(), threading.Event(), threading.Event()

    def seen(_key, value):
        if stall.is_set() and value == 12:
            stalled.set()
            go_on.wait(PATIENCE_SECONDS)

    fast = {"session_timeout_ms": 6_000, "max_poll_interval_ms": 6_000, "commit_interval_ms": 200}
    one = config(kafka, application, tmp_path / "one", instance_id="one", **fast)
    two = config(kafka, application, tmp_path / "two", instance_id="two", **fast)
    output = programs.output_topic(application)
    with running(summed(application, seen), one) as first, running(summed(application), two) as second:
        for engine in (first, second):
            eventually(
                lambda engine=engine: hasattr(engine, "tasks") and len(engine.tasks.running()) == 1, "a task each"
            )
        write(kafka, application, range(10))
        eventually(lambda: values_of(kafka, output) == {k: list(range(10)) for k in (0, 1)}, "20 committed")
        stall.set()
        write(kafka, application, range(10, 20))
        assert stalled.wait(PATIENCE_SECONDS)
        eventually(
            lambda: values_of(kafka, output) == {k: list(range(20)) for k in (0, 1)}, "40 committed by the other"
        )
        stall.clear()
        go_on.set()
        eventually(
            lambda: len(first.tasks.running()) == len(second.tasks.running()) == 1, "the stalled one has rejoined"
        )
        write(kafka, application, range(20, 30))
        eventually(lambda: values_of(kafka, output) == {k: list(range(30)) for k in (0, 1)}, "60 committed")
    running_sums = [sum(range(n + 1)) for n in range(30)]
    every_sum = {0: running_sums, 1: running_sums}
    eventually(lambda: values_of(kafka, f"{application}.sums") == every_sum, "all sums committed")


def test_a_copy_without_its_position_is_rebuilt_and_never_holds_what_was_not_committed(kafka, tmp_path):
    """StandbyTaskEOSIntegrationTest.shouldWipeOutStandbyStateDirectoryIfCheckpointIsMissing."""
    application = kafka.unique("fail-back")
    for topic in (programs.input_topic(application), programs.output_topic(application), f"{application}.sums"):
        create(kafka, topic)
    go_on = threading.Event()

    def poisoned(_key, value):
        if value == 666:
            raise RuntimeError("a test says so")

    def waits(key, _value):
        if key == "2":
            go_on.wait(PATIENCE_SECONDS)

    # The others hear of a rebalance with their next heartbeat, a tenth of the session timeout later at most.
    soon = {**BY_HAND, "session_timeout_ms": 30_000, "commit_interval_ms": 25_000}
    first, second = (
        config(kafka, application, tmp_path / name, instance_id=name, num_standby_replicas=1, **soon)
        for name in ("first", "second")
    )
    one = Engine(summed(application, poisoned), first)
    one.start()
    eventually(lambda: hasattr(one, "tasks") and one.tasks.running(), "its task")
    with running(summed(application, waits), second) as two:
        write(kafka, application, range(10), keys=[0])
        processes(one, 10)
        commits(one)
        eventually(lambda: standby_of(two) == {0: 45}, "the standby follows")
        write(kafka, application, [100], keys=[2])
        eventually(lambda: one.loop.processed_total == 11, "a key that is not committed")
        assert sums_of(one) == ({0: 45}, {0: 45, 2: 100})
        assert standby_of(two) == {0: 45}
        write(kafka, application, [666], keys=[0])
        with pytest.raises(Fatal, match="a test says so"):
            one.wait(PATIENCE_SECONDS)
        # It waits at the first record that was not committed.
        eventually(two.tasks.running, "the standby is promoted")
        assert sums_of(two) == ({0: 45}, {0: 45})

        lose_position(tmp_path / "first" / application / "0_0" / "sums" / "g00000001")
        with running(summed(application), first) as one:
            eventually(lambda: standby_of(one), "its copy is rebuilt")
            assert standby_of(one) == {0: 45}
            go_on.set()
            processes(two, 2)
            commits(two)
            eventually(lambda: standby_of(one) == {0: 711, 2: 100}, "it follows")
            eventually(lambda: one.membership.joined, "it is a member again")
            two.request_stop()
            two.wait(PATIENCE_SECONDS)
            eventually(one.tasks.running, "the task is back")
            assert sums_of(one) == ({0: 711, 2: 100}, {0: 711, 2: 100})
            assert one.tasks.running()[0].restores["sums"].records == 0
    told = [r for r in reports(kafka, one) if isinstance(r, StoreStatus)]
    causes = {(r.generation, r.cause) for r in told if r.role == "standby" and r.phase == "done"}
    assert len(causes) == 1
    generation, cause = causes.pop()
    assert generation == "g00000002"
    assert cause.startswith("corruption: store sums has rows, and nothing that says how far they go")


def standby_of(engine):
    """Committed sums of the standby at an engine once it has caught up."""
    found = [s for s in engine.tasks.standbys if s.caught_up] if hasattr(engine, "tasks") else []
    rows = found[0].stores["sums"].store.committed().all(limit=100) if found else ()
    return {int(row.key): int64(row.value[-8:]) for row in rows}


def lose_position(generation):
    """Leave a store with its rows, one that nobody committed among them, and without anything that says how far they go."""
    with Rdict(str(generation), Options(raw_mode=True)) as database:
        meta = database.get_column_family("meta")
        for name in list(meta.keys()):
            del meta[name]
        database[b"2"] = database[b"0"]


def test_a_restore_that_is_cut_short_goes_on_where_it_was(kafka, tmp_path):
    """shouldCheckpointRestoredOffsetsWhenClosingCleanDuringRestoring."""
    name = kafka.unique("halfway")
    create(kafka, programs.input_topic(name))
    keys = 60_000
    produce(kafka, programs.input_topic(name), [(f"key-{i:06d}".encode(), b"v") for i in range(keys)])
    build = programs.counts(name, output=False)
    settings = config(kafka, name, tmp_path / "state")
    run_to_the_end(build, settings)
    shutil.rmtree(tmp_path / "state")
    with running(build, settings.with_(restore_bytes_per_second_max=200_000)) as engine:

        def position():
            restores = [
                r
                for w in (list(engine.tasks.take_overs.values()) if hasattr(engine, "tasks") else ())
                for r in w.restores
            ]
            return restores[0].position if restores else 0

        eventually(lambda: position() > 0, "some of it is restored")
        assert not engine.tasks.running()
    with running(build, settings) as engine:
        eventually(lambda: hasattr(engine, "tasks") and engine.tasks.running(), "the restore's end")
        restored = engine.tasks.running()[0].restores["counts"]
        assert 0 < restored.start < keys
        assert restored.records == keys - restored.start
        assert engine.tasks.running()[0].stores["counts"].store.approximate_num_entries() > 0


def test_what_was_not_committed_is_emitted_again(kafka, tmp_path):
    """shouldEmitSameRecordAfterFailover: updates are compared with restored state, not with what was in memory."""
    name = kafka.unique("emitted")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))

    def build(builder):
        builder.table(
            programs.input_topic(name),
            Consumed(serdes.string, serdes.string),
            Materialized("rows", serdes.string, serdes.string),
        ).to_stream().to(programs.output_topic(name), Produced(serdes.string, serdes.string))

    def fail(step):
        if step == "before-commit" and armed:
            armed.clear()
            raise Fatal("a test says so")

    armed = [True]
    produce(kafka, programs.input_topic(name), [(b"1", b"A", 0), (b"1", b"B", 0)])
    settings = config(kafka, name, tmp_path / "state", guarantee=AT_LEAST_ONCE, commit_interval_ms=500, caching=False)

    def fail_once_processed(step):
        if engine.loop.processed_total >= 2:
            fail(step)

    engine = Engine(build, settings, crash_point=fail_once_processed)
    engine.start()
    with pytest.raises(Fatal, match="a test says so"):
        engine.wait(PATIENCE_SECONDS)
    run_to_the_end(build, settings)
    assert [value for _, value, *_ in read(kafka, programs.output_topic(name))] == [b"A", b"B", b"A", b"B"]
