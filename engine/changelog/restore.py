"""Building a store from its changelog: the one place that reads changelog records into stores.

`Restoring` is one store partition on its way, `Reader` the consumer that feeds several at once. The engine's restorer
(`engine.runtime.restorer`) drives them in a thread, `restore_process` in a process beside it; `build_generation` drives
them to the end for a Celery worker or a tool, which have no engine. None knows Django.

Ends are watermarks taken read-uncommitted before the first read; reading is read-committed and ends when the consumer's
position has reached that end. Positions pass transaction markers and aborted records, so records are never counted.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from engine import broker_errors
from engine.changelog.topics import ANSWER_SECONDS, Topics
from engine.errors import BrokerUnavailable, StatehouseError
from engine.stores import open_store
from engine.stores.contract import ChangelogColumns
from engine.topology.stores import StoreSpec

# One batch of a restore, hence one WriteBatch per partition in it: large enough to vanish, small enough to cancel soon.
BATCH_RECORDS = 20_000
POLL_SECONDS = 0.2
_READING = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "check.crcs": True,
    "allow.auto.create.topics": False,
}

# Accessors of the C type, to be mapped over messages: what a record costs in Python decides how fast a restore is.
_topic: Any = Message.topic
_partition: Any = Message.partition
_error: Any = Message.error
_key: Any = Message.key
_value: Any = Message.value
_timestamp: Any = Message.timestamp
_NOTHING = ChangelogColumns((), (), ())

Place = tuple[str, int]


class Cancelled(StatehouseError):
    """A build was cancelled; what was built so far is left for the caller to remove."""


@dataclass
class Restoring:
    """One store partition being restored. Written by the thread that restores, read by others for display.

    `start`, `position`, `end` are changelog offsets; `position` is the next one to apply. `records` and `bytes` were
    applied since `start`. `cause` says why there was anything to restore. A standby `follows`: it has no end but the
    changelog's own, and what it applies after it has caught up counts as no restore.
    """

    task: str
    store_name: str
    changelog: str
    partition: int
    store: Any
    start: int
    end: int
    cause: str
    limit: int | None = None  # for a snapshot: apply nothing from this offset on
    position: int = 0
    records: int = 0
    bytes: int = 0
    phase: str = "queued"
    began_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    follows: bool = False
    asked_at: float = 0.0  # monotonic: when a reader was last refused because of this restore
    lent: bool = False  # a process of its own has the store, which is closed here
    stays_here: bool = False  # a process failed with it: it goes on in the thread
    told: bool = False  # that it has begun
    shown: tuple[int, int] = (0, 0)  # position and records: the furthest that was reported

    def __post_init__(self) -> None:
        """A restore begins where the store stands."""
        self.position = self.start

    @property
    def place(self) -> Place:
        """The changelog partition."""
        return self.changelog, self.partition

    @property
    def done(self) -> bool:
        """Whether the end has been reached, and the store is here."""
        return self.position >= self.end and not self.lent

    def apply(self, records: ChangelogColumns, position: int) -> None:
        """Bring the store to `position`, in one write with the position in it."""
        caught_up = self.follows and self.ended_at is not None
        self.phase = "done" if caught_up else "applying"
        self.store.restore(records, position, current=position >= self.end)
        self.position = position
        if caught_up:
            return
        self.records += len(records)
        self.phase = "done" if self.done else "fetching"
        if self.done:
            self.ended_at = time.time()


class Reader:
    """Reads several changelog partitions at once. One thread."""

    def __init__(self, client: Mapping[str, Any], group: str = "statehouse-restore") -> None:
        self._consumer = Consumer(
            {
                "fetch.message.max.bytes": 4 * 1024 * 1024,
                "queued.max.messages.kbytes": 128 * 1024,
                "fetch.wait.max.ms": 50,
                **client,
                "group.id": group,
                **_READING,
            }
        )
        self.reading: dict[Place, Restoring] = {}
        self._paused: set[Place] = set()
        self.failed: Place | None = None
        self.polled = 0  # records of the last step

    def add(self, restoring: Restoring) -> None:
        """Begin to read a partition at the store's position, instead of whoever read it before."""
        if restoring.place in self.reading:
            self.remove(self.reading[restoring.place])
        if restoring.ended_at is None:
            restoring.phase = "fetching"
        self.reading[restoring.place] = restoring
        self._consumer.incremental_assign(
            [TopicPartition(restoring.changelog, restoring.partition, restoring.position)]
        )

    def remove(self, restoring: Restoring) -> None:
        """Stop reading a partition."""
        if self.reading.get(restoring.place) is restoring:
            # The client keeps a partition paused beyond its assignment: whoever reads it next would wait for ever.
            self.resume([restoring])
            del self.reading[restoring.place]
            self._consumer.incremental_unassign([TopicPartition(restoring.changelog, restoring.partition)])

    def pause(self, restorings: Iterable[Restoring]) -> None:
        """Fetch no more for these until `resume` or `remove`."""
        places = {r.place for r in restorings if r.place in self.reading}
        self._paused |= places
        self._consumer.pause([TopicPartition(*place) for place in places])

    def resume(self, restorings: Iterable[Restoring]) -> None:
        """Fetch for these again."""
        places = {r.place for r in restorings if r.place in self._paused}
        self._paused -= places
        self._consumer.resume([TopicPartition(*place) for place in places])

    def rewind(self) -> None:
        """After a step that raised: what it had polled is polled again, from where each store stands."""
        paused = [restoring for place, restoring in self.reading.items() if place in self._paused]
        for restoring in list(self.reading.values()):
            self.remove(restoring)
            self.add(restoring)
        self.pause(paused)

    def step(self, timeout: float = POLL_SECONDS, records_max: int = BATCH_RECORDS) -> int:
        """Apply one batch; returns the bytes that it had. Partitions that are done are still read until removed.

        Raises TaskCorrupted when a changelog no longer has the offset that a store stands at. After an error `failed`
        names the partition, where it was one's, and `rewind` must be called before the next step.
        """
        self.failed = None
        messages: list[Any] = self._consumer.consume(records_max, timeout)
        self.polled = len(messages)
        if any(map(_error, messages)):
            messages = [m for m in messages if not self._is_error(m)]
        applied = 0
        for place, found in _by_partition(messages).items():
            if place in self.reading:
                self.failed = place
                applied += _apply(self.reading[place], found)
        self.failed = None
        self._look_ahead()
        self._pass_markers()
        return applied

    def _is_error(self, message: Message) -> bool:
        """Whether a message is news that passes by itself; raises the engine's error for what does not."""
        error = message.error()
        if error is None:
            return False
        if error.retriable() or error.code() in {broker_errors.TRANSPORT, broker_errors.ALL_BROKERS_DOWN}:
            return True
        topic, partition = message.topic(), message.partition()
        if topic is not None and partition is not None:
            if (topic, partition) not in self.reading:
                # Said before the client was told to stop reading it.
                return True
            self.failed = (topic, partition)
        raise broker_errors.named(error, f"changelog {topic}-{partition}")

    def _look_ahead(self) -> None:
        """Move the ends of those that follow to what the last fetch saw."""
        for restoring in self.reading.values():
            if restoring.follows:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(*restoring.place), cached=True)
                restoring.end = max(restoring.end, high)

    def _pass_markers(self) -> None:
        """Let positions move beyond records that are not delivered: markers, aborted ones, compacted ones."""
        waiting = [r for r in self.reading.values() if not r.done]
        if not waiting:
            return
        places = [TopicPartition(r.changelog, r.partition) for r in waiting]
        for restoring, place in zip(waiting, self._consumer.position(places), strict=True):
            if place.offset > restoring.position and place.offset >= restoring.end:
                restoring.apply(_NOTHING, place.offset)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition] | None:
        """Offsets committed by the reader's group; None while a transaction that could change them is pending."""
        what = "committed offsets could not be read"
        try:
            found = self._consumer.committed(partitions, timeout)
        except KafkaException as error:
            if broker_errors.passes(broker_errors.cause(error)):
                return None
            raise broker_errors.named(error, what) from error
        # A partition with an error looks like one for which nothing was ever committed.
        failures = [place.error for place in found if place.error is not None]
        for failure in failures:
            if not broker_errors.passes(failure):
                raise broker_errors.named(failure, what)
        return None if failures else found

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def holds_records(client: Mapping[str, Any], place: Place, start: int, end: int) -> bool:
    """Whether a changelog partition has anything to apply from `start` up to `end`, and not only transaction markers.

    Raises BrokerUnavailable when it cannot be read, TaskCorrupted when `start` is no longer there.
    """
    consumer = Consumer({**client, **_READING, "group.id": "statehouse-restore"})
    asked = TopicPartition(*place)
    try:
        consumer.assign([TopicPartition(*place, start)])
        deadline = time.monotonic() + ANSWER_SECONDS
        while consumer.position([asked])[0].offset < end:
            for message in consumer.consume(1, POLL_SECONDS):
                error = message.error()
                if error is None:
                    return int(message.offset() or 0) < end
                if not error.retriable():
                    raise broker_errors.named(error, f"changelog {place[0]}-{place[1]}")
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"changelog {place[0]}-{place[1]} could not be read: are the brokers up?")
    finally:
        consumer.close()
    return False


