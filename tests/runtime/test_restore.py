"""Stores after every kind of stop: nothing is restored that need not be, and nothing is lost that should be there."""

import shutil
import time
from collections import Counter
from functools import partial

import pytest
from confluent_kafka import Producer, TopicPartition

from engine import Consumed, Engine, Produced, serdes
from engine.changelog.restore import Cancelled, build_generation
from engine.control import application_records
from engine.errors import Fatal
from engine.runtime import housekeeping
from engine.runtime.aborts import TransactionAborted
from engine.stores import open_store
from tests.runtime import programs
from tests.runtime.harness import (
    PATIENCE_SECONDS,
    EngineProcess,
    config,
    counted,
    create,
    eventually,
    fold,
    produce,
    read,
    run_to_the_end,
    running,
)

pytestmark = pytest.mark.kafka
RECORDS = 2_000


@pytest.fixture
def application(kafka):
    name = kafka.unique("restore")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, programs.output_topic(name), partitions=1)
    return name


def fill(kafka, application, count=RECORDS, keys=100):
    produce(kafka, programs.input_topic(application), [(f"k{i % keys}".encode(), b"v", 1_000) for i in range(count)])
    return {f"k{i}".encode(): count // keys for i in range(keys)}


def restored(engine):
    """Records that were restored by store and partition, and why."""
    return {(t.id, n): (r.records, r.cause) for t in engine.tasks.published for n, r in t.restores.items()}


def stored(engine):
    """Committed content of the running engine's count stores."""
    found = {}
    for task in engine.tasks.published:
        committed = task.stores["counts"].store.committed()
        found |= {row.key: int.from_bytes(row.value, "big") for row in committed.range(None, None, limit=1_000)}
    return found


def all_running(engine, count=2):
    return lambda: len(engine.tasks.running()) == count if hasattr(engine, "tasks") else False


def test_after_a_clean_stop_nothing_is_restored(kafka, application, tmp_path):
    expected = fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        assert {records for records, _ in restored(engine).values()} == {0}
        assert stored(engine) == expected


def test_a_lost_state_directory_is_rebuilt_from_the_changelog(kafka, application, tmp_path):
    expected = fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    shutil.rmtree(tmp_path / "state")
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        assert stored(engine) == expected
        assert all(cause == "new owner" for _, cause in restored(engine).values())
        again = fill(kafka, application)
        eventually(lambda: engine.loop.processed_total >= RECORDS, "the second round")
        eventually(lambda: not any(t.dirty for t in engine.tasks.running()), "its commit")
        assert stored(engine) == {key: 2 * count for key, count in again.items()}


def test_a_disk_that_is_gone_after_a_kill_is_named_and_one_that_is_new_after_a_stop_is_not(
    kafka, application, tmp_path
):
    expected = fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state", instance_id=f"{application}-1", listen="127.0.0.1:0")
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    with EngineProcess("counts", settings) as engine:
        both = {("0_0", "counts"), ("0_1", "counts")}
        stores = partial(application_records.stores_of, client, application, settings.instance_id)
        eventually(lambda: stores() == both, "its reports")
        eventually(
            lambda: sum(counted(fold(read(kafka, f"{application}-counts-changelog"))).values()) == RECORDS, "all"
        )
        engine.kill()
    for cause in ("lost disk", "new owner"):
        shutil.rmtree(tmp_path / "state")
        with running(programs.counts(application), settings) as engine:
            eventually(all_running(engine), "both tasks")
            assert {why for _, why in restored(engine).values()} == {cause}
            assert stored(engine) == expected


def test_a_store_behind_its_changelog_replays_exactly_the_gap(kafka, application, tmp_path):
    fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    shutil.copytree(tmp_path / "state", tmp_path / "earlier")
    fill(kafka, application, count=100)
    engine = run_to_the_end(programs.counts(application), settings)
    written = sum(o.drained_total for t in engine.tasks.published for o in t.stores.values())
    shutil.rmtree(tmp_path / "state")
    shutil.move(tmp_path / "earlier", tmp_path / "state")
    changelog = read(kafka, f"{application}-counts-changelog")
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        assert sum(records for records, _ in restored(engine).values()) == 100, written
        assert stored(engine) == counted(fold(changelog))


def test_a_kill_costs_what_was_written_since_the_last_flush(kafka, application, tmp_path, monkeypatch):
    """Small stores too: RocksDB itself would flush them when they close, which a kill does not do."""
    monkeypatch.setattr(housekeeping, "FLUSH_SECONDS", 0.1)
    fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        eventually(lambda: engine.loop.processed_total == RECORDS, "the first round")
        eventually(lambda: not any(t.dirty for t in engine.tasks.running()), "its commit")
        time.sleep(1.0)
        # What a kill leaves: the files as they are, and no clean close.
        shutil.copytree(tmp_path / "state", tmp_path / "killed", ignore=shutil.ignore_patterns("LOCK"))
    shutil.rmtree(tmp_path / "state")
    shutil.move(tmp_path / "killed", tmp_path / "state")
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        assert {records for records, _ in restored(engine).values()} == {0}
        assert stored(engine) == counted(fold(read(kafka, f"{application}-counts-changelog")))


def test_a_damaged_store_is_rebuilt_with_its_cause(kafka, application, tmp_path):
    expected = fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    manifest = next((tmp_path / "state" / application / "0_0" / "counts").glob("g*/MANIFEST-*"))
    manifest.write_bytes(b"\0" * 100)
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        assert stored(engine) == expected
        causes = {task: cause for (task, _), (_, cause) in restored(engine).items()}
        assert causes["0_0"].startswith("corruption")
        assert "corruption" not in causes["0_1"]


def test_a_store_ahead_of_its_changelog_is_rebuilt(kafka, application, tmp_path):
    expected = fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        for task in engine.tasks.published:
            opened = task.stores["counts"]
            eventually(lambda task=task: not task.dirty, "a commit")
            opened.store.commit(10**9)
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        assert stored(engine) == expected
        assert all("beyond the changelog's end" in cause for _, cause in restored(engine).values())


def test_a_tombstone_is_restored_as_nothing(kafka, tmp_path):
    name = kafka.unique("table")
    create(kafka, programs.input_topic(name))
    create(kafka, f"{name}.table")
    create(kafka, programs.output_topic(name))
    settings = config(kafka, name, tmp_path / "state")
    produce(kafka, f"{name}.table", [(b"3", b"three", 10), (b"3", None, 11), (b"1", b"one", 12)])
    produce(kafka, programs.input_topic(name), [(b"1", b"a", 20), (b"3", b"b", 21)])
    run_to_the_end(programs.joined(name), settings)
    shutil.rmtree(tmp_path / "state")
    produce(kafka, programs.input_topic(name), [(b"3", b"c", 30), (b"1", b"d", 31)])
    run_to_the_end(programs.joined(name), settings)
    assert [value for _, value, *_ in read(kafka, programs.output_topic(name))] == [b"a+one", b"d+one"]


def test_state_without_committed_offsets_is_refused(kafka, application, tmp_path):
    fill(kafka, application)
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    admin = kafka.admin()  # the future of a client that is gone never ends
    future = admin.delete_consumer_groups([application], request_timeout=30)[application]
    future.result()
    with pytest.raises(Fatal, match="no offset is committed for its inputs, yet store counts holds state"):
        run_to_the_end(programs.counts(application), settings)


def test_records_of_an_aborted_transaction_are_no_state(kafka, application, tmp_path):
    """A first transaction that did not come through leaves changelog records and no offset: nothing is counted twice."""
    expected = fill(kafka, application)
    changelog = create(kafka, f"{application}-counts-changelog", partitions=2, config={"cleanup.policy": "compact"})
    died = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"{application}-died"})
    died.init_transactions()
    died.begin_transaction()
    for partition in (0, 1):
        died.produce(changelog, bytes(16), b"k0", partition)
    died.flush()
    died.abort_transaction()
    run_to_the_end(programs.counts(application), config(kafka, application, tmp_path / "state"))
    assert counted(fold(read(kafka, changelog))) == expected


