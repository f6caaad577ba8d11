"""Records that an output topic does not take, and topics that are gone or forbidden: each reaction on a real broker."""

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka.admin import AclOperation, ResourceType

from engine import Consumed, Materialized, Produced, serdes
from engine.errors import Fatal, TopologyError
from tests.runtime import programs
from tests.runtime.harness import (
    alter,
    config,
    create,
    deny,
    eventually,
    guarded_broker,
    produce,
    read,
    run_to_the_end,
    running,
)

pytestmark = pytest.mark.kafka
FUTURE_MS = 4_000_000_000_000


def fanned_out(name):
    """Every record to three topics, each with a rule of its own."""

    def build(builder):
        rows = builder.stream(programs.input_topic(name), Consumed(serdes.bytes, serdes.bytes))
        for topic in ("small", "keyed", "timely"):
            rows.to(f"{name}.{topic}", Produced(serdes.bytes, serdes.bytes))

    return build


@pytest.fixture
def application(kafka):
    name = kafka.unique("production")
    create(kafka, programs.input_topic(name), config={"max.message.bytes": "3000000"})
    create(kafka, f"{name}.small", config={"max.message.bytes": "700"})
    create(kafka, f"{name}.keyed", config={"cleanup.policy": "compact"})
    create(kafka, f"{name}.timely", config={"message.timestamp.after.max.ms": "3600000"})
    create(kafka, f"{name}.dead", config={"max.message.bytes": "3000"})
    rows = [(b"k", b"%d" % i, 1_000) for i in range(300)]
    rows[50] = (b"k", b"large" * 200, 1_000)
    rows[60] = (None, b"keyless", 1_000)
    rows[70] = (b"k", b"early", FUTURE_MS)
    produce(kafka, programs.input_topic(name), rows)
    return name


def values(kafka, topic):
    return [value for _, value, *_ in read(kafka, topic)]


