"""Reads the tasks' input partitions in batches and sorts each batch by partition, as columns.

First step of the loop. Owner: the loop; its thread only. The same client is the group member (`membership`): its
rebalance callbacks run inside `poll`. What a batch costs per record is a handful of C calls mapped over the messages.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from engine import broker_errors, client_settings
from engine.config import EngineConfig
from engine.errors import BrokerUnavailable, StatehouseError
from engine.records import RawBatch
from engine.runtime.aborts import RebalanceOvertook

_IGNORED = {
    broker_errors.PARTITION_EOF,
    broker_errors.MAX_POLL_EXCEEDED,  # the callback for lost partitions tells the same, and what to do
    broker_errors.ALL_BROKERS_DOWN,
    broker_errors.TRANSPORT,
    broker_errors.RESOLVE,
    broker_errors.TIMED_OUT,
}

# Accessors of the C type, to be mapped over messages.
_topic: Any = Message.topic
_partition: Any = Message.partition
_offset: Any = Message.offset
_key: Any = Message.key
_value: Any = Message.value
_timestamp: Any = Message.timestamp
_headers: Any = Message.headers


def settings(config: EngineConfig, client: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that every consumer of the engine has; none of them ever commits or resets by itself."""
    return {
        "fetch.message.max.bytes": 1024 * 1024,
        "queued.max.messages.kbytes": 64 * 1024,
        "fetch.wait.max.ms": 100,
        **client_settings.of_kind(config.client_settings, client_settings.CONSUMER),
        **client,
        "group.id": config.application_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Every partition is assigned with an offset: a missing one is an error with a remedy, never a jump.
        "auto.offset.reset": "error",
        "isolation.level": "read_committed" if config.exactly_once else "read_uncommitted",
        "check.crcs": True,
        "allow.auto.create.topics": False,
    }


def member_settings(config: EngineConfig, client: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the consumer that is the group member."""
    found = {
        **settings(config, client),
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": config.session_timeout_ms,
        "heartbeat.interval.ms": max(config.session_timeout_ms // 10, 200),
        "max.poll.interval.ms": config.max_poll_interval_ms,
    }
    if config.group_instance_id:
        found["group.instance.id"] = config.group_instance_id
    return found


class Consumer:
    """The data side of the group member: which partitions are read, from where, and the batches they give."""

    def __init__(self, client: Client, poll_records: int) -> None:
        self.client = client
        self._poll_records = poll_records
        self._consume = client.consume
        self._closed = False
        self._begins: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}

    def poll(self, timeout: float) -> list[RawBatch]:
        """What has arrived, one batch a partition; waits up to `timeout` seconds when there is nothing.

        Waits for one record, then takes whatever else is there: batches grow with the backlog, and a single record
        need not wait for company.
        """
        messages = self._consume(self._poll_records, 0)
        if not messages:
            messages = self._consume(1, timeout)
            if messages:
                messages += self._consume(self._poll_records - 1, 0)
        return batches(messages) if messages else []

    def assign(self, offsets: Iterable[TopicPartition], ends: Mapping[tuple[str, int], int] | None = None) -> None:
        """Read partitions from these offsets on, beside those read already; `ends` are as far as they are known to go."""
        found = list(offsets)
        if found:
            self._ends.update(ends or {})
            self._begins.update({(p.topic, p.partition): p.offset for p in found})
            self.client.incremental_assign(found)

    def unassign(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Stop reading partitions, and drop what was fetched of them."""
        found = [TopicPartition(topic, partition) for topic, partition in partitions]
        if found:
            # The client keeps a partition paused beyond its assignment: whoever reads it next would wait for ever.
            self.client.resume(found)
            self.client.incremental_unassign(found)

    def pause(self, partition: tuple[str, int]) -> None:
        """Fetch no more of a partition until `resume`; what was fetched but not polled is fetched again then."""
        self.client.pause([TopicPartition(*partition)])

    def resume(self, partition: tuple[str, int]) -> None:
        """Fetch a paused partition again."""
        self.client.resume([TopicPartition(*partition)])

    def lag(self, partition: tuple[str, int]) -> int | None:
        """Records between what was polled and the end as the last fetch saw it; None before the first fetch.

        The position passes transaction markers, so 0 means that nothing is left to read.
        """
        _, high = self.client.get_watermark_offsets(TopicPartition(*partition), cached=True)
        position = self.position(partition)
        # What the client saw last may be of a former assignment: then the end that the take-over saw is the newer one.
        high = max(high, self._ends.get(partition, -1))
        return None if high < 0 or high < position else high - position

    def position(self, partition: tuple[str, int]) -> int:
        """The offset after what was polled, markers passed; where reading began while nothing was polled."""
        polled = self.client.position([TopicPartition(*partition)])[0].offset
        return polled if polled >= 0 else self._begins.get(partition, 0)

    def group(self) -> Any:
        """The group's metadata for a transaction: member and generation fence a zombie."""
        return self.client.consumer_group_metadata()

    def close(self) -> None:
        """Leave the group, so that others take over at once; twice is allowed."""
        if not self._closed:
            self._closed = True
            self.client.close()

    def commit(self, offsets: list[TopicPartition]) -> None:
        """Commit offsets without a transaction; returns when the broker has them."""
        try:
            done = self.client.commit(offsets=offsets, asynchronous=False) or ()
        except KafkaException as error:
            raise _uncommitted(error, "input offsets could not be committed") from error
        for place in done:
            if place.error is not None:
                raise _uncommitted(place.error, f"the offset of {place.topic}-{place.partition} could not be committed")


def _uncommitted(error: KafkaException | KafkaError, what: str) -> StatehouseError:
    if broker_errors.cause(error).code() in broker_errors.OVERTAKEN:
        return RebalanceOvertook(f"{what}: {broker_errors.cause(error).str()}")
    return broker_errors.named(error, what)


def batches(messages: list[Any]) -> list[RawBatch]:
    """Messages as columns, one batch a partition; raises the engine's error for what the client reports between them."""
    if any(map(Message.error, messages)):
        messages = [m for m in messages if not _is_error(m)]
    by_partition: dict[tuple[str, int], list[Any]] = {}
    # A fetch answers partition by partition, so the runs that `groupby` finds are long.
    for topic, of_topic in groupby(messages, _topic):
        for partition, run in groupby(of_topic, _partition):
            place = (topic, partition)
            if place in by_partition:
                by_partition[place].extend(run)
            else:
                by_partition[place] = list(run)
    return [_columns(topic, partition, found) for (topic, partition), found in by_partition.items()]


def _columns(topic: str, partition: int, messages: list[Any]) -> RawBatch:
    headers = list(map(_headers, messages))
    return RawBatch(
        topic,
        partition,
        list(map(_offset, messages)),
        list(map(_key, messages)),
        list(map(_value, messages)),
        [at for _, at in map(_timestamp, messages)],
        headers if any(headers) else None,
    )


def _is_error(message: Message) -> bool:
    error: KafkaError | None = message.error()
    if error is None:
        return False
    if error.code() in _IGNORED:
        return True
    where = f"{message.topic()}-{message.partition()}@{message.offset()}" if message.topic() else "the consumer"
    found = broker_errors.named(error, where)
    if isinstance(found, BrokerUnavailable):
        return True
    raise found
