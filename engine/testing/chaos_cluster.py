"""The topics of a chaos run: made, fed, read to their ends and removed. Everything here is under names of that run only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

# Re-exported by the package without saying so, hence the ignore.
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from engine import broker_errors
from engine.control import application_records
from engine.errors import BrokerUnavailable
from engine.testing.chaos_input import Record

REQUEST_SECONDS = 20.0
REACH_SECONDS = 10.0
# Reading a partition to its end; what is not there by then is a finding, not a wait.
READ_SECONDS = 120.0
FLUSH_SECONDS = 120.0
AGAIN_SECONDS = 0.5
BATCH = 10_000


class Row(NamedTuple):
    """A record as it was read back."""

    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class Cluster:
    """Clients of one cluster. One thread."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        # Faults of the broker are wanted here: the client's own complaints about them say nothing new.
        self.client = {**client, "log_level": 0}
        self._admin = AdminClient(self.client)
        self._producer = Producer(
            {**self.client, "enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5}
        )
        self.undelivered = 0

    def reach(self) -> None:
        """Return once a broker answers; raises BrokerUnavailable when none does."""
        try:
            self._admin.list_topics(timeout=REACH_SECONDS)
        except KafkaException as error:
            what = f"no broker answers at {self.client['bootstrap.servers']}"
            raise broker_errors.named(error, what) from error

    def create(self, topics: Iterable[str], partitions: int) -> None:
        """Make topics that keep everything."""
        wanted = [NewTopic(t, num_partitions=partitions, config={"retention.ms": "-1"}) for t in topics]
        if wanted:
            for future in self._admin.create_topics(wanted, request_timeout=REQUEST_SECONDS).values():
                future.result()

    def topics(self, prefix: str) -> list[str]:
        """Names that begin so."""
        return sorted(t for t in self._admin.list_topics(timeout=REQUEST_SECONDS).topics if t.startswith(prefix))

    def remove(self, prefix: str, applications: Iterable[str], seconds: float) -> None:
        """Delete the topics that begin so, the groups of these applications, and what they have reported.

        Members that were killed count as such for a session: their groups are asked about again for so many seconds.
        """
        topics = self.topics(prefix)
        for future in self._admin.delete_topics(topics, request_timeout=REQUEST_SECONDS).values() if topics else ():
            future.result()
        deadline = time.monotonic() + seconds
        for application in applications:
            while not self._remove_group(application, last=time.monotonic() > deadline):
                time.sleep(AGAIN_SECONDS)
            application_records.remove(self.client, application_records.keys(self.client, application))

    def _remove_group(self, group: str, *, last: bool) -> bool:
        try:
            self._admin.delete_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group].result()
        except KafkaException as error:
            code = error.args[0].code()
            if last or code not in {KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND}:
                raise
            return bool(code == KafkaError.GROUP_ID_NOT_FOUND)
        return True

    def feed(self, prefix: str, records: Iterable[Record]) -> int:
        """Produce records, wait until the broker has them all, and return how many they were."""
        count = 0
        for record in records:
            while True:
                try:
                    self._producer.produce(
                        f"{prefix}{record.topic}",
                        record.value,
                        record.key,
                        timestamp=record.timestamp,
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
            count += 1
        if self._producer.flush(FLUSH_SECONDS):
            raise BrokerUnavailable(f"the input was not taken within {FLUSH_SECONDS:.0f} s: is the cluster up?")
        return count

    def _delivered(self, error: Any, _message: Any) -> None:
        if error is not None:
            self.undelivered += 1

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """The beginning and the end of each partition, uncommitted records and markers counted."""
        consumer = self._consumer("chaos-bounds", committed=False)
        try:
            return {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), REQUEST_SECONDS)
                for p in self._partitions(consumer, topic)
            }
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The committed offset of each partition; -1 where there is none. Raises BrokerUnavailable."""
        consumer = self._consumer(group, committed=True)
        try:
            places = [TopicPartition(topic, p) for p in self._partitions(consumer, topic)]
            found = consumer.committed(places, REQUEST_SECONDS)
        except KafkaException as error:
            raise BrokerUnavailable(f"the offsets of group {group} are not to be had: {error}") from error
        finally:
            consumer.close()
        for place in found:
            if place.error is not None:
                raise BrokerUnavailable(f"the offsets of group {group} are not to be had: {place.error.str()}")
        return {place.partition: max(place.offset, -1) for place in found}

    def read(self, topic: str, begins: Mapping[int, int] | None = None) -> Iterator[Row]:
        """Read committed, partition by partition in order, from the beginning or from `begins` to the end of now."""
        bounds = self.bounds(topic)
        consumer = self._consumer("chaos-reader", committed=True)
        try:
            for partition, (first, end) in bounds.items():
                begin = max(first, (begins or {}).get(partition, 0))
                yield from _partition(consumer, topic, partition, begin, end)
        finally:
            consumer.close()

    def _consumer(self, group: str, *, committed: bool) -> Consumer:
        return Consumer(
            {
                **self.client,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed" if committed else "read_uncommitted",
            }
        )

    @staticmethod
    def _partitions(consumer: Consumer, topic: str) -> list[int]:
        return sorted(consumer.list_topics(topic, REQUEST_SECONDS).topics[topic].partitions)


def _partition(consumer: Consumer, topic: str, partition: int, begin: int, end: int) -> Iterator[Row]:
    place = TopicPartition(topic, partition, begin)
    if begin >= end:
        return
    consumer.assign([place])
    deadline = time.monotonic() + READ_SECONDS
    # Positions pass transaction markers and aborted records, which are never delivered.
    while consumer.position([place])[0].offset < end:
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"{topic}-{partition} was not readable to its end {end} in {READ_SECONDS:.0f} s")
        for message in consumer.consume(BATCH, 0.2):
            if message.error() is None:
                yield Row(partition, message.key(), message.value(), message.timestamp()[1])
