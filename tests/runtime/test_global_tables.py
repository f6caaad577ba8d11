"""Global tables in a running engine."""

import contextlib
import threading

import httpx
import pytest
from confluent_kafka import TopicPartition

from engine import Consumed, Materialized, Produced, serdes
from engine.config import AT_LEAST_ONCE, EXACTLY_ONCE
from engine.errors import Fatal
from engine.instance import Engine
from engine.runtime import globals as global_tables
from engine.runtime.globals import GlobalTables
from tests.runtime.harness import PATIENCE_SECONDS, config, create, eventually, produce, read, running

pytestmark = pytest.mark.kafka
TOKEN = "a-token-of-the-tests"  # noqa: S105
TEXT = Consumed(serdes.string, serdes.string)


@pytest.fixture
def steps(monkeypatch):
    """Lets a table be filled ten records at a time, one step that brings any for each `release`."""
    allowed, step = threading.Semaphore(0), GlobalTables._step

    def one(self, timeout):
        assert allowed.acquire(timeout=PATIENCE_SECONDS)
        found = step(self, timeout)
        if not found:
            allowed.release()
        return found

    monkeypatch.setattr(global_tables, "BATCH_RECORDS", 10)
    monkeypatch.setattr(GlobalTables, "_step", one)
    return allowed


def only_a_table(name, store="rocksdb"):
    def build(builder):
        builder.stream(f"{name}.in", TEXT).to(f"{name}.out", Produced(serdes.string, serdes.string))
        rows = Materialized("rows", serdes.string, serdes.string, store=store)
        builder.global_table(f"{name}.table", TEXT, rows)

    return build


def topics(kafka, application):
    """Create what `only_a_table` needs; returns the application's name."""
    name = kafka.unique(application)
    for topic in ("in", "table", "out"):
        create(kafka, f"{name}.{topic}")
    return name


def test_a_global_table_refuses_readers_until_it_is_filled(kafka, tmp_path, steps):
    name = topics(kafka, "filling")
    produce(kafka, f"{name}.table", [(b"k%02d" % i, b"row") for i in range(30)])
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    settings = config(kafka, name, tmp_path / "state", listen="127.0.0.1:0", token_file=tmp_path / "token")
    with running(only_a_table(name), settings) as engine, contextlib.ExitStack() as filling:
        filling.callback(steps.release, 10**6)
        eventually(lambda: engine.address, "its address")
        with httpx.Client(
            base_url=f"{engine.address}/v1/stores/rows", headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False
        ) as http:
            eventually(lambda: _accepts(http), "the service")
            for _ in range(3):
                for more in ({"key": "k29"}, {}, {"local": "true"}, {"max_lag": "1000000"}):
                    refused = http.get("/entries", params=more)
                    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store-restoring"), more
                    assert refused.json()["error"]["retryable"] is True
                counted = http.get("/count").json()
                assert (counted["complete"], counted["sources"][0]["error"]["code"]) == (False, "store-restoring")
                steps.release()
            filling.close()
            eventually(lambda: http.get("/entries").status_code == 200, "the first answer")
            assert [e["key"] for e in http.get("/entries").json()["entries"]] == [f"k{i:02}" for i in range(30)]
            assert [e["value"] for e in http.get("/entries", params={"key": "k29"}).json()["entries"]] == ["row"]


@pytest.mark.parametrize("store", ["in-memory", "rocksdb"])
def test_filling_a_global_table_holds_no_more_uncommitted_than_a_step(kafka, tmp_path, monkeypatch, store):
    name = topics(kafka, "bounded")
    value = b"v" * 1_000
    produce(kafka, f"{name}.table", [(b"k%04d" % i, value) for i in range(500)])
    monkeypatch.setattr(global_tables, "BATCH_RECORDS", 50)
    waiting, step = [], GlobalTables._step

    def weighed(self, timeout):
        found = step(self, timeout)
        waiting.append(self.stores["rows"].uncommitted_bytes)
        return found

    monkeypatch.setattr(GlobalTables, "_step", weighed)
    with running(only_a_table(name, store), config(kafka, name, tmp_path / "state")) as engine:
        eventually(lambda: engine.phase == "running", "the filled table")
        rows = engine.global_tables.stores["rows"].committed()
        assert len(rows.all(limit=1_000)) == 500
    # A step's values, and as much again for what the interpreter adds to them.
    assert 1_000 <= max(waiting) <= 50 * 2 * 1_000


