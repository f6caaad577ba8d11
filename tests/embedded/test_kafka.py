"""The embedded Kafka keeps what it was given, over stops and kills."""

import os
import signal
import time
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


def test_what_a_transaction_wrote_that_timed_out_while_the_broker_was_away_is_never_seen(tmp_path):
    """A broker that looks for timed-out transactions as it starts takes their markers for unneeded (KAFKA-20734)."""
    from tests.stack import KafkaUnderTest

    timeout_seconds = 1.5
    with RunningKafka(tmp_path, heap="512m") as broker:
        client = {"bootstrap.servers": broker.bootstrap_servers}
        for topic in ("once", "twice"):
            KafkaUnderTest(broker.bootstrap_servers, broker.pid).create(topic)
            settings = {**client, "transactional.id": topic}
            left = Producer({**settings, "transaction.timeout.ms": int(timeout_seconds * 1000)})
            left.init_transactions(20)
            left.begin_transaction()
            left.produce(topic, value=b"never committed")
            assert left.flush(10) == 0
            broker.restart(hard=True, away_seconds=timeout_seconds)
            # What looks early has looked by then.
            time.sleep(2 * timeout_seconds)
            again = Producer(settings)
            again.init_transactions(60)
            again.begin_transaction()
            again.produce(topic, value=b"committed")
            again.commit_transaction(20)
            assert values(broker.bootstrap_servers, topic, 1) == [b"committed"]


def test_the_class_path_of_kafka_streams_is_complete():
    paths = streams_classpath().split(os.pathsep)
    names = {os.path.basename(path) for path in paths}  # noqa: PTH119
    assert {"org.apache.kafka_kafka-streams_4.3.1.jar", "org.rocksdb_rocksdbjni_10.1.3.jar"} <= names
    assert all(os.path.exists(path) for path in paths)  # noqa: PTH110