def test_a_timestamp_extractor_knows_the_partition_time_of_before_a_restart_and_an_abort(kafka, application, tmp_path):
    def build(builder):
        consumed = Consumed(
            serdes.string,
            serdes.string,
            timestamp_extractor=lambda record, latest: record.timestamp if record.value == "timed" else latest,
        )
        values = builder.stream(programs.input_topic(application), consumed)
        values.to(programs.output_topic(application), Produced(serdes.string, serdes.string))

    settings = config(kafka, application, tmp_path / "state", poll_records=1, commit_interval_ms=0)
    produce(kafka, programs.input_topic(application), [(b"k", b"timed", 5_000)])
    run_to_the_end(build, settings)
    fails = ["with the first record"]

    def fail(step):
        # The commit before it has only offsets.
        if step == "before-commit" and engine.loop.processed_total and fails:
            fails.pop()
            raise TransactionAborted("a test says so")

    produce(kafka, programs.input_topic(application), [(b"k", b"first", 1_000), (b"k", b"second", 1_000)])
    engine = Engine(build, settings.with_(stop_when_caught_up=True), crash_point=fail)
    engine.start()
    engine.wait(PATIENCE_SECONDS)
    assert not fails
    written = [(value, at) for _, value, at, _ in read(kafka, programs.output_topic(application))]
    assert written == [(b"timed", 5_000), (b"first", 5_000), (b"second", 5_000)]


