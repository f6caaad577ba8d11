"""Several instances: they share the tasks, hand them over, and never write for the same one at once."""

import shutil

import pytest

from engine.errors import StateDirectoryLocked, TopologyError
from engine.instance import Engine
from tests.runtime import programs
from tests.runtime.harness import (
    EngineProcess,
    config,
    counted,
    create,
    eventually,
    fold,
    int64,
    produce,
    read,
    run_to_the_end,
    running,
)

pytestmark = pytest.mark.kafka


@pytest.fixture
def application(kafka):
    name = kafka.unique("shared")
    create(kafka, programs.input_topic(name), partitions=4)
    create(kafka, programs.output_topic(name), partitions=1)
    return name


def fill(kafka, application, count=4_000, keys=100):
    produce(kafka, programs.input_topic(application), [(f"k{i % keys}".encode(), b"v", 1_000) for i in range(count)])


def tasks_of(engine):
    return {t.id for t in engine.tasks.running()} if hasattr(engine, "tasks") else set()


def test_two_instances_share_the_tasks_and_the_one_that_stays_takes_all(kafka, application, tmp_path):
    build = programs.counts(application)
    fill(kafka, application)
    first = config(kafka, application, tmp_path / "one", instance_id="one")
    second = config(kafka, application, tmp_path / "two", instance_id="two")
    with running(build, first) as one:
        eventually(lambda: len(tasks_of(one)) == 4, "one has all four")
        with running(build, second) as two:
            eventually(lambda: len(tasks_of(one)) == len(tasks_of(two)) == 2, "each has two")
            assert tasks_of(one) | tasks_of(two) == {"0_0", "0_1", "0_2", "0_3"}
            fill(kafka, application)
            eventually(lambda: two.loop.processed_total > 0, "the second one works")
        eventually(lambda: len(tasks_of(one)) == 4, "one has all four again")
        fill(kafka, application)
        eventually(
            lambda: (
                {key: int64(value) for key, value in fold(read(kafka, programs.output_topic(application))).items()}
                == {f"k{i}".encode(): 120 for i in range(100)}
            ),
            "exact totals",
        )
    assert counted(fold(read(kafka, f"{application}-counts-changelog"))) == {f"k{i}".encode(): 120 for i in range(100)}


def test_a_killed_instance_is_replaced_by_the_other(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "one", instance_id="one", poll_records=200, commit_interval_ms=50)
    with EngineProcess("counts", settings) as killed:
        survivor = settings.with_(state_dir=tmp_path / "two", instance_id="two")
        with running(programs.counts(application), survivor) as engine:
            eventually(lambda: len(tasks_of(engine)) == 2, "two tasks each")
            fill(kafka, application, count=20_000)
            killed.kill()
            eventually(lambda: len(tasks_of(engine)) == 4, "all tasks at the survivor")
            eventually(
                lambda: (
                    {k: int64(v) for k, v in fold(read(kafka, programs.output_topic(application))).items()}
                    == {f"k{i}".encode(): 200 for i in range(100)}
                ),
                "exact totals",
            )


def test_the_second_engine_on_a_state_directory_ends_by_name(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state")
    with running(programs.counts(application), settings) as engine:
        eventually(lambda: engine.directory._lock is not None, "the lock")
        with pytest.raises(StateDirectoryLocked, match="is in use by process"):
            Engine(programs.counts(application), settings).run()
        eventually(lambda: len(tasks_of(engine)) == 4, "the first is unharmed")


def test_another_topology_is_refused_while_members_live(kafka, application, tmp_path):
    with running(programs.counts(application), config(kafka, application, tmp_path / "one")) as engine:
        eventually(lambda: len(tasks_of(engine)) == 4, "it runs")
        with pytest.raises(TopologyError, match="stop all instances before starting a changed topology"):
            Engine(programs.passed_through(application), config(kafka, application, tmp_path / "two")).run()


def test_a_changed_topology_starts_when_nobody_runs_the_old_one(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state")
    fill(kafka, application, count=100)
    run_to_the_end(programs.passed_through(application), settings)
    shutil.rmtree(tmp_path / "state")
    fill(kafka, application, count=100)
    engine = run_to_the_end(programs.counts(application), settings)
    assert engine.loop.processed_total == 100


def test_an_input_topic_that_does_not_exist_is_named(kafka, tmp_path):
    name = kafka.unique("missing")
    with pytest.raises(TopologyError, match=f"input topic {name}.in does not exist"):
        Engine(programs.counts(name), config(kafka, name, tmp_path / "state")).run()


def test_topics_that_are_joined_must_have_equal_partitions(kafka, tmp_path):
    name = kafka.unique("uneven")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, f"{name}.table", partitions=3)
    with pytest.raises(TopologyError, match=r"not co-partitioned: .*in has 2, .*table has 3"):
        Engine(programs.joined(name), config(kafka, name, tmp_path / "state")).run()


def test_a_changelog_with_another_partition_count_is_refused(kafka, application, tmp_path):
    create(kafka, f"{application}-counts-changelog", partitions=3)
    with pytest.raises(TopologyError, match="has 3 partitions, the topology needs 4"):
        Engine(programs.counts(application), config(kafka, application, tmp_path / "state")).run()
