"""The embedded Kafka keeps what it was given, over stops and kills."""

import os
import signal
import uuid

import pytest
from confluent_kafka import Consumer, Producer

from engine.embedded import jars
from engine.embedded.kafka import RunningKafka, streams_classpath

pytestmark = pytest.mark.kafka


def produce(servers, topic, value):
    producer = Producer({"bootstrap.servers": servers})
    producer.produce(topic, value=value)
    assert producer.flush(10) == 0


def values(servers, topic, count):
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": f"reader-{uuid.uuid4()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found = [record.value() for record in consumer.consume(count, 20)]
    consumer.close()
    return found


def test_a_second_start_finds_the_same_cluster_and_records_without_network(tmp_path, monkeypatch):
    from tests.stack import KafkaUnderTest

    with RunningKafka(tmp_path) as first:
        KafkaUnderTest(first.bootstrap_servers, first.pid).create("kept")
        produce(first.bootstrap_servers, "kept", b"before")
        cluster = first.kafka.cluster_id()

    def no_network(*_arguments):
        raise AssertionError("a second start fetches nothing")

    monkeypatch.setattr(jars, "_download", no_network)
    with RunningKafka(tmp_path) as second:
        assert second.kafka.cluster_id() == cluster
        assert values(second.bootstrap_servers, "kept", 1) == [b"before"]
        # ... and after a kill in the middle: the next start recovers.
        produce(second.bootstrap_servers, "kept", b"just before the kill")
        os.kill(second.pid, signal.SIGKILL)
    with RunningKafka(tmp_path) as third:
        assert values(third.bootstrap_servers, "kept", 2) == [b"before", b"just before the kill"]


def test_a_dead_transaction_is_found_within_seconds(kafka):
    """The setting under test: the broker looks for timed-out transactions each second, not each ten."""
    import time

    topic = kafka.topic("transactions")
    dead = Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "transactional.id": kafka.unique("dead"),
            "transaction.timeout.ms": 1000,
        }
    )
    dead.init_transactions(20)
    dead.begin_transaction()
    dead.produce(topic, value=b"never committed")
    dead.flush(10)
    produce(kafka.bootstrap_servers, topic, b"after it")
    began = time.monotonic()
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": kafka.unique("g"), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    record = consumer.poll(20)
    consumer.close()
    assert record.value() == b"after it"
    assert time.monotonic() - began < 8


def test_the_class_path_of_kafka_streams_is_complete():
    paths = streams_classpath().split(os.pathsep)
    names = {os.path.basename(path) for path in paths}  # noqa: PTH119
    assert {"org.apache.kafka_kafka-streams_4.3.1.jar", "org.rocksdb_rocksdbjni_10.1.3.jar"} <= names
    assert all(os.path.exists(path) for path in paths)  # noqa: PTH110
