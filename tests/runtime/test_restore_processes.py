"""Large restores in processes of their own: what comes back is the changelog's fold, whoever ends or stops on the way."""

import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from engine.changelog.topics import Topics
from engine.control import reporter
from engine.control.status import StoreStatus
from engine.errors import DiskFull, TaskCorrupted
from engine.runtime import restore_child, restore_processes
from engine.runtime.restorer import Restorer
from engine.stores import memory_budget
from engine.topology.stores import StoreSpec
from tests.runtime import programs
from tests.runtime.harness import EngineProcess, config, create, eventually, produce, read, reports, running

RECORDS = 210_000
KEYS = 100_000
LARGE = (0, 1)
HEALTHY = 2
BATCH = 10_000


class Lost:
    """An application whose changelogs of partitions 0 and 1 are large and whose state is on no disk; what they fold to."""

    def __init__(self, kafka) -> None:
        self.name = kafka.unique("lost")
        self.build = programs.joined(self.name)
        self.changelog = f"{self.name}-rows-changelog"
        inputs = (programs.input_topic(self.name), f"{self.name}.table")
        for topic in (*inputs, programs.output_topic(self.name), self.changelog):
            create(kafka, topic, partitions=3)
        self.folds = {partition: self._fill(kafka, partition) for partition in LARGE}
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": self.name})
        offsets = [TopicPartition(topic, partition, 0) for topic in inputs for partition in range(3)]
        # A broker that has just started loads its groups first.
        eventually(lambda: committed(consumer, offsets), "the offsets are committed")
        consumer.close()
        # Nobody writes there any more: the same application may lose its state again and again.
        ends = Topics({"bootstrap.servers": kafka.bootstrap_servers}).end_offsets([(self.changelog, p) for p in LARGE])
        assert set(ends.values()) == {RECORDS}

    def _fill(self, kafka, partition):
        dice, fold = random.Random(partition), {}
        keys = [b"k%d" % n for n in range(KEYS)]
        values = [None, *(dice.randbytes(100) for _ in range(100))]
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 50, "batch.size": 500_000})
        for _ in range(RECORDS // BATCH):
            batch = list(zip(dice.choices(keys, k=BATCH), dice.choices(values, k=BATCH), strict=True))
            fold.update(batch)
            rows = [{"key": key, "value": value} for key, value in batch]
            while producer.produce_batch(self.changelog, rows, partition=partition) < len(rows):
                rows = [row for row in rows if row.pop("_error", None)]
                producer.flush(1)
        assert producer.flush(60) == 0
        return {key: value for key, value in fold.items() if value is not None}

    def content(self, engine):
        """Committed rows of the large partitions, once their tasks run."""

        def all_run():
            tasks = {t.partition: t for t in engine.tasks.running()} if hasattr(engine, "tasks") else {}
            return tasks if tasks.keys() >= set(LARGE) else None

        stores = {p: eventually(all_run, "the tasks run")[p].stores["rows"].store for p in LARGE}
        return {p: {r.key: r.value for r in s.committed().range(None, None, limit=KEYS)} for p, s in stores.items()}


def committed(consumer, offsets):
    try:
        return consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException:
        return None


@pytest.fixture(scope="module")
def lost(kafka):
    return Lost(kafka)


def settings(kafka, lost, state_dir, **more):
    return config(kafka, lost.name, state_dir, restore_processes=2, **more)


def children(engine):
    """Ids of the processes that restore, as soon as both do."""

    def both():
        pids = engine.restorer.processes.pids if hasattr(engine, "restorer") else ()
        return pids if len(pids) == len(LARGE) else None

    return eventually(both, "two processes")


def restores(engine):
    return {w.partition: r for w in list(engine.tasks.take_overs.values()) for r in w.restores if w.partition in LARGE}


def send(engine, number, *, share=0.0):
    """Send a signal to each process once its restore has come so far; returns their ids."""
    children(engine)
    sent, deadline = {}, time.monotonic() + 60
    while len(sent) < len(LARGE):
        assert time.monotonic() < deadline, (sent, restores(engine))
        for child in list(engine.restorer.processes._children):
            lease = child.lease
            if lease is None or child.process.pid in sent:
                continue
            # Now, not when all have been sent to: what was killed first goes on in this process, and may be done by then.
            if share * RECORDS < lease.restoring.position < RECORDS:
                os.kill(child.process.pid, number)
                sent[child.process.pid] = lease.restoring.position
        time.sleep(0.001)
    return list(sent)


def go_on(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.kafka
def test_several_partitions_come_back_through_processes_while_a_healthy_one_goes_on(kafka, lost, tmp_path):
    with running(lost.build, settings(kafka, lost, tmp_path / "state")) as engine:
        pids = send(engine, signal.SIGSTOP)
        assert memory_budget.usage()["memtable_limit_bytes"] < engine.config.write_buffer_bytes
        records = [(b"k", f"v{i}".encode(), 1_000, HEALTHY) for i in range(500)]
        produce(kafka, programs.input_topic(lost.name), records)
        healthy = eventually(lambda: [t for t in engine.tasks.running() if t.partition == HEALTHY], "the healthy task")
        eventually(lambda: healthy[0].processed_total == len(records), "it processes")
        eventually(lambda: not healthy[0].dirty, "it commits")
        assert restores(engine).keys() == set(LARGE)
        go_on(pids)
        assert lost.content(engine) == lost.folds
        ended = {t.partition: t.restores["rows"] for t in engine.tasks.running() if t.partition in LARGE}
        assert {(r.start, r.records, r.cause) for r in ended.values()} == {(0, RECORDS, "new owner")}
        assert not any(r.stays_here for r in ended.values())
    eventually(lambda: all(map(gone, pids)), "no process is left")
    assert memory_budget.usage()["memtable_limit_bytes"] == engine.config.write_buffer_bytes
    assert len([value for _, value, *_ in read(kafka, programs.output_topic(lost.name))]) == 0


@pytest.mark.kafka
def test_after_a_process_was_killed_its_restore_goes_on_where_it_was(kafka, lost, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(reporter, "_ROUND_SECONDS", 0.02)
    with running(lost.build, settings(kafka, lost, tmp_path / "state")) as engine, caplog.at_level(logging.WARNING):
        send(engine, signal.SIGKILL, share=0.7)
        assert lost.content(engine) == lost.folds
        told = [r.args for r in caplog.records if "goes on in this process" in r.msg]
        assert {place for place, *_ in told} == {lost.changelog}
        assert all("ended with -9" in why for *_, why in told)
        # What RocksDB had on disk when it died: not all, but never nothing.
        assert all(0 < offset < RECORDS for _, _, offset, _ in told)
        # Applied twice counts once.
        restored = [t.restores["rows"].records for t in engine.tasks.running() if t.partition in LARGE]
        assert restored == [RECORDS, RECORDS]
    went_back_to, went_back = {partition: offset for _, partition, offset, _ in told}, []
    for partition in LARGE:
        stores = [r for r in reports(kafka, engine) if isinstance(r, StoreStatus) and r.partition == partition]
        progress = [(r.position, r.restored_records) for r in stores if r.store == "rows" and r.position is not None]
        went_back += [position for position, _ in progress if went_back_to[partition] < position < RECORDS]
        assert progress == sorted(progress)
        lags = [r.lag for r in stores if r.store == "rows" and r.lag is not None]
        assert lags == sorted(lags, reverse=True)
    assert went_back


@pytest.mark.kafka
def test_a_process_that_is_stuck_is_ended(kafka, lost, tmp_path, monkeypatch):
    with running(lost.build, settings(kafka, lost, tmp_path / "state")) as engine:
        pids = send(engine, signal.SIGSTOP)
        monkeypatch.setattr(restore_child, "SILENT_SECONDS", 0.5)
        assert lost.content(engine) == lost.folds
        assert all(map(gone, pids))


@pytest.mark.kafka
def test_a_task_revoked_in_mid_restore_keeps_what_was_restored(kafka, lost, tmp_path):
    common = {"num_standby_replicas": 1, "warmup_timeout_ms": 0}
    with running(lost.build, settings(kafka, lost, tmp_path / "one", instance_id="one", **common)) as one:
        pids = send(one, signal.SIGSTOP)
        before = {p: r.position for p, r in restores(one).items()}
        with running(lost.build, settings(kafka, lost, tmp_path / "two", instance_id="two", **common)) as two:
            left = eventually(lambda: set(LARGE) - {t.partition for t in one.tasks.published}, "a task is revoked")
            go_on(pids)

            def kept():
                found = {s.partition: s.restoring("rows") for s in one.tasks.standbys}
                return all(found.get(p) is not None for p in left) and found

            found = eventually(kept, "what left stays as a standby")
            assert all(found[p].start >= before[p] > 0 for p in left)
            eventually(lambda: len(two.tasks.running()) + len(one.tasks.running()) == 3, "all tasks run somewhere")


@pytest.mark.kafka
def test_an_engine_that_was_killed_leaves_no_process_and_its_stores_go_on(kafka, lost, tmp_path):
    whole = settings(kafka, lost, tmp_path / "state")
    with EngineProcess("joined", whole) as process:
        eventually(lambda: len(psutil.Process(process.process.pid).children()) == 2, "two processes")
        pids = [child.pid for child in psutil.Process(process.process.pid).children()]
        process.kill()
        eventually(lambda: all(map(gone, pids)), "its processes end", seconds=10)
    with running(lost.build, whole) as engine:
        assert lost.content(engine) == lost.folds


ONCE = """
import json, os, runpy, sys
try:
    os.close(os.open({flag!r}, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    runpy.run_module("engine.changelog.restore_process", run_name="__main__")
sys.stdin.readline()
order = json.loads(sys.stdin.readline())
print(json.dumps({{"id": order["restore"], "ended": "failed", "error": "TaskCorrupted", "message": "made up"}}), flush=True)
"""


@pytest.mark.kafka
def test_an_error_in_a_process_has_the_reaction_of_one_in_the_thread(kafka, lost, tmp_path, monkeypatch):
    script = ONCE.format(flag=str(tmp_path / "failed-once"))
    monkeypatch.setattr(restore_child, "_COMMAND", [sys.executable, "-c", script])
    taken_over = []
    submit = Restorer.submit
    monkeypatch.setattr(Restorer, "submit", lambda self, wanted: (taken_over.append(wanted), submit(self, wanted)))
    with running(lost.build, settings(kafka, lost, tmp_path / "state")) as engine:
        assert lost.content(engine) == lost.folds
    failed = [wanted for wanted in taken_over if wanted.error is not None]
    assert [str(wanted.error) for wanted in failed] == ["made up"]
    assert isinstance(failed[0].error, TaskCorrupted)
    assert sorted(w.partition for w in taken_over) == sorted([*LARGE, HEALTHY, failed[0].partition])


def test_a_process_names_what_stops_it_and_ends_with_its_parent(tmp_path):
    (tmp_path / "g00000001").mkdir()
    (tmp_path / "g00000001" / "DAMAGED").write_text("a block of it is damaged")
    process = subprocess.Popen(restore_child._COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    order = {"restore": 7, "spec": StoreSpec("rows").shape(), "changelog": "c", "partition": 0, "start": 0, "end": 9}
    client = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    with process:
        for line in (
            {"client": client, "group": "g", "write_buffer_bytes": 1 << 20},
            {**order, "directory": str(tmp_path / "g00000001")},
        ):
            process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        assert told == {"id": 7, "ended": "failed", "error": "TaskCorrupted", "message": "a block of it is damaged"}
        process.stdin.close()
        assert process.wait(10) == 0


def test_errors_keep_their_names():
    assert isinstance(restore_processes.named("TaskCorrupted", "x"), TaskCorrupted)
    assert isinstance(restore_processes.named("DiskFull", "x"), DiskFull)
    assert restore_processes.named("StateDirectoryLocked", "x") is None
    assert restore_processes.named("ValueError", "x") is None
