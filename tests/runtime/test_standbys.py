"""Standbys: copies on other instances that follow their changelogs, and go on in place when their task comes to them."""

import contextlib
import shutil
import time

import pytest

from engine.changelog.restore import UnattendedContext
from engine.runtime import standby
from engine.stores import open_store
from tests.runtime import programs
from tests.runtime.harness import EngineProcess, config, create, eventually, fold, int64, produce, read, running

pytestmark = pytest.mark.kafka
KEYS = 40


@pytest.fixture
def application(kafka):
    name = kafka.unique("standbys")
    create(kafka, programs.input_topic(name), partitions=4)
    create(kafka, programs.output_topic(name))
    return name


def fill(kafka, application, rounds=10):
    produce(kafka, programs.input_topic(application), [(f"k{i % KEYS}".encode(), b"v") for i in range(KEYS * rounds)])


def settings(kafka, application, path, name, **more):
    return config(kafka, application, path / name, instance_id=name, num_standby_replicas=1, **more)


def tasks_of(engine):
    return {t.id for t in engine.tasks.running()} if hasattr(engine, "tasks") else set()


def standbys_of(engine):
    return {s.task: s for s in engine.tasks.standbys} if hasattr(engine, "tasks") else {}


def entries(store):
    rows = store.committed().range(None, None, limit=1_000)
    return {row.key.decode(): int.from_bytes(row.value, "big") for row in rows}


def caught_up(engine, tasks):
    found = standbys_of(engine)
    return found.keys() >= tasks and all(found[t].caught_up for t in tasks)


def content(engine):
    """What the standbys of an engine hold."""
    return {k: v for s in standbys_of(engine).values() for o in s.stores.values() for k, v in entries(o.store).items()}


def totals(kafka, application):
    return {key.decode(): int64(value) for key, value in fold(read(kafka, programs.output_topic(application))).items()}


@pytest.mark.parametrize("backend", ["rocksdb", "memory"])
def test_a_standby_follows_and_is_promoted_with_its_open_store(kafka, application, tmp_path, backend):
    build = programs.counts(application, backend=backend)
    with running(build, settings(kafka, application, tmp_path, "two")) as two:
        with running(build, settings(kafka, application, tmp_path, "one")) as one:
            eventually(lambda: len(tasks_of(one)) == len(tasks_of(two)) == 2, "two tasks each")
            fill(kafka, application)
            eventually(lambda: caught_up(two, tasks_of(one)), "standbys of the other's tasks")
            expected = dict.fromkeys((f"k{i}" for i in range(KEYS)), 10)
            eventually(lambda: {**content(two), **content(one)} == expected, "all keys are in the standbys")
            copies = {task: s.stores["counts"].store for task, s in standbys_of(two).items() if task in tasks_of(one)}
            assert len(copies) == 2
        eventually(lambda: len(tasks_of(two)) == 4, "one's tasks run at two")
        by_id = two.tasks.by_id
        assert {task: by_id[task].stores["counts"].store for task in copies} == copies
        assert {by_id[task].restores["counts"].records for task in copies} == {0}
        fill(kafka, application)
        eventually(lambda: totals(kafka, application) == dict.fromkeys(expected, 20), "exact totals")
        assert not standbys_of(two)


def on_disk(engine, task, path):
    """How far a store would be if its process were killed now."""
    shutil.rmtree(path, ignore_errors=True)
    generation = engine.directory.current(task, "counts")
    # Files that a compaction removes meanwhile are not what is looked for.
    source = engine.directory.generation_directory(task, "counts", generation)

    def copied():
        """Whether no compaction took a file away under the copy."""
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(shutil.Error):
            return shutil.copytree(source, path)

    eventually(copied, "a copy of the store")
    with contextlib.closing(open_store(engine.topology.stores["counts"], path, UnattendedContext())) as store:
        return store.position


def test_a_kill_costs_a_standby_only_what_came_lately(kafka, application, tmp_path, monkeypatch):
    monkeypatch.setattr(standby, "FLUSH_SECONDS", 1.0)
    build = programs.counts(application)
    with (
        running(build, settings(kafka, application, tmp_path, "one")) as one,
        running(build, settings(kafka, application, tmp_path, "two")) as two,
    ):
        eventually(lambda: len(tasks_of(one)) == len(tasks_of(two)) == 2, "two tasks each")
        for rounds in (10, 20):
            fill(kafka, application)
            values = {f"k{i}": rounds for i in range(KEYS)}
            eventually(lambda values=values: {**content(two), **content(one)} == values, "the standbys have it")
            for task, held in standbys_of(two).items():
                position = held.stores["counts"].store.position
                eventually(
                    lambda task=task, position=position: on_disk(two, task, tmp_path / "copy") == position,
                    "it is on disk",
                )


def test_what_is_revoked_stays_as_a_standby_and_comes_back_without_a_restore(kafka, application, tmp_path):
    build = programs.counts(application)
    fill(kafka, application)
    with running(build, settings(kafka, application, tmp_path, "one")) as one:
        eventually(lambda: len(tasks_of(one)) == 4, "all tasks at one")
        eventually(lambda: one.loop.processed_total == KEYS * 10, "all processed")
        stores = {task.id: task.stores["counts"].store for task in one.tasks.running()}
        with running(build, settings(kafka, application, tmp_path, "two")) as two:
            eventually(lambda: len(tasks_of(one)) == len(tasks_of(two)) == 2, "two tasks each")
            eventually(lambda: caught_up(one, tasks_of(two)), "one stands by for two")
            assert {t: s.stores["counts"].store for t, s in standbys_of(one).items()} == {
                task: stores[task] for task in tasks_of(two)
            }
            fill(kafka, application)
            eventually(lambda: content(one) and set(content(one).values()) == {20}, "it follows")
        eventually(lambda: len(tasks_of(one)) == 4, "all tasks at one again")
        assert {t.id: t.stores["counts"].store for t in one.tasks.running()} == stores
        assert {t.restores["counts"].records for t in one.tasks.running()} == {0}