@pytest.mark.parametrize("guarantee", [EXACTLY_ONCE, AT_LEAST_ONCE])
def test_dead_letters_of_a_global_table_are_committed_though_no_task_has_work(kafka, tmp_path, guarantee):
    name = topics(kafka, "poisoned")
    create(kafka, f"{name}.dead")
    produce(kafka, f"{name}.table", [(b"good", b"row"), (b"bad-before", b"\xff")])
    settings = config(
        kafka,
        name,
        tmp_path / "state",
        guarantee=guarantee,
        deserialization_handler="dead-letter",
        dead_letter_topic=f"{name}.dead",
    )

    def dead():
        return [key for key, *_ in read(kafka, f"{name}.dead")]

    with running(only_a_table(name), settings) as engine:
        eventually(lambda: hasattr(engine, "tasks") and engine.tasks.running(), "its task")
        eventually(lambda: not any(t.dirty for t in engine.tasks.running()), "an idle instance")
        produce(kafka, f"{name}.table", [(b"bad-after", b"\xff")])
        eventually(lambda: dead() == [b"bad-before", b"bad-after"], "the dead letters", seconds=15)
        assert [r.key for r in engine.global_tables.stores["rows"].committed().all(limit=10)] == [b"good"]
        assert engine.committer.aborts_total == 0


def test_filling_a_global_table_commits_its_dead_letters_at_each_step(kafka, tmp_path, steps):
    name = topics(kafka, "poisoned")
    create(kafka, f"{name}.dead")
    produce(kafka, f"{name}.table", [(b"bad", b"\xff")] + [(b"k%02d" % i, b"row") for i in range(30)])
    settings = config(
        kafka, name, tmp_path / "state", deserialization_handler="dead-letter", dead_letter_topic=f"{name}.dead"
    )
    with running(only_a_table(name), settings), contextlib.ExitStack() as filling:
        filling.callback(steps.release, 10**6)
        # The table is still being filled for longer than a transaction lives.
        steps.release()
        eventually(lambda: [key for key, *_ in read(kafka, f"{name}.dead")] == [b"bad"], "the dead letter", seconds=15)


def _accepts(http):
    try:
        return http.get("/entries")
    except httpx.TransportError:
        return None


def test_a_global_table_whose_records_are_gone_stops_the_engine_instead_of_standing_still(kafka, tmp_path):
    name = kafka.unique("global")
    for topic in ("in", "table", "out"):
        create(kafka, f"{name}.{topic}")
    produce(kafka, f"{name}.table", [(b"k", b"row")])
    produce(kafka, f"{name}.in", [(b"k", b"value")])

    def build(builder):
        text = Consumed(serdes.string, serdes.string)
        rows = builder.global_table(f"{name}.table", text, Materialized("rows", serdes.string, serdes.string))
        builder.stream(f"{name}.in", text).join(
            rows,
            lambda key, _: key,
            lambda value, row: f"{value}+{row}",
        ).to(f"{name}.out", Produced(serdes.string, serdes.string))

    engine = Engine(build, config(kafka, name, tmp_path / "state"))
    engine.start()
    try:
        eventually(lambda: [v for _, v, *_ in read(kafka, f"{name}.out")] == [b"value+row"], "the joined record")
        # As after a retention that was faster than the engine: the next offset is none of the topic's.
        engine.global_tables._client.seek(TopicPartition(f"{name}.table", 0, 10**6))
        with pytest.raises(Fatal, match="global tables are rebuilt at each start"):
            engine.wait(PATIENCE_SECONDS)
    finally:
        engine.request_stop()
