"""A rebuilt store takes the live one's place under load, between two commits."""

import shutil
import threading

import pytest

from engine.changelog.restore import build_generation
from engine.control.commands import Order
from engine.runtime.swaps import Swaps
from tests.runtime import programs
from tests.runtime.harness import config, create, eventually, fold, int64, produce, read, running

pytestmark = pytest.mark.kafka


@pytest.fixture
def application(kafka):
    name = kafka.unique("swap")
    create(kafka, programs.input_topic(name), partitions=1)
    create(kafka, programs.output_topic(name), partitions=1)
    return name


class Feed:
    """Records that come while a test runs; counts what it has sent."""

    def __init__(self, kafka, application):
        self._kafka, self._topic = kafka, programs.input_topic(application)
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            produce(self._kafka, self._topic, [(f"k{i % 50}".encode(), b"v") for i in range(500)])
            self.sent += 500
            self._stop.wait(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def stage(kafka, engine, application):
    """What the Celery worker does: build beside the live generation, then rename."""
    name = engine.directory.next_generation("0_0", "counts")
    path = engine.directory.generation_directory("0_0", "counts", name)
    build_generation(
        engine.topology.stores["counts"],
        f"{application}-counts-changelog",
        0,
        path.with_name(f"{name}.staging"),
        client={"bootstrap.servers": kafka.bootstrap_servers},
    )
    path.with_name(f"{name}.staging").rename(path)
    return name


def ready(engine):
    return lambda: hasattr(engine, "commands") and len(engine.tasks.running()) == 1


def totals(kafka, application):
    return {key: int64(value) for key, value in fold(read(kafka, programs.output_topic(application))).items()}


def test_a_staged_generation_is_swapped_in_while_records_come(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state", commit_interval_ms=50)
    with running(programs.counts(application), settings) as engine:
        with Feed(kafka, application) as feed:
            eventually(ready(engine), "the task")
            eventually(lambda: engine.loop.processed_total > 2_000, "some load")
            live = engine.directory.current("0_0", "counts")
            staged = stage(kafka, engine, application)
            order = Order("swap", "counts", 0, "job-1", staged)
            command = engine.commands.start(order)
            assert engine.commands.start(order) is command
            eventually(lambda: command.ended, "the swap")
            assert command.phase == "swapped", command.progress()
            swapped_at = engine.loop.processed_total
            eventually(lambda: engine.loop.processed_total > swapped_at + 1_000, "work goes on")
        eventually(lambda: engine.loop.processed_total == feed.sent, "all of it")
        assert engine.directory.current("0_0", "counts") == staged
        eventually(lambda: engine.directory.generations("0_0", "counts") == [staged], f"{live} is gone")
        assert engine.tasks.published[0].stores["counts"].generation == staged
    expected = {f"k{i}".encode(): feed.sent // 50 for i in range(50)}
    assert totals(kafka, application) == expected
    with running(programs.counts(application), settings) as engine:
        eventually(ready(engine), "the task")
        task = engine.tasks.published[0]
        assert task.restores["counts"].records == 0
        rows = task.stores["counts"].store.committed().range(None, None, limit=100)
        assert {row.key: int64(row.value) for row in rows} == expected


def test_a_store_in_memory_is_rebuilt_inside_the_engine(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state", commit_interval_ms=50)
    with running(programs.counts(application, backend="in-memory"), settings) as engine:
        with Feed(kafka, application) as feed:
            eventually(ready(engine), "the task")
            eventually(lambda: engine.loop.processed_total > 1_000, "some load")
            before = engine.tasks.published[0].stores["counts"].store
            command = engine.commands.start(Order("rebuild", "counts", 0, "job-2"))
            eventually(lambda: command.ended, "the rebuild")
            assert command.phase == "swapped", command.progress()
            assert engine.tasks.published[0].stores["counts"].store is not before
        eventually(lambda: engine.loop.processed_total == feed.sent, "all of it")
    assert totals(kafka, application) == {f"k{i}".encode(): feed.sent // 50 for i in range(50)}


@pytest.mark.parametrize("backend", ["rocksdb", "in-memory"])
def test_a_store_without_a_record_is_rebuilt_and_its_task_goes_on(kafka, application, tmp_path, backend):
    settings = config(kafka, application, tmp_path / "state", commit_interval_ms=50)
    with running(programs.counts(application, backend=backend), settings) as engine:
        eventually(ready(engine), "the task")
        staged = (stage(kafka, engine, application),) if backend == "rocksdb" else ()
        order = Order("swap" if staged else "rebuild", "counts", 0, "job-5", *staged)
        command = engine.commands.start(order)
        eventually(lambda: command.ended, "the swap")
        assert command.phase == "swapped", command.progress()
        produce(kafka, programs.input_topic(application), [(b"k", b"v")] * 10)
        eventually(lambda: engine.loop.processed_total == 10, "a record that came afterwards")
    assert totals(kafka, application) == {b"k": 10}


def test_a_generation_that_is_not_there_fails_the_order_and_leaves_the_store(kafka, application, tmp_path):
    with running(programs.counts(application), config(kafka, application, tmp_path / "state")) as engine:
        eventually(ready(engine), "the task")
        live = engine.directory.current("0_0", "counts")
        command = engine.commands.start(Order("swap", "counts", 0, "job-3", "g00000099"))
        eventually(lambda: command.ended, "its end")
        assert command.phase == "failed"
        assert "is not staged" in command.progress()["error"]
        assert engine.directory.current("0_0", "counts") == live


def test_a_generation_that_is_removed_while_it_is_followed_is_not_made_live(kafka, application, tmp_path, monkeypatch):
    exchange = Swaps._exchange

    def removed_before(swaps, swap):
        shutil.rmtree(engine.directory.generation_directory("0_0", "counts", swap.generation))
        exchange(swaps, swap)

    monkeypatch.setattr(Swaps, "_exchange", removed_before)
    produce(kafka, programs.input_topic(application), [(b"k", b"v")] * 1_000)
    with running(programs.counts(application), config(kafka, application, tmp_path / "state")) as engine:
        eventually(ready(engine), "the task")
        eventually(lambda: engine.loop.processed_total == 1_000, "the records")
        live = engine.directory.current("0_0", "counts")
        command = engine.commands.start(Order("swap", "counts", 0, "job-6", stage(kafka, engine, application)))
        eventually(lambda: command.ended, "its end")
        assert command.phase == "failed"
        assert "was removed before the swap" in command.progress()["error"]
        assert engine.directory.current("0_0", "counts") == live
        task = engine.tasks.published[0]
        assert (task.held, task.stores["counts"].generation) == (False, live)
        produce(kafka, programs.input_topic(application), [(b"k", b"v")] * 10)
        eventually(lambda: engine.loop.processed_total == 1_010, "records that came afterwards")
    assert totals(kafka, application) == {b"k": 1_010}


def test_compaction_tells_sizes_before_and_after(kafka, application, tmp_path):
    produce(kafka, programs.input_topic(application), [(f"k{i}".encode(), b"v") for i in range(2_000)])
    with running(programs.counts(application), config(kafka, application, tmp_path / "state")) as engine:
        eventually(ready(engine), "the task")
        eventually(lambda: engine.loop.processed_total == 2_000, "the records")
        command = engine.commands.start(Order("compact", "counts", 0, "job-4"))
        eventually(lambda: command.ended, "its end")
        facts = command.progress()
        assert (facts["phase"], facts["error"]) == ("done", None)
        assert facts["bytes_before"] > 0
        assert facts["bytes_after"] > 0
