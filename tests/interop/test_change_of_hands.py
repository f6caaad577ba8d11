"""An application id changes hands between Kafka Streams and us: totals and changelogs agree to the byte.

The Java side is the real Kafka Streams from Maven Central. The record cache is off on both sides, so that every update
is in the changelog and the two can be compared record by record, timestamps included.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from engine import Engine, EngineConfig
from tests.benchmarks import topics, works
from tests.benchmarks.kafka_streams import KafkaStreams

pytestmark = [pytest.mark.kafka, pytest.mark.jdk, pytest.mark.timeout(600)]

PARTITIONS = topics.PARTITIONS
HALF = 3_000
KEYS = 97
# Recent, or the broker would delete the input as too old while it is being read.
FIRST_AT = time.time_ns() // 1_000_000 - 3_600_000
Row = tuple[bytes, bytes | None, int]


def produce(bootstrap: str, topic: str, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True})
    for number in numbers:
        key = b"key-%d" % (number * 31 % KEYS)
        # Times go back and forth a little: an aggregate's timestamp is the highest it has seen.
        timestamp = FIRST_AT + number * 10 - (number % 7) * 25
        producer.produce(topic, key=key, value=b"%d" % number, timestamp=timestamp)
        producer.poll(0)
    assert producer.flush(30) == 0


def log_of(bootstrap: str, topic: str) -> dict[int, list[Row]]:
    """Every committed record of each partition, in order."""
    found: dict[int, list[Row]] = {}
    for partition in range(PARTITIONS):
        consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "interop-reader", "isolation.level": "read_committed"}
        )
        place = TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(place, 30)
        consumer.assign([TopicPartition(topic, partition, low)])
        rows = found.setdefault(partition, [])
        while low < high and consumer.position([place])[0].offset < high:
            for message in consumer.consume(1000, 5):
                assert not message.error()
                rows.append((message.key(), message.value(), message.timestamp()[1]))
        consumer.close()
    return found


def expected_counts(numbers: range) -> dict[bytes, int]:
    counts: dict[bytes, int] = {}
    for number in numbers:
        key = b"key-%d" % (number * 31 % KEYS)
        counts[key] = counts.get(key, 0) + 1
    return counts


class Contestants:
    """Both engines on one input topic."""

    def __init__(self, bootstrap: str, directory: Path, input_topic: str, monkeypatch: Any) -> None:
        self.bootstrap = bootstrap
        self.directory = directory
        self.topics = {"bootstrap": bootstrap, "input": input_topic, "table": "unused", "output": "unused"}
        self.java = KafkaStreams(directory)
        self._runs = 0
        monkeypatch.setenv("BENCHMARK_INPUT", input_topic)
        monkeypatch.setenv("BENCHMARK_TABLE", "unused")
        monkeypatch.setenv("BENCHMARK_OUTPUT", "unused")

    def run_java(self, application: str, records: int, guarantee: str) -> None:
        self.java.run("count", application, records, self.topics, guarantee, "no-cache")

    def run_ours(self, application: str, guarantee: str) -> None:
        self._runs += 1
        config = EngineConfig(
            application_id=application,
            bootstrap_servers=self.bootstrap,
            guarantee=guarantee,
            state_dir=self.directory / f"ours-{self._runs}",
            listen=None,
            replication_factor=1,
            caching=False,
            stop_when_caught_up=True,
        )
        Engine(works.count, config).run()

    def changelog(self, application: str) -> dict[int, list[Row]]:
        return log_of(self.bootstrap, f"{application}-counts-changelog")


@pytest.mark.parametrize("guarantee", ["exactly_once_v2", "at_least_once"])
def test_totals_and_changelogs_agree_whoever_goes_first(kafka: Any, tmp_path: Path, monkeypatch: Any, guarantee: str):
    name = kafka.unique("interop")
    input_topic = f"{name}-input"
    topics.create(kafka.bootstrap_servers, input_topic)
    both = Contestants(kafka.bootstrap_servers, tmp_path, input_topic, monkeypatch)
    java_first, ours_first, java_only = f"{name}-java-first", f"{name}-ours-first", f"{name}-java-only"

    produce(kafka.bootstrap_servers, input_topic, range(HALF))
    both.run_java(java_first, HALF, guarantee)
    both.run_ours(ours_first, guarantee)
    produce(kafka.bootstrap_servers, input_topic, range(HALF, 2 * HALF))
    both.run_ours(java_first, guarantee)
    both.run_java(ours_first, HALF, guarantee)
    both.run_java(java_only, 2 * HALF, guarantee)

    reference = both.changelog(java_only)
    totals = {key: int.from_bytes(value, "big") for rows in reference.values() for key, value, _ in rows}
    assert totals == expected_counts(range(2 * HALF))
    assert both.changelog(java_first) == reference
    assert both.changelog(ours_first) == reference