def test_a_rebalance_in_mid_restore_keeps_what_was_restored(kafka, application, tmp_path):
    build = programs.counts(application, output=False)
    produce(kafka, programs.input_topic(application), [(f"k{i}".encode(), b"v") for i in range(8_000)])
    with running(build, config(kafka, application, tmp_path / "first", instance_id="first")) as first:
        eventually(lambda: first.loop.processed_total == 8_000 if hasattr(first, "loop") else False, "processed")
    slow = settings(kafka, application, tmp_path, "slow", restore_bytes_per_second_max=2_000)
    with running(build, slow) as engine:

        def under_way():
            return [r for w in engine.tasks.take_overs.values() for r in w.restores if 0 < r.position < r.end]

        eventually(lambda: hasattr(engine, "tasks") and under_way(), "a restore under way")
        with running(build, settings(kafka, application, tmp_path, "other")):
            eventually(lambda: len(engine.tasks.by_id) == 2, "two tasks left")
            kept = eventually(lambda: list(standbys_of(engine).values()), "what left stays")
            assert any(r.position > 0 for s in kept for r in s.restores)


def test_healthy_partitions_go_on_while_another_restores(kafka, application, tmp_path):
    """One task has its store and the others restore at a trickle: it processes everything before they are done."""
    build = programs.counts(application, output=False)
    produce(kafka, programs.input_topic(application), [(f"k{i}".encode(), b"v") for i in range(8_000)])
    whole = config(kafka, application, tmp_path / "state", instance_id="one")
    with running(build, whole) as engine:
        eventually(lambda: engine.loop.processed_total == 8_000 if hasattr(engine, "loop") else False, "processed")
    for task in ("0_1", "0_2", "0_3"):
        _remove(tmp_path / "state" / application / task)
    with running(build, whole.with_(restore_bytes_per_second_max=2_000)) as engine:
        eventually(lambda: tasks_of(engine) == {"0_0"}, "the healthy one runs")
        healthy = engine.tasks.by_id["0_0"]
        produce(kafka, programs.input_topic(application), [(b"k", b"v", 1_000, 0)] * 5_000)
        eventually(lambda: healthy.processed_total == 5_000, "it processes all")
        eventually(lambda: not healthy.dirty, "and commits")
        waiting = [r for w in engine.tasks.take_overs.values() for r in w.restores]
        assert len(waiting) == 3
        assert all(r.position < r.end for r in waiting)
        assert engine.restorer.pace.throttled_seconds > 0


def _remove(directory):
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_crash_before_a_commit_leaves_the_standby_with_what_was_committed(kafka, application, tmp_path):
    """The owner dies with changelog records sent and nothing committed: its standby never sees them, and goes on."""
    owner = settings(kafka, application, tmp_path, "one", commit_interval_ms=50, poll_records=100)
    with (
        EngineProcess("counts", owner, crash="before-commit:8") as process,
        running(programs.counts(application), settings(kafka, application, tmp_path, "two")) as two,
    ):
        eventually(lambda: len(tasks_of(two)) == 2, "two tasks each")
        rounds = 0
        while process.process.poll() is None:
            fill(kafka, application, rounds=2)
            rounds += 2
            time.sleep(0.1)
        eventually(lambda: len(tasks_of(two)) == 4, "all tasks at two")
        fill(kafka, application, rounds=2)
        expected = dict.fromkeys((f"k{i}" for i in range(KEYS)), rounds + 2)
        eventually(lambda: totals(kafka, application) == expected, "exact totals")
        stores = [t.stores["counts"].store for t in two.tasks.running()]
        eventually(lambda: {k: v for s in stores for k, v in entries(s).items()} == expected, "in the stores too")
        assert {r.cause for t in two.tasks.running() for r in t.restores.values()} <= {
            "new owner",
            "behind its changelog",
        }


def test_an_instance_that_starts_warms_up_before_it_takes_tasks(kafka, application, tmp_path):
    """It stands by, throttled, while the other one runs everything; then its tasks need no restore."""
    build = programs.counts(application, output=False)
    produce(kafka, programs.input_topic(application), [(f"k{i}".encode(), b"v") for i in range(4_000)])
    with running(build, settings(kafka, application, tmp_path, "one")) as one:
        eventually(lambda: len(tasks_of(one)) == 4, "all tasks at one")
        eventually(lambda: one.loop.processed_total == 4_000, "processed")
        eventually(lambda: not any(t.dirty for t in one.tasks.running()), "committed")
        slow = settings(
            kafka, application, tmp_path, "two", restore_bytes_per_second_max=10_000, acceptable_recovery_lag=10
        )
        with running(build, slow) as two:
            eventually(lambda: hasattr(two, "warm_up") and "warms up 4 standbys" in (two.warm_up.reason or ""), "why")
            assert not two.membership.joined
            assert len(tasks_of(one)) == 4
            eventually(lambda: len(tasks_of(two)) == 2, "its tasks")
            assert sum(r.records for t in two.tasks.running() for r in t.restores.values()) <= 10
