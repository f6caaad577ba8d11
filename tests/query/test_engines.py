"""Queries to two running engines on a real broker: any answers for all, through a hand-over too."""

import contextlib
import sys
import time

import pytest
from confluent_kafka import Producer

from engine import Consumed, Engine, EngineConfig, Grouped, Materialized, StreamsBuilder, serdes
from engine.query.client import QueryClient, Retry
from engine.query.results import QueryError
from tests.query.fakes import TOKEN

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
PARTITIONS, KEYS, RECORDS = 4, 50, 5_000
EXPECTED = {f"key-{number}": RECORDS // KEYS for number in range(KEYS)}


@pytest.fixture
def running(kafka, tmp_path):
    """Two engines of one application, with the input already there."""
    interval = sys.getswitchinterval()
    topic = kafka.topic(partitions=PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random"})
    for number in range(RECORDS):
        producer.produce(topic, key=f"key-{number % KEYS}", value=b"x", timestamp=1_700_000_000_000 + number)
    assert producer.flush(30) == 0
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)

    def build(builder: StreamsBuilder) -> None:
        stream = builder.stream(topic, Consumed(serdes.string, serdes.bytes))
        stream.group_by_key(Grouped("by-key", serdes.string, serdes.bytes)).count(
            Materialized("counts", serdes.string, serdes.int64)
        )

    application = kafka.unique("queried")
    with contextlib.ExitStack() as stack:
        stack.callback(sys.setswitchinterval, interval)

        def start(name):
            config = EngineConfig(
                application,
                kafka.bootstrap_servers,
                state_dir=tmp_path / name,
                token_file=tmp_path / "token",
                instance_id=name,
                session_timeout_ms=6_000,
            )
            engine = Engine(build, config)
            engine.start()
            stack.callback(engine.stop)
            deadline = time.monotonic() + 60
            while engine.state() == "starting":
                assert time.monotonic() < deadline
                assert engine.error is None, engine.error
                time.sleep(0.05)
            return engine

        yield start


def everything(client):
    return {entry.key: entry.value for entry in client.iterate("counts", limit=7)}


def until_equal(client, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(QueryError):
            if (found := everything(client)) == EXPECTED:
                return
            assert all(value <= EXPECTED[key] for key, value in found.items())
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_two_engines_answer_for_each_other_and_through_a_hand_over(running):
    one, two = running("one"), running("two")
    retry = Retry(total_ms=30_000)
    with QueryClient(one.address, TOKEN, retry=retry) as first, QueryClient(two.address, TOKEN, retry=retry) as second:
        until_equal(first)
        until_equal(second)
        owners = {first.owner("counts", partition=partition).active[0] for partition in range(PARTITIONS)}
        assert owners == {"one", "two"}
        for client in (first, second):
            page = client.multi_get("counts", list(EXPECTED))
            assert {entry.key: entry.value for entry in page.entries} == EXPECTED
            assert {source.instance for source in page.sources} == {"one", "two"}
        assert first.described("/v1/instance")["instance"]["instance"] == "one"
        assert {store["name"] for store in first.described("/v1/stores")["stores"]} == {"counts"}
        tasks = first.described("/v1/control/tasks")["tasks"]
        assert tasks
        two.stop()
        # Each answer on the way is whole or a refusal: an iteration that ends has every key.
        for _ in range(5):
            assert everything(first) == EXPECTED
        assert {first.owner("counts", partition=partition).active[0] for partition in range(PARTITIONS)} == {"one"}