def test_the_library_builds_a_generation_without_an_engine(kafka, application, tmp_path):
    fill(kafka, application)
    engine = run_to_the_end(programs.counts(application), config(kafka, application, tmp_path / "state"))
    spec = engine.topology.stores["counts"]
    changelog = f"{application}-counts-changelog"
    expected = counted(fold(r for r in read(kafka, changelog) if r[3] == 0))
    seen = []
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    built = build_generation(
        spec, changelog, 0, tmp_path / "g00000002.staging", client=client, progress=lambda r: seen.append(r.position)
    )
    store = open_store(spec, tmp_path / "g00000002.staging", engine.tasks)
    try:
        rows = store.committed().range(None, None, limit=1_000)
        assert {row.key: int.from_bytes(row.value, "big") for row in rows} == expected
        assert store.position == built.position == seen[-1]
    finally:
        store.close()
    assert seen == sorted(seen)
    half = build_generation(spec, changelog, 0, tmp_path / "snapshot", client=client, until=10)
    assert (half.position, half.records) == (10, 10)
    with pytest.raises(Cancelled):
        build_generation(spec, changelog, 0, tmp_path / "never", client=client, cancelled=lambda: True)


def test_a_purge_deletes_repartition_records_below_the_committed_offset(kafka, tmp_path):
    name = kafka.unique("purge")
    create(kafka, programs.input_topic(name), partitions=1)
    create(kafka, programs.output_topic(name), partitions=1)
    settings = config(kafka, name, tmp_path / "state", repartition_purge_interval_ms=200)
    produce(kafka, programs.input_topic(name), [(b"k", f"v{i % 5}".encode()) for i in range(500)])
    repartition = (f"{name}-by-value-repartition", 0)
    with running(programs.regrouped(name), settings) as engine:
        eventually(lambda: hasattr(engine, "topics"), "its start")
        eventually(lambda: len(engine.tasks.running()) == 2 if hasattr(engine, "tasks") else False, "both tasks")
        eventually(lambda: engine.topics.begin_offsets([repartition])[repartition] >= 500, "the purge")
    found = {key: value for key, value, *_ in read(kafka, programs.output_topic(name))}
    assert {key: int.from_bytes(value, "big") for key, value in found.items()} == dict(
        Counter(f"v{i % 5}".encode() for i in range(500))
    )


def test_partition_time_comes_back_after_a_restart(kafka, application, tmp_path):
    produce(
        kafka,
        programs.input_topic(application),
        [(b"k", b"v", 5_000, 0), (b"k", b"v", 77_000, 0), (b"k", b"v", 6_000, 0)],
    )
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application), settings)
    with running(programs.counts(application), settings) as engine:
        eventually(all_running(engine), "both tasks")
        task = next(t for t in engine.tasks.published if t.partition == 0)
        assert task.context.stream_time == 77_000
        committed = engine.consumer.client.committed([TopicPartition(programs.input_topic(application), 0)], 10)
        assert committed[0].metadata == "AgAAAAAAASzI"
    time.sleep(0)
