"""Feeds the demo: the tables once, then the departures, either as fast as they go or at the pace of a fast clock.

The year is moved by whole weeks so that it ends in the present: Kafka expires windowed changelogs by event time, so the
real 2013 would be deleted as it is written. Weekdays stay what they were. In replay the next year follows on the last.

Each partition of `flights` holds one fixed, endless sequence of records, so their number alone says where to go on after
any stop. The writer commits it with the records: nothing is sent twice and nothing is left out, whatever ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # re-exported without saying so

from engine import broker_errors
from engine.broker_errors import MissingTopic
from engine.demo import sample
from engine.demo.flights import PARTITIONS
from engine.demo.writer import Writer
from engine.errors import BrokerUnavailable, StatehouseError, TaskMigrated
from engine.partitioning import partition_for

WEEK_MS = 7 * 24 * 60 * 60 * 1000
# The next year starts where the last one ended, so that no departure comes late; its weekdays are one day off.
YEAR_MS = 365 * 24 * 60 * 60 * 1000
TABLES = {"planes": "tailnum", "airlines": "carrier", "airports": "faa"}
BROKER_SECONDS_MAX = 30.0
# A broker that is away for longer ends the feeder; it may be started again.
AWAY_SECONDS_MAX = 300.0
RETRY_SECONDS = 0.5
# Enough for several replayed years; older departures go, the stores keep what they counted.
FLIGHTS_BYTES_MAX = 512 * 1024 * 1024
TICK_SECONDS = 0.1

Departure = tuple[int, bytes, bytes]  # time in ms (of 2013), key, value


class Feeder:
    """Writes the demo's topics. `report` gets a line now and then for people to read."""

    def __init__(self, bootstrap_servers: str, report: Callable[[str], None] = print) -> None:
        self._servers: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap_servers}
        self._report = report
        self._writer = Writer(self._servers, [(topic, p) for topic in ("flights", *TABLES) for p in range(PARTITIONS)])

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
        self._open(BROKER_SECONDS_MAX)
        for name, key in TABLES.items():
            rows = sample.table(name)
            if self._sent(name) >= len(rows):
                continue
            start = self._year_start()
            try:
                for row in rows:
                    found = str(row[key]).encode()
                    self._writer.send((name, partition_for(found, PARTITIONS)), found, msgspec.json.encode(row), start)
                self._writer.commit()
            except KafkaException as error:
                raise broker_errors.named(error, f"the table {name} could not be written") from error
            self._report(f"{name}: {len(rows):,} rows")

    def once(self, speed: float | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
        """Send what is left of one year, at `speed` or as fast as it goes; returns how many departures that were."""
        return self._feed(speed, stopped, forever=False)

    def replay(self, speed: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Send departures for ever, `speed` seconds of theirs in each second of ours."""
        self._feed(speed, stopped, forever=True)

    def _feed(self, speed: float | None, stopped: Callable[[], bool], *, forever: bool) -> int:
        """Send until stopped or done, through the broker's absences; returns how many departures that were."""
        before = self._sent("flights")
        while True:
            try:
                for at, key, value, partition in self._paced(speed, stopped, forever=forever):
                    self._writer.send(("flights", partition), key, value, at)
                self._writer.commit()
                return self._sent("flights") - before
            except (KafkaException, BrokerUnavailable) as error:
                found = _named(error) if isinstance(error, KafkaException) else error
                if not isinstance(found, BrokerUnavailable):
                    raise found from error
                self._report(f"what was not committed is sent again: {found}")
                self._open(AWAY_SECONDS_MAX)

    def _open(self, seconds: float) -> None:
        """Begin where the last commit ended, once the broker answers; raises BrokerUnavailable when it does not in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._writer.open()
            except KafkaException as error:
                found = _named(error)
                # A topic that was made a moment ago has no leader yet.
                if not isinstance(found, BrokerUnavailable | MissingTopic) or time.monotonic() > deadline:
                    raise found from error
                time.sleep(RETRY_SECONDS)

    def _sent(self, topic: str) -> int:
        return sum(sent for place, sent in self._writer.sent.items() if place[0] == topic)

    def _paced(
        self, speed: float | None, stopped: Callable[[], bool], *, forever: bool
    ) -> Iterator[tuple[int, bytes, bytes, int]]:
        """The departures that remain, each when it is due, until stopped."""
        begin, first = time.monotonic(), None
        for departure in self._remaining(forever=forever):
            first = departure[0] if first is None else first
            due = begin if speed is None else begin + (departure[0] - first) / 1000 / speed
            while (wait := due - time.monotonic()) > 0 and not stopped():
                self._writer.wait(min(wait, TICK_SECONDS))
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
        have = [self._writer.sent["flights", p] for p in range(PARTITIONS)]
        # What is added to a departure's time of 2013: as in the records that are there, or so that the year ends now.
        base = int(self._writer.note or self._shift(year[-1][0]))
        self._writer.note = str(base)
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

    @staticmethod
    def _shift(last: int) -> int:
        return (int(time.time() * 1000) - last) // WEEK_MS * WEEK_MS

    def _year_start(self) -> int:
        return int(time.time() * 1000) - 53 * WEEK_MS


def _named(error: KafkaException) -> StatehouseError:
    found = broker_errors.named(error, "the demo's records could not be written")
    if isinstance(found, TaskMigrated):
        return StatehouseError("another feeder of this demo has started: one at a time")
    # Whatever ended the transaction: it is begun again from what was committed.
    return BrokerUnavailable(str(found)) if broker_errors.cause(error).txn_requires_abort() else found


def _year() -> list[Departure]:
    """The year in order of time; departures of the same minute keep the file's order, so that every run is the same."""
    keys: dict[str, bytes] = {}
    year = [
        (at, keys.setdefault(row["origin"], row["origin"].encode()), msgspec.json.encode(row))
        for at, row in sample.departures()
    ]
    year.sort(key=lambda departure: departure[0])
    return year
