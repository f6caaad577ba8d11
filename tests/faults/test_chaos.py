"""Instances that are killed, paused and stopped under load, by the chaos harness that users have; and the harness itself."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from engine.errors import ConfigError
from engine.stores import open_store
from engine.testing import chaos_verdict
from engine.testing.chaos import Chaos, Settings
from engine.testing.chaos_input import Inputs
from engine.testing.chaos_plan import plan
from engine.topology.builder import StreamsBuilder
from tests.faults import topologies
from tests.faults.lengths import SEED, SOAK_SECONDS_MAX, lengths, of_soak
from tests.stores.vectors import Context

ROOT = Path(__file__).resolve().parents[2]
# Longer than a busy machine takes between two heartbeats, and short enough to be waited for.
SESSION_TIMEOUT_MS = 4_000
pytestmark = pytest.mark.timeout(420)


def launch(arguments):
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def chaos(kafka, folder, *, program="counts", broker=None, **settings):
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    told = Settings(
        build=f"tests.faults.topologies:{program}",
        client=client,
        folder=folder,
        **{"seed": SEED, "session_timeout_ms": SESSION_TIMEOUT_MS, "every": (0.1, 1.0), "settle": 180.0, **settings},
    )
    return Chaos(told, launch, broker=broker, say=print)


def holds(run):
    report = run.run()
    print(json.dumps(report.as_json(), indent=2))
    assert report.holds, [check for check in report.checks if not check.holds]
    return report


def sees_what_is_wrong(kafka, run, folder):
    """The verdict's other side: a record left over, a row doubled, a row lost. Said of a run of which all holds."""
    cluster, tested = run._cluster, run.tested
    topics = {t: cluster.committed(tested.application_id, t) for t in tested.topology.input_topics()}
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    (topic,) = topics
    producer.produce(topic, b"late", b"late", partition=0)
    producer.produce(f"{tested.application_id}-by-key-changelog", b"\0" * 8, b"key-1", partition=0)
    producer.produce(tested.outputs()[0], b"\0" * 8, b"key-1", partition=0)
    assert producer.flush(20) == 0
    assert not chaos_verdict.input_is_processed(cluster, tested).holds
    names = {
        check.name: check.holds for check in chaos_verdict.as_without_faults(cluster, tested, run.reference, exact=True)
    }
    assert [name for name, as_it_was in names.items() if as_it_was] == ["store by-letter-counts == reference"]
    # A store that says a position and lacks what lies before it.
    assert chaos_verdict.stores_are_folds(cluster, tested, run._state_dirs()).holds
    path = next((folder / "state" / "1" / tested.application_id / "0_0" / "by-key").glob("g*"))
    store = open_store(tested.topology.stores["by-key"], path, Context())
    store.put(next(iter(store.all()))[0], None)
    store.commit(None)
    store.flush()
    store.close()
    found = chaos_verdict.stores_are_folds(cluster, tested, run._state_dirs())
    assert not found.holds
    assert "is None, not" in found.detail
    # The last instance had all of them.
    shutil.rmtree(folder / "state" / "1" / tested.application_id / "0_1")
    assert "of task 0_1 is not on disk" in chaos_verdict.stores_are_folds(cluster, tested, run._state_dirs()).detail
    assert not chaos_verdict.stores_are_folds(cluster, tested, [folder / "nothing"]).holds


def no_store_was_wiped(folder):
    """No store was made anew for want of trust; returns how many restores there were, by cause."""
    assert {path.name for path in (folder / "state").glob("*/*/*_*/*/g*")} == {"g00000001"}
    said = [line for log in (folder / "logs").glob("*.log") for line in log.read_text().splitlines()]
    causes = Counter(line.rpartition(": ")[2] for line in said if "restore-started: " in line)
    assert causes.keys() <= {"new owner", "behind its changelog"}
    return causes


# The faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.kafka
@lengths("kills", 10, 100)
def test_kills_lose_nothing_double_nothing_and_wipe_no_store(kafka, tmp_path, kills):
    long = kills > 10
    run = chaos(
        kafka,
        tmp_path,
        instances=3,
        partitions=6,
        records=of_soak(200_000) if long else 20_000,
        faults=kills,
        kinds=("kill",),
        every=(0.1, 10.0 if long else 0.8),
        keep=True,
    )
    try:
        report = holds(run)
        assert report.faults == {"kill": kills}
        # Most of them find a transaction open: a kill between two proves little.
        assert report.faults_under_load > kills / 2
        causes = no_store_was_wiped(tmp_path)
        assert causes
        if long:
            # What a kill leaves on disk was flushed before, once a minute or when a task left.
            assert causes["behind its changelog"]
        else:
            sees_what_is_wrong(kafka, run, tmp_path)
    finally:
        run.remove()