def _by_partition(messages: list[Any]) -> dict[Place, list[Any]]:
    """Messages by their partition, in order. A fetch answers partition by partition, so the runs are long."""
    found: dict[Place, list[Any]] = {}
    for topic, of_topic in groupby(messages, _topic):
        for partition, run in groupby(of_topic, _partition):
            found.setdefault((topic, partition), []).extend(run)
    return found


def _apply(restoring: Restoring, messages: list[Any]) -> int:
    position = messages[-1].offset() + 1
    if restoring.limit is not None and position > restoring.limit:
        messages = [m for m in messages if m.offset() < restoring.limit]
        position = restoring.limit
    size = sum(map(len, messages))
    keys = list(map(_key, messages))
    if None in keys:
        # A changelog has no records without keys, but a topic that a global table reads may.
        messages = [m for m in messages if m.key() is not None]
        keys = list(map(_key, messages))
    timestamps = [at for _, at in map(_timestamp, messages)]
    restoring.apply(ChangelogColumns(keys, list(map(_value, messages)), timestamps), position)
    restoring.bytes += size
    return size


@dataclass(frozen=True)
class Built:
    """What `build_generation` made: the store is the fold of the changelog from `begin` to before `position`."""

    position: int
    records: int
    bytes: int
    begin: int = 0


