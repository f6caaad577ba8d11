"""Input of the benchmarks and a digest of their results, both the same for every peer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
KEYS = 200_000
SEED = 7
BATCH = 20_000
SECONDS_MAX = 60.0
POLL_SECONDS = 0.5


def create(bootstrap_servers: str, *names: str) -> None:
    """Create topics of the benchmarks' partition count."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for created in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        created.result(SECONDS_MAX)


def fill(bootstrap_servers: str, topic: str, records: int, *, in_turn: bool = False) -> None:
    """Write `records` records of about 100 bytes, keys uniform over `KEYS` (or each key in turn), murmur2, lz4."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "batch.size": 500_000,
            "compression.type": "lz4",
            "acks": "1",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
        }
    )
    dice = random.Random(SEED)
    pad = b"x" * 48
    for at in range(0, records, BATCH):
        numbers = range(at, min(at + BATCH, records))
        keys = numbers if in_turn else [dice.randrange(KEYS) for _ in numbers]
        batch = [
            {"key": b"user-%07d" % key, "value": b'{"user":%d,"amount":%d,"pad":"%s"}' % (key, number % 997, pad)}
            for key, number in zip(keys, numbers, strict=True)
        ]
        while producer.produce_batch(topic, batch) < len(batch):
            batch = [message for message in batch if message.pop("_error", None)]
            producer.flush(1)
    if producer.flush(SECONDS_MAX):
        raise RuntimeError(f"{topic} could not be filled: the broker did not take everything")


def records_of(bootstrap_servers: str, topic: str) -> Iterator[tuple[bytes, bytes | None, int]]:
    """Every committed record of a topic as (key, value, partition), partition by partition."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "benchmark-reader",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        # A position never passes the marker that ends a transaction, so only this tells that a log's end is reached.
        "enable.partition.eof": True,
    }
    for partition in range(PARTITIONS):
        consumer = Consumer(settings)
        try:
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            ended = False
            while not ended:
                for message in consumer.consume(BATCH, POLL_SECONDS):
                    error = message.error()
                    if error is None:
                        yield message.key(), message.value(), partition
                    elif error.code() == KafkaError._PARTITION_EOF:
                        ended = True
                    else:
                        raise RuntimeError(f"{topic}-{partition}: {error}")
        finally:
            consumer.close()


def digest_of_table(bootstrap_servers: str, changelog: str) -> str:
    """A digest of what a changelog adds up to: the last value of each key."""
    rows: dict[bytes, bytes] = {}
    for key, value, _ in records_of(bootstrap_servers, changelog):
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    whole = hashlib.sha256()
    for key in sorted(rows):
        whole.update(len(key).to_bytes(4, "big") + key + rows[key])
    return f"{len(rows)} rows {whole.hexdigest()[:16]}"


def digest_of_stream(bootstrap_servers: str, topic: str) -> str:
    """A digest of a topic's records, whatever their order across keys."""
    total, number = 0, 0
    for key, value, partition in records_of(bootstrap_servers, topic):
        row = hashlib.blake2b(b"%d|%b|%b" % (partition, key, value or b""), digest_size=8).digest()
        total = (total + int.from_bytes(row, "big")) % 2**64
        number += 1
    return f"{number} records {total:016x}"