@pytest.mark.kafka
@pytest.mark.parametrize(("kind", "count"), [("stop", 10), ("pause", 5)])
def test_stopped_and_paused_instances_come_back(kafka, tmp_path, kind, count):
    run = chaos(kafka, tmp_path, instances=2, faults=count, kinds=(kind,), every=(0.2, 1.0), seed=2)
    report = holds(run)
    assert report.faults == {kind: count}
    assert report.stop_seconds_max <= 10
    no_store_was_wiped(tmp_path)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS_MAX)
@pytest.mark.parametrize(("kind", "count"), [("stop", 50), ("pause", 30)])
@pytest.mark.parametrize("program", ["counts", "passed_through"])
def test_instances_stop_or_pause_many_times(kafka, tmp_path, kind, count, program):
    count = of_soak(count)
    run = chaos(kafka, tmp_path, program=program, faults=count, kinds=(kind,), records=100_000, every=(0.1, 10.0))
    report = holds(run)
    assert report.faults == {kind: count}
    # An instance that was stopped has committed what it had.
    assert kind == "stop" or report.faults_under_load > count / 2
    assert report.stop_seconds_max <= 10
    if program == "counts":
        no_store_was_wiped(tmp_path)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS_MAX)
@pytest.mark.parametrize("standbys", [1, 2])
def test_with_standbys_nothing_is_lost_either(kafka, tmp_path, standbys):
    """Tasks are promoted and demoted in place all the time, and every copy left on disk is a fold of its changelog."""
    run = chaos(
        kafka,
        tmp_path,
        partitions=6,
        records=100_000,
        faults=of_soak(60),
        kinds=("kill", "pause", "stop"),
        options=("--num-standby-replicas", str(standbys)),
    )
    holds(run)


# The harness -------------------------------------------------------------------------------------------------------------


def test_a_seed_names_the_faults():
    told = {"instances": 3, "session_timeout_ms": 6_000}
    first, again, other = (plan(seed, 50, ("kill", "pause", "stop"), **told) for seed in (7, 7, 8))
    assert first == again != other
    assert {fault.kind for fault in first} == {"kill", "pause", "stop"}
    assert {fault.instance for fault in first} == {0, 1, 2}
    assert all(0.1 <= fault.after <= 10 for fault in first)
    assert {fault.lasts for fault in first if fault.kind == "pause"} == {9.0}
    with pytest.raises(ConfigError, match="explode"):
        plan(7, 1, ("explode",), **told)


def inputs(fill):
    builder = StreamsBuilder()
    fill(builder)
    return Inputs(builder.build())


def test_input_is_made_up_only_where_serdes_say_how(tmp_path):
    from engine.demo import flights

    rows = list(inputs(topologies.counts).made_up(1, 100))
    assert rows == list(inputs(topologies.counts).made_up(1, 100)) != list(inputs(topologies.counts).made_up(2, 100))
    assert len(rows) == 100
    with pytest.raises(ConfigError, match="give --input"):
        list(inputs(flights.build).made_up(1, 1))
    (tmp_path / "in.jsonl").write_text('{"key": "a", "value": "b", "timestamp": 5}\n\n{"key": "a", "value": null}\n')
    first, second = inputs(topologies.counts).of_file(tmp_path / "in.jsonl")
    assert first == ("in", b"a", b"b", 5)
    assert second[:3] == ("in", b"a", None)
    (tmp_path / "bad.jsonl").write_text("[1]\n")
    with pytest.raises(ConfigError, match=r"bad.jsonl:1 is not a JSON object"):
        list(inputs(topologies.counts).of_file(tmp_path / "bad.jsonl"))
    with pytest.raises(ConfigError, match="does not read topic 'elsewhere'"):
        inputs(topologies.counts).record("elsewhere", "a", "b", 1)


def test_broker_faults_need_a_broker_of_ones_own(tmp_path):
    settings = Settings("tests.faults.topologies:counts", {}, tmp_path, 1, kinds=("broker-kill",))
    with pytest.raises(ConfigError, match="need one that the run owns"):
        Chaos(settings, launch)