class UnattendedContext:
    """What a store sees of its task when there is none: nothing is processed, so nothing has a time."""

    timestamp = -1

    def dropped(self, count: int) -> None:
        """Expired rows of a changelog are left out: nobody counts them here."""


def build_generation(
    spec: StoreSpec,
    changelog: str,
    partition: int,
    directory: Path,
    *,
    client: Mapping[str, Any],
    until: int | None = None,
    progress: Callable[[Restoring], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Built:
    """Build a store from its changelog into `directory`, which must not hold one yet.

    `client` are connection settings of the Kafka client (`bootstrap.servers`, …). `until` is the offset to stop before
    (a snapshot: the records below it), or None for the end as it is now. `progress` is called after every batch.
    Raises Cancelled once `cancelled()` is true, TaskCorrupted if the changelog cannot be read from its beginning.
    """
    topics = Topics(client)
    place = (changelog, partition)
    begin, end = topics.begin_offsets([place])[place], topics.end_offsets([place])[place]
    store = open_store(spec, directory, UnattendedContext())
    try:
        target = end if until is None else min(until, end)
        restoring = Restoring("", spec.name, changelog, partition, store, begin, target, "operator", limit=until)
        _run(restoring, client, progress=progress, cancelled=cancelled)
        store.flush()
        return Built(restoring.position, restoring.records, restoring.bytes, begin)
    finally:
        store.close()


def _run(
    restoring: Restoring,
    client: Mapping[str, Any],
    *,
    progress: Callable[[Restoring], None] | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    reader = Reader(client)
    try:
        reader.add(restoring)
        while not restoring.done:
            if cancelled is not None and cancelled():
                raise Cancelled(f"building {restoring.store_name} from {restoring.changelog} was cancelled")
            reader.step()
            if progress is not None:
                progress(restoring)
    finally:
        reader.close()