def headers_of(kafka, topic, count):
    consumer = Client({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "x", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        found = []
        eventually(lambda: found.extend(consumer.consume(10, 0.2)) or len(found) >= count, "the dead letters")
        return [dict(message.headers()) for message in found]
    finally:
        consumer.close()


def test_fail_stops_before_anything_of_the_commit_is_seen(kafka, application, tmp_path):
    words = (
        rf"topic {application}.small does not take a record \(key of 1 bytes, value of 1,000 bytes.*max.message.bytes"
    )
    with pytest.raises(Fatal, match=words):
        run_to_the_end(fanned_out(application), config(kafka, application, tmp_path / "state"))
    assert values(kafka, f"{application}.small") == []


def test_a_refused_record_goes_to_the_dead_letters_and_never_into_the_transaction(kafka, application, tmp_path):
    settings = config(
        kafka,
        application,
        tmp_path / "state",
        production_handler="dead-letter",
        dead_letter_topic=f"{application}.dead",
    )
    engine = run_to_the_end(fanned_out(application), settings)
    assert (engine.handlers.skipped_total, engine.handlers.dead_lettered_total) == (3, 3)
    assert engine.committer.aborts_total == 0
    every = [b"%d" % i for i in range(300)]
    every[50], every[60], every[70] = b"large" * 200, b"keyless", b"early"
    # 300 small records would not fit into one batch of 700 bytes: they come in many.
    assert values(kafka, f"{application}.small") == every[:50] + every[51:]
    assert values(kafka, f"{application}.keyed") == every[:60] + every[61:]
    assert values(kafka, f"{application}.timely") == every[:70] + every[71:]
    assert sorted(values(kafka, f"{application}.dead")) == [b"early", b"keyless", b"large" * 200]
    told = headers_of(kafka, f"{application}.dead", 3)
    assert {each["__streams.errors.topic"] for each in told} == {
        f"{application}.{topic}".encode() for topic in ("small", "keyed", "timely")
    }
    assert {each["__streams.errors.exception"] for each in told} == {b"engine.errors.ProductionError"}


def test_a_record_too_large_for_the_client_and_for_the_dead_letters_leaves_its_value_out(kafka, tmp_path):
    name = kafka.unique("huge")
    create(kafka, programs.input_topic(name), config={"max.message.bytes": "3000000"})
    create(kafka, programs.output_topic(name))
    create(kafka, f"{name}.dead")

    def build(builder):
        rows = builder.stream(programs.input_topic(name), Consumed(serdes.bytes, serdes.bytes))
        rows.map_values(lambda value: value * 2_000_000 if value == b"x" else value).to(
            programs.output_topic(name), Produced(serdes.bytes, serdes.bytes)
        )

    produce(kafka, programs.input_topic(name), [(b"k", b"a"), (b"k", b"x"), (b"k", b"b")])
    settings = config(
        kafka, name, tmp_path / "state", production_handler="dead-letter", dead_letter_topic=f"{name}.dead"
    )
    engine = run_to_the_end(build, settings)
    assert engine.committer.aborts_total == 0
    assert values(kafka, programs.output_topic(name)) == [b"a", b"b"]
    assert values(kafka, f"{name}.dead") == [None]
    assert headers_of(kafka, f"{name}.dead", 1)[0]["__streams.errors.value.bytes.left.out"] == b"2000000"


def test_a_topic_that_shrinks_costs_one_abort_and_then_its_new_bound_is_heeded(kafka, tmp_path):
    name = kafka.unique("shrinks")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    settings = config(kafka, name, tmp_path / "state", production_handler="skip")
    with running(programs.passed_through(name), settings) as engine:
        produce(kafka, programs.input_topic(name), [(b"k", b"first")])
        eventually(lambda: read(kafka, programs.output_topic(name)), "the first record")
        alter(kafka, programs.output_topic(name), max_message_bytes="500")
        produce(kafka, programs.input_topic(name), [(b"k", b"a"), (b"k", b"x" * 5_000), (b"k", b"b")])
        eventually(lambda: len(read(kafka, programs.output_topic(name))) >= 3, "the rest")
        assert engine.committer.aborts_total == 1
        assert engine.handlers.skipped_total == 1
    assert values(kafka, programs.output_topic(name)) == [b"first", b"a", b"b"]


def test_a_missing_output_topic_is_named_at_start_and_a_deleted_one_while_running(kafka, tmp_path):
    name = kafka.unique("missing")
    create(kafka, programs.input_topic(name))
    settings = config(kafka, name, tmp_path / "state")
    with pytest.raises(TopologyError, match=rf"output topic {name}.out does not exist: create it"):
        run_to_the_end(programs.passed_through(name), settings)
    create(kafka, programs.output_topic(name))

    def run():
        with running(programs.passed_through(name), settings) as engine:
            produce(kafka, programs.input_topic(name), [(b"k", b"first")])
            eventually(lambda: read(kafka, programs.output_topic(name)), "the first record")
            admin = kafka.admin()
            admin.delete_topics([programs.output_topic(name)])[programs.output_topic(name)].result(20)
            produce(kafka, programs.input_topic(name), [(b"k", b"second")])
            eventually(lambda: engine.error, "the end of the engine", 120)

    with pytest.raises(Fatal, match=rf"{name}.out.*Create the topic"):
        run()


def test_a_changelog_record_is_never_skipped(kafka, tmp_path):
    name = kafka.unique("state")
    create(kafka, programs.input_topic(name))

    def build(builder):
        (
            builder.stream(programs.input_topic(name), Consumed(serdes.string, serdes.string))
            .group_by_key()
            .aggregate(
                str, lambda _k, value, _all: value * 2_000_000, Materialized("long", serdes.string, serdes.string)
            )
        )

    produce(kafka, programs.input_topic(name), [(b"k", b"x")])
    settings = config(kafka, name, tmp_path / "state", production_handler="skip")
    with pytest.raises(Fatal, match=rf"topic {name}-long-changelog does not take a record.*value of 2,000,00"):
        run_to_the_end(build, settings)


def test_a_forbidden_topic_stops_the_engine_with_the_missing_right(tmp_path, monkeypatch):
    with guarded_broker(tmp_path / "kafka", monkeypatch) as kafka:
        name = kafka.unique("forbidden")
        create(kafka, programs.input_topic(name))
        create(kafka, programs.output_topic(name))
        deny(kafka, ResourceType.TOPIC, programs.output_topic(name), AclOperation.WRITE)
        produce(kafka, programs.input_topic(name), [(b"k", b"v")])
        with pytest.raises(Fatal, match="Give the engine's principal the right"):
            run_to_the_end(programs.passed_through(name), config(kafka, name, tmp_path / "state"))
