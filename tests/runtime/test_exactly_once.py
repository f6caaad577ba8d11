"""The guarantee on a real broker: kills at the worst moments, and totals that are exact all the same."""

import random
import time
from collections import Counter

import pytest
from confluent_kafka import KafkaException

from engine.config import AT_LEAST_ONCE, EXACTLY_ONCE
from engine.runtime.aborts import TransactionAborted
from tests.runtime import programs
from tests.runtime.harness import (
    EngineProcess,
    committed_offsets,
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
KEYS = 50


@pytest.fixture
def application(kafka):
    """An application's name, with its input and output topics of two partitions."""
    name = kafka.unique("eos")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, programs.output_topic(name), partitions=2)
    return name


def fill(kafka, application, count, seed=1):
    """Random keys; returns how often each came."""
    chance = random.Random(seed)
    keys = [f"k{chance.randrange(KEYS):02d}".encode() for _ in range(count)]
    produce(kafka, programs.input_topic(application), [(key, b"v", 1_000 + i) for i, key in enumerate(keys)])
    return Counter(keys)


def assert_exact(kafka, application, expected):
    """The output's last value of each key, the store's changelog and the committed input agree with the model."""
    output = read(kafka, programs.output_topic(application))
    assert {key: int64(value) for key, value in fold(output).items()} == dict(expected)
    assert counted(fold(read(kafka, f"{application}-counts-changelog"))) == dict(expected)
    by_key = {}
    for key, value, *_ in output:
        assert int64(value) > by_key.get(key, 0), f"{key} was counted twice or out of order"
        by_key[key] = int64(value)


@pytest.mark.parametrize("step", ["before-offsets", "before-commit", "after-commit", "after-stores"])
def test_a_crash_at_any_step_of_the_commit_leaves_exact_totals(kafka, application, tmp_path, step):
    expected = fill(kafka, application, 3_000)
    settings = config(kafka, application, tmp_path / "state", poll_records=200, commit_interval_ms=0)
    with EngineProcess("counts", settings, crash=f"{step}:3") as first:
        assert first.wait() == -9
    run_to_the_end(programs.counts(application), settings)
    assert_exact(kafka, application, expected)


def test_kills_in_mid_load_lose_nothing_and_count_nothing_twice(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state", poll_records=200, commit_interval_ms=50)
    chance = random.Random(3)
    expected = Counter()

    def committed():
        return sum(
            max(o, 0) for o in committed_offsets(kafka, application, programs.input_topic(application), 2).values()
        )

    for seed in range(3):
        before = committed()
        expected += fill(kafka, application, 20_000, seed=seed)
        with EngineProcess("counts", settings) as engine:
            eventually(lambda before=before: committed() > before, "progress")
            time.sleep(chance.random() * 0.3)
            engine.kill()
    run_to_the_end(programs.counts(application), settings)
    assert_exact(kafka, application, expected)


def test_at_least_once_loses_nothing(kafka, application, tmp_path):
    expected = fill(kafka, application, 5_000)
    settings = config(
        kafka, application, tmp_path / "state", guarantee=AT_LEAST_ONCE, poll_records=200, commit_interval_ms=0
    )
    with EngineProcess("counts", settings, crash="before-commit:3") as first:
        assert first.wait() == -9
    run_to_the_end(programs.counts(application), settings)
    totals = {key: int64(value) for key, value in fold(read(kafka, programs.output_topic(application))).items()}
    assert totals.keys() == expected.keys()
    assert all(totals[key] >= count for key, count in expected.items())


@pytest.mark.parametrize("step", ["before-commit", "after-commit"])
def test_at_least_once_repeats_what_came_after_the_last_commit_and_nothing_else(kafka, application, tmp_path, step):
    batch = 200
    # Every record is told by its value, and by its offset in its partition.
    rows = [(b"k%d" % i, b"%d" % i, 1_000, i % 2) for i in range(5_000)]
    produce(kafka, programs.input_topic(application), rows)
    settings = config(
        kafka, application, tmp_path / "state", guarantee=AT_LEAST_ONCE, poll_records=batch, commit_interval_ms=0
    )
    with EngineProcess("passed_through", settings, crash=f"{step}:5") as first:
        assert first.wait() == -9
    committed = committed_offsets(kafka, application, programs.input_topic(application), 2)
    assert sum(committed.values()) > 0
    run_to_the_end(programs.passed_through(application), settings)
    times = Counter(int(value) for _, value, *_ in read(kafka, programs.output_topic(application)))
    assert times.keys() == set(range(5_000))
    twice = [number for number, count in times.items() if count > 1]
    assert set(times.values()) <= {1, 2}
    # The number's half is its offset.
    assert all(number // 2 >= committed[number % 2] for number in twice)
    # A commit follows every turn, in which each of the two tasks takes one batch, or what is over of one beside it.
    assert len(twice) <= 2 * 2 * batch
    assert (step == "after-commit") == (not twice)


@pytest.mark.parametrize("guarantee", [EXACTLY_ONCE, AT_LEAST_ONCE])
def test_repartitioned_counts_add_up(kafka, tmp_path, guarantee):
    name = kafka.unique("regrouped")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, programs.output_topic(name), partitions=1)
    values = [f"v{i % 7}".encode() for i in range(5_000)]
    produce(kafka, programs.input_topic(name), [(f"k{i}".encode(), value) for i, value in enumerate(values)])
    settings = config(kafka, name, tmp_path / "state", guarantee=guarantee, commit_interval_ms=100)
    run_to_the_end(programs.regrouped(name), settings)
    found = {key: int64(value) for key, value in fold(read(kafka, programs.output_topic(name))).items()}
    assert found == dict(Counter(values))


def test_an_abort_undoes_everything_since_the_last_commit(kafka, application, tmp_path):
    expected = fill(kafka, application, 3_000)
    failures = [3, 6]

    def fail_now_and_then(step):
        if step == "before-commit":
            failures[:] = [n - 1 for n in failures]
            if 0 in failures:
                raise TransactionAborted("a test says so")

    settings = config(kafka, application, tmp_path / "state", poll_records=200, commit_interval_ms=0)
    engine = run_to_the_end(programs.counts(application), settings, crash_point=fail_now_and_then)
    assert engine.committer.aborts_total == 2
    assert_exact(kafka, application, expected)


def test_a_fenced_instance_shows_nothing_and_rejoins(kafka, application, tmp_path):
    expected = fill(kafka, application, 1_000)
    settings = config(kafka, application, tmp_path / "state", commit_interval_ms=50)
    with running(programs.counts(application), settings) as engine:
        eventually(lambda: hasattr(engine, "loop") and engine.loop.processed_total >= 1_000, "the first records")
        # Another producer under the same id is what a second life of this instance would be.
        from confluent_kafka import Producer

        usurper = Producer(
            {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": engine.identity.transactional_id}
        )
        usurper.init_transactions(20)
        expected += fill(kafka, application, 1_000, seed=2)
        eventually(
            lambda: sum(committed_offsets(kafka, application, programs.input_topic(application), 2).values()) == 2_000,
            "all input committed",
        )
        usurper.begin_transaction()
        usurper.produce(programs.output_topic(application), b"x", b"x")
        with pytest.raises(KafkaException):
            usurper.commit_transaction(10)
    assert_exact(kafka, application, expected)
