"""Reading a stretch of one changelog partition: a plain consumer that is assigned it, read-committed, in no group.

Used by a key's history and by jobs that look at what came after a copy. One thread; use it in a ``with`` statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from console import limits
from console.observe.topic import kafka_settings
from engine import broker_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

_RECORDS = 10_000
_POLL_S = 0.2


class Stopped(Exception):
    """The caller's bound was reached before the end of the stretch."""


class Changelog:
    """One partition of a changelog. Raises ``KafkaException`` when the brokers do not answer."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self._consumer = _consumer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def bounds(self) -> tuple[int, int]:
        """Return the first offset and the last stable one: what a read-committed reader can get to now."""
        place = TopicPartition(self.topic, self.partition)
        begin, end = self._consumer.get_watermark_offsets(place, timeout=limits.KAFKA_TIMEOUT_S)
        return int(begin), int(end)

    def read(self, start: int, end: int, stop: Callable[[], bool]) -> Iterator[Message]:
        """Yield the committed records from ``start`` to before ``end``. Raises ``Stopped`` once ``stop()`` holds.

        Transaction markers and compacted records leave gaps, so the end is a position and never a count. A stretch has
        a consumer of its own: one that is assigned the partition again still says where it was before.
        """
        if start >= end:
            return
        consumer = _consumer()
        try:
            consumer.assign([TopicPartition(self.topic, self.partition, start)])
            place = TopicPartition(self.topic, self.partition)
            while int(consumer.position([place])[0].offset) < end:
                if stop():
                    raise Stopped
                for message in consumer.consume(_RECORDS, _POLL_S):
                    if _failed(message):
                        continue
                    if int(message.offset() or 0) >= end:
                        return
                    yield message
        finally:
            consumer.close()


def _consumer() -> Consumer:
    return Consumer(
        {
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 16 * 1024,
            **kafka_settings(),
            "group.id": "statehouse-read",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "check.crcs": True,
            "allow.auto.create.topics": False,
            "log_level": 2,
        }
    )


def _failed(message: Message) -> bool:
    """Say whether it is not a record; raises for what does not pass by itself."""
    error = message.error()
    if error is None:
        return False
    if error.retriable() or error.code() in {broker_errors.TRANSPORT, broker_errors.ALL_BROKERS_DOWN}:
        return True
    raise KafkaException(error)
