"""Feeds the demo: the tables once, then the departures, either as fast as they go or at the pace of a fast clock.

The year is moved by whole weeks so that it ends in the present: Kafka expires windowed changelogs by event time, so the
real 2013 would be deleted as it is written. Weekdays stay what they were. In replay the next year follows on the last.

Each partition of `flights` holds one fixed, endless sequence of records, so its end offset alone says where to go on
after any stop: nothing is sent twice and nothing is left out, however the feeder ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # re-exported without saying so

from engine.demo import sample
from engine.demo.flights import PARTITIONS
from engine.errors import BrokerUnavailable
from engine.partitioning import partition_for

WEEK_MS = 7 * 24 * 60 * 60 * 1000
# The next year starts where the last one ended, so that no departure comes late; its weekdays are one day off.
YEAR_MS = 365 * 24 * 60 * 60 * 1000
TABLES = {"planes": "tailnum", "airlines": "carrier", "airports": "faa"}
BROKER_SECONDS_MAX = 30.0
# Enough for several replayed years; older departures go, the stores keep what they counted.
FLIGHTS_BYTES_MAX = 512 * 1024 * 1024
TICK_SECONDS = 0.1

Departure = tuple[int, bytes, bytes]  # time in ms (of 2013), key, value


class Feeder:
    """Writes the demo's topics. `report` gets a line now and then for people to read."""

    def __init__(self, bootstrap_servers: str, report: Callable[[str], None] = print) -> None:
        self._servers: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap_servers}
        self._report = report
        self._producer = Producer(
            {
                **self._servers,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "compression.type": "lz4",
            }
        )
        self._failed: list[str] = []

    def prepare(self) -> None:
        """Create the topics and fill the tables; does nothing where that was done."""
        keep = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": str(FLIGHTS_BYTES_MAX)}
        topics = [NewTopic("flights", PARTITIONS, 1, config=keep)]
        topics += [NewTopic(name, PARTITIONS, 1, config={"cleanup.policy": "compact"}) for name in TABLES]
        admin = AdminClient(self._servers)
        for name, created in admin.create_topics(topics, operation_timeout=BROKER_SECONDS_MAX).items():
            try:
                created.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerUnavailable(f"topic {name} could not be created: {error.args[0].str()}") from error
        for name, key in TABLES.items():
            rows = sample.table(name)
            if sum(self._ends(name).values()) >= len(rows):
                continue
            start = self._year_start()
            for row in rows:
                self._send(name, str(row[key]).encode(), msgspec.json.encode(row), start)
            self._flush()
            self._report(f"{name}: {len(rows):,} rows")

    def once(self, speed: float | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
        """Send what is left of one year, at `speed` or as fast as it goes; returns how many departures that were."""
        sent = 0
        for at, key, value, partition in self._paced(speed, stopped, forever=False):
            self._send("flights", key, value, at, partition)
            sent += 1
        self._flush()
        return sent

    def replay(self, speed: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Send departures for ever, `speed` seconds of theirs in each second of ours."""
        for at, key, value, partition in self._paced(speed, stopped, forever=True):
            self._send("flights", key, value, at, partition)
        self._flush()

    def _paced(
        self, speed: float | None, stopped: Callable[[], bool], *, forever: bool
    ) -> Iterator[tuple[int, bytes, bytes, int]]:
        """The departures that remain, each when it is due, until stopped."""
        begin, first = time.monotonic(), None
        for departure in self._remaining(forever=forever):
            first = departure[0] if first is None else first
            due = begin if speed is None else begin + (departure[0] - first) / 1000 / speed
            while (wait := due - time.monotonic()) > 0 and not stopped():
                self._producer.poll(0)
                time.sleep(min(wait, TICK_SECONDS))
            if stopped():
                return
            yield departure

    def _remaining(self, *, forever: bool) -> Iterator[tuple[int, bytes, bytes, int]]:
        """Departures not yet in the topic: (time, key, value, partition), in order of time."""
        year = _year()
        places = {key: partition_for(key, PARTITIONS) for _, key, _ in year}
        lengths = [0] * PARTITIONS
        for _, key, _ in year:
            lengths[places[key]] += 1
        have = self._ends("flights")
        base = self._base(year, places, lengths)
        number = min((have[p] // n for p, n in enumerate(lengths) if n), default=0)
        if not forever and number > 0:
            return
        seen = [n * number for n in lengths]
        while True:
            for at, key, value in year:
                partition = places[key]
                seen[partition] += 1
                if seen[partition] > have[partition]:
                    yield base + at + number * YEAR_MS, key, value, partition
            if not forever:
                return
            number += 1

    def _base(self, year: list[Departure], places: dict[bytes, int], lengths: list[int]) -> int:
        """What is added to a departure's time of 2013: as in the records that are there, or so that the year ends now."""
        for partition, length in enumerate(lengths):
            found = self._first(partition) if length else None
            if found is not None:
                offset, timestamp = found
                mine = [at for at, key, _ in year if places[key] == partition]
                return timestamp - mine[offset % length] - (offset // length) * YEAR_MS
        return self._shift(year[-1][0])

    @staticmethod
    def _shift(last: int) -> int:
        return (int(time.time() * 1000) - last) // WEEK_MS * WEEK_MS

    def _year_start(self) -> int:
        return int(time.time() * 1000) - 53 * WEEK_MS

    def _first(self, partition: int) -> tuple[int, int] | None:
        """Offset and timestamp of the oldest record of a partition of `flights`; None if it is empty."""
        consumer = self._consumer()
        try:
            low, high = self._bounds(consumer, "flights", partition)
            if high <= low:
                return None
            consumer.assign([TopicPartition("flights", partition, low)])
            message = consumer.poll(BROKER_SECONDS_MAX)
            if message is None or message.error():
                raise BrokerUnavailable(f"flights-{partition}@{low} could not be read: is the broker up?")
            return int(message.offset() or 0), message.timestamp()[1]
        finally:
            consumer.close()

    def _ends(self, topic: str) -> dict[int, int]:
        consumer = self._consumer()
        try:
            return {p: self._bounds(consumer, topic, p)[1] for p in range(PARTITIONS)}
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer({**self._servers, "group.id": "statehouse-demo-feeder", "enable.auto.commit": False})

    @staticmethod
    def _bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
        """First and next offset of a partition; one that was made a moment ago has no leader yet and is asked again."""
        deadline = time.monotonic() + BROKER_SECONDS_MAX
        while True:
            try:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), BROKER_SECONDS_MAX)
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(f"{topic}-{partition} has no answer: {error.args[0].str()}") from error
                time.sleep(TICK_SECONDS)
            else:
                return low, high

    def _send(self, topic: str, key: bytes, value: bytes, timestamp: int, partition: int | None = None) -> None:
        options: dict[str, Any] = {} if partition is None else {"partition": partition}
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=key, timestamp=timestamp, on_delivery=self._delivered, **options
                )
            except BufferError:
                self._producer.poll(1.0)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: Any) -> None:
        if error is not None:
            self._failed.append(error.str())

    def _flush(self) -> None:
        left = self._producer.flush(BROKER_SECONDS_MAX)
        if left or self._failed:
            why = self._failed[0] if self._failed else "the broker did not answer"
            raise BrokerUnavailable(
                f"{left + len(self._failed)} records were not written ({why}): start the feeder again"
            )


def _year() -> list[Departure]:
    """The year in order of time; departures of the same minute keep the file's order, so that every run is the same."""
    keys: dict[str, bytes] = {}
    year = [
        (at, keys.setdefault(row["origin"], row["origin"].encode()), msgspec.json.encode(row))
        for at, row in sample.departures()
    ]
    year.sort(key=lambda departure: departure[0])
    return year
