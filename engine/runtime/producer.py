"""The one producer of an instance: sinks, repartition topics and changelogs go through it, in one transaction.

Owner: the loop; its thread only. Between the tasks and the broker in a record's way. `send` is the collector that tasks
are given. What a topic would refuse is handed to `refused` before it enters a transaction (`outputs`). Below it are the
`transaction`, which a commit ends, and the `delivery`, which knows what became of what was queued.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import length_hint
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from engine import broker_errors, client_settings
from engine.config import EngineConfig
from engine.errors import BrokerUnavailable, Fatal, ProductionError
from engine.runtime.aborts import TransactionAborted
from engine.runtime.delivery import Delivery
from engine.runtime.outputs import Outputs
from engine.runtime.transaction import Transaction

ANY_PARTITION = -1
# Records that may wait for the broker before `produce` refuses more: half a second at full speed.
QUEUE_RECORDS_MAX = 200_000
QUEUE_KBYTES_MAX = 256 * 1024
BATCH_BYTES_MAX = 1024 * 1024
# librdkafka's own default.
MESSAGE_BYTES_MAX = 1_000_000
COMPRESSION = {"compression.codec", "compression.type"}
# How long to wait for room in the queue in one go; every round serves delivery reports.
ROOM_SECONDS = 0.05
METADATA_SECONDS = 10.0
# `produce` says so when the transaction, or the whole client, has ended behind our back.
_ENDED = {broker_errors.STATE, broker_errors.FENCED, broker_errors.FATAL}
# What becomes of a record that its topic does not take: topic, key, value, timestamp, headers, why. Raises to stop.
Refused = Callable[[str, bytes | None, bytes | None, int, Any, ProductionError], None]


class Producer:
    """A producer with the guarantee of `config`. Making one waits for the brokers, until `stopped`."""

    def __init__(
        self,
        config: EngineConfig,
        client: Mapping[str, Any],
        transactional_id: str,
        outputs: Outputs,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._outputs = outputs
        self.refused: Refused = _stop
        self._settings = _settings(config, client, transactional_id)
        self._message_bytes_max = int(self._settings["message.max.bytes"])
        # A compressed record's size is not known here: then the broker says first which topic has one too large.
        self._delivery = Delivery(outputs, judges_size=not COMPRESSION & set(self._settings))
        self.transaction = Transaction(config, self._settings, outputs, self._delivery, stopped)
        self._counts: dict[str, int] = {}
        self.records_total = 0

    def send(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Any] | None = None,
        partitions: Sequence[int | None] | None = None,
    ) -> None:
        """Queue records; a None partition means murmur2 of the key. Waits while the queue is full.

        What the topic does not take goes to `refused`, which raises, or returns so that the record is skipped.
        """
        if not keys:
            return
        self.transaction.begin()
        now_ms = time.time_ns() // 1_000_000
        limits = self._outputs.of(topic)
        bytes_from = self._message_bytes_max if self._delivery.judges_size else 0
        if not limits.takes_all(keys, values, timestamps, headers, now_ms, bytes_from):
            rows = zip(keys, values, timestamps, headers or [None] * len(keys), strict=True)
            why = [limits.refusal(*row, now_ms, bytes_from) for row in rows]
            if any(why):
                self._sift(topic, why, keys, values, timestamps, headers, partitions)
                return
        self.records_total += len(keys)
        if headers is None and partitions is None:
            self._produce_columns(topic, ANY_PARTITION, keys, values, timestamps, self.refused)
            return
        count = len(keys)
        every_header = headers if headers is not None else [None] * count
        every_partition = partitions if partitions is not None else [None] * count
        for key, value, at, header, partition in zip(
            keys, values, timestamps, every_header, every_partition, strict=True
        ):
            place = ANY_PARTITION if partition is None else partition
            self._send_one(topic, value, key, place, None, at, header, self.refused)

    def _sift(
        self,
        topic: str,
        why: Sequence[ProductionError | None],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Any] | None,
        partitions: Sequence[int | None] | None,
    ) -> None:
        """Send what the topic takes, and hand the rest to the handler."""
        taken = [row for row, error in enumerate(why) if error is None]
        for row, error in enumerate(why):
            if error is not None:
                header = None if headers is None else headers[row]
                self.refused(topic, keys[row], values[row], timestamps[row], header, error)

        def chosen(column: Sequence[Any]) -> list[Any]:
            return [column[row] for row in taken]

        self.send(
            topic,
            chosen(keys),
            chosen(values),
            chosen(timestamps),
            None if headers is None else chosen(headers),
            None if partitions is None else chosen(partitions),
        )

    def _produce_columns(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        refused: Refused,
    ) -> None:
        """Produce parallel columns. `map` calls `produce` from C: a loop's own steps would cost half as much again."""
        if 0 in timestamps:
            # librdkafka takes time 0 for "now".
            timestamps = [at or 1 for at in timestamps]
        start, count = 0, len(values)
        while start < count:
            rest = iter(values[start:] if start else values)
            columns = (keys[start:], timestamps[start:]) if start else (keys, timestamps)
            calls = map(
                self.transaction.client.produce,
                repeat(topic),
                rest,
                columns[0],
                repeat(partition),
                repeat(None),
                repeat(None),
                columns[1],
            )
            try:
                deque(calls, 0)
            except BufferError:
                # The iterator has passed the record that found no room.
                start = count - length_hint(rest) - 1
                self._delivery.serve(self.transaction.client.poll, ROOM_SECONDS)
                self._delivery.raise_failure()
            except KafkaException as error:
                row = count - length_hint(rest) - 1
                self._refuse(error, topic, keys[row], values[row], timestamps[row], None, refused)
                start = row + 1
            else:
                return

    def send_changelog(
        self,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes, bytes | None, int]],
        acked: Callable[[int], None],
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> None:
        """Queue the records of one changelog partition; `acked` gets the offset of the last one once it is delivered.

        Within a partition records arrive in order, so the last one's offset tells where all of them are. `headers` go
        with every record but tombstones. A timestamp of None is the time at which the record is sent.
        """
        if not records:
            return
        self.transaction.begin()
        self.records_total += len(records)
        *rest, last = records
        if headers or last[2] is None:
            # A buffer's changelog: few records, each as the time of its sending and the format's headers want it.
            for key, value, at in rest:
                self._send_one(topic, value, key, partition, None, at, None if value is None else headers, _stop)
        elif rest:
            keys, values, times = zip(*rest, strict=True)
            self._produce_columns(topic, partition, keys, values, times, _stop)

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                acked(message.offset())
            else:
                self._delivery.on_delivery(error, message)

        key, value, at = last
        self._send_one(topic, value, key, partition, delivered, at, None if value is None else headers, _stop)

    def _send_one(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        callback: Callable[..., None] | None,
        at: int | None,
        headers: Any,
        refused: Refused,
    ) -> None:
        # librdkafka takes time 0 for "now".
        sent_at = 0 if at is None else at or 1
        while True:
            try:
                if headers:
                    self.transaction.client.produce(
                        topic, value, key, partition, callback, None, sent_at, list(headers)
                    )
                else:
                    self.transaction.client.produce(topic, value, key, partition, callback, None, sent_at)
            except BufferError:
                # Back-pressure: the loop stands still until the broker has taken some.
                self._delivery.serve(self.transaction.client.poll, ROOM_SECONDS)
                self._delivery.raise_failure()
            except KafkaException as error:
                self._refuse(error, topic, key, value, sent_at, headers, refused)
                return
            else:
                return

    def _refuse(
        self,
        error: KafkaException,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        at: int,
        headers: Any,
        refused: Refused,
    ) -> None:
        """React to what `produce` says: ask the handler about a record that the client does not take, raise the rest."""
        code = broker_errors.cause(error).code()
        if code == KafkaError.MSG_SIZE_TOO_LARGE:
            # The client looks before it queues a record: it is in no transaction.
            size = len(key or b"") + len(value or b"")
            why = f"it has {size:,} bytes, and the client's message.max.bytes is {self._message_bytes_max:,}"
            refused(topic, key, value, at, headers, ProductionError(f"{why}: raise it with client_settings"))
            return
        if code in _ENDED and self.transaction.required:
            self.transaction.ask_why()
            raise TransactionAborted(
                f"the transaction ended while records for {topic} were sent: {error.args[0].str()}"
            ) from error
        if code == broker_errors.FATAL:
            self._delivery.fatal = broker_errors.cause(error)
            self._delivery.raise_failure()
        raise broker_errors.named(error, f"a record for topic {topic} was refused") from error

    # -- delivery -----------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Serve delivery reports without waiting."""
        self._delivery.serve(self.transaction.client.poll, 0)

    def flush(self) -> None:
        """Wait until the broker has taken everything; raises what went wrong on the way."""
        deadline = time.monotonic() + self._config.max_poll_interval_ms / 1000
        while self._delivery.serve(self.transaction.client.flush, 0.5) > 0:
            self._delivery.raise_failure()
            if time.monotonic() > deadline:
                raise BrokerUnavailable(
                    f"{len(self.transaction.client)} records were not taken by the brokers: are they up?"
                )
        self._delivery.raise_failure()

    def close(self) -> None:
        """Leave; an open transaction is aborted so that readers need not wait for its timeout."""
        self.transaction.close()

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has; asked for once."""
        if topic not in self._counts:
            try:
                found = self.transaction.client.list_topics(topic, METADATA_SECONDS).topics[topic]
            except KafkaException as error:
                raise broker_errors.named(error, f"the partitions of topic {topic} could not be read") from error
            if found.error is not None:
                raise broker_errors.named(found.error, f"the partitions of topic {topic} could not be read")
            self._counts[topic] = len(found.partitions)
        return self._counts[topic]


def _stop(topic: str, key: bytes | None, value: bytes | None, _at: int, _headers: Any, error: ProductionError) -> None:
    """A changelog's record is never skipped: its store would hold what the changelog does not."""
    raise Fatal(
        f"topic {topic} does not take a record (key of {len(key or b''):,} bytes, value of {len(value or b''):,} bytes): "
        f"{error}. Raise max.message.bytes of the topic too, or keep smaller values"
    ) from error


def _settings(config: EngineConfig, client: Mapping[str, Any], transactional_id: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
        "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
        "linger.ms": 20,
        "batch.size": BATCH_BYTES_MAX,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        **client_settings.of_kind(config.client_settings, client_settings.PRODUCER),
        **client,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
    }
    settings["batch.size"] = int(settings["batch.size"])
    if config.exactly_once:
        settings["transactional.id"] = transactional_id
        settings["transaction.timeout.ms"] = config.transaction_timeout
    return settings
