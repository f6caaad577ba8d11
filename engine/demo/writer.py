"""Writes the demo's records exactly once, whatever ends: the writer, its broker, or both.

How far the writer has come is committed as an offset of its own group, in the transaction that has the records: both are
there or neither is. An idempotent producer alone would not do: a broker that restarts forgets the sequence numbers of
producers whose last record is older than `producer.id.expiration.ms` by its own time, and takes a repeated batch for new.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from engine import broker_errors
from engine.changelog.restore import holds_records
from engine.errors import BrokerUnavailable
from engine.runtime.bounded_call import BoundedCalls

NAME = "statehouse-demo-feeder"
# A transaction is committed after so much, whichever comes first: followers see nothing of it before.
COMMIT_SECONDS = 0.1
COMMIT_RECORDS = 20_000
CALL_SECONDS = 5.0
# Of a writer that was killed: its successor does not wait for it, readers do.
TRANSACTION_SECONDS = 30.0
ROOM_SECONDS = 1.0

Place = tuple[str, int]


class Writer:
    """One writer at a time: a second one fences the first. One thread.

    `sent` has for each partition how many records it holds, those of the open transaction included; `note` is a word that
    is committed with them. After a KafkaException, or BrokerUnavailable, call `open` again: it goes back to what was
    committed.
    """

    def __init__(self, client: Mapping[str, Any], places: Iterable[Place]) -> None:
        # After an absence of the broker librdkafka's own 10 s would be most of the time until it is heard again.
        self._client = {"reconnect.backoff.max.ms": 1_000, **client}
        self._places = list(places)
        self._producer: Producer
        self._group: Any = None
        self._calls = BoundedCalls()
        self._open = False
        self._count = 0
        self._changed: set[Place] = set()
        self._committed_at = 0.0
        self.sent: dict[Place, int] = {}
        self.note = ""

    def open(self) -> None:
        """Take over from whoever wrote before, and learn how far that was. Raises BrokerUnavailable, KafkaException."""
        self._producer = Producer(
            {
                **self._client,
                "transactional.id": NAME,
                "transaction.timeout.ms": int(TRANSACTION_SECONDS * 1000),
                "linger.ms": 20,
                "compression.type": "lz4",
            }
        )
        self._producer.init_transactions(CALL_SECONDS)
        self._done()
        consumer = Consumer({**self._client, "group.id": NAME, "enable.auto.commit": False})
        try:
            found = consumer.committed([TopicPartition(*place) for place in self._places], CALL_SECONDS)
            for place in found:
                if place.error is not None:
                    raise KafkaException(place.error)
            known = [place for place in found if place.offset >= 0]
            self.sent = {(place.topic, place.partition): max(place.offset, 0) for place in found}
            self.note = next((place.metadata for place in known if place.metadata), "")
            self._group = consumer.consumer_group_metadata()
            for place in found:
                if place.offset < 0:
                    self._refuse_unknown(consumer, (place.topic, place.partition))
        finally:
            consumer.close()

    def _refuse_unknown(self, consumer: Consumer, place: Place) -> None:
        begin, end = consumer.get_watermark_offsets(TopicPartition(*place), CALL_SECONDS)
        # Those of a transaction that was aborted are none.
        if end > begin and holds_records(self._client, place, begin, end):
            raise BrokerUnavailable(
                f"{place[0]}-{place[1]} has records, and group {NAME} no longer knows how many: its offsets expired or were "
                "deleted. Delete the demo's topics, or its data directory, to begin anew"
            )

    def send(self, place: Place, key: bytes, value: bytes, timestamp: int) -> None:
        """Queue a record; blocks while the queue is full."""
        if not self._open:
            self._producer.begin_transaction()
            self._open, self._committed_at = True, time.monotonic()
        while True:
            try:
                self._producer.produce(place[0], value, key, place[1], timestamp=timestamp)
            except BufferError:
                self._producer.poll(ROOM_SECONDS)
            else:
                break
        self.sent[place] += 1
        self._changed.add(place)
        self._count += 1
        if self._count >= COMMIT_RECORDS:
            self.commit()

    def wait(self, seconds: float) -> None:
        """Let time pass; what is due is committed."""
        if self._open and time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self.commit()
        self._producer.poll(0)
        time.sleep(seconds)

    def commit(self) -> None:
        """Make what was sent visible, and how much that was. Nothing is, if this raises KafkaException."""
        if not self._open:
            return
        positions = [TopicPartition(*place, self.sent[place], metadata=self.note) for place in self._changed]
        producer, group = self._producer, self._group

        def send_offsets() -> None:
            producer.send_offsets_to_transaction(positions, group, CALL_SECONDS)

        # The client heeds no timeout there once it has lost its coordinator.
        self._until_done(lambda: self._calls.call(send_offsets, CALL_SECONDS, "positions could not be committed"))
        self._until_done(lambda: producer.commit_transaction(CALL_SECONDS))
        self._done()

    def _done(self) -> None:
        self._open, self._count = False, 0
        self._changed.clear()

    @staticmethod
    def _until_done(call: Callable[[], None]) -> None:
        """Call again for as long as the client says that this goes on where it was."""
        deadline = time.monotonic() + TRANSACTION_SECONDS
        while True:
            try:
                call()
            except KafkaException as error:
                found = broker_errors.cause(error)
                if (
                    not broker_errors.passes(found)
                    or found.fatal()
                    or found.txn_requires_abort()
                    or time.monotonic() > deadline
                ):
                    raise
            else:
                return
