"""Reading the status topic: a plain consumer that is assigned its one partition and starts at the beginning.

No group: each observer reads everything, so there is nothing to commit and nothing to rebalance.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from django.conf import settings

from engine import client_settings
from engine.control import status

if TYPE_CHECKING:
    from confluent_kafka import Message

logger = logging.getLogger(__name__)

_POLL_RECORDS = 2_000
_WATERMARK_TIMEOUT_S = 1.0


def kafka_settings() -> dict[str, str]:
    """Return how to reach the brokers: the address, and what the settings file allows itself (``name=value`` lines, or JSON)."""
    found: dict[str, str] = {}
    if settings.KAFKA_CLIENT_SETTINGS_FILE:
        text = Path(settings.KAFKA_CLIENT_SETTINGS_FILE).read_text(encoding="utf-8")
        found = (
            client_settings.check(json.loads(text)) if text.lstrip().startswith("{") else client_settings.parse(text)
        )
    return {
        **client_settings.of_kind(found, client_settings.CONSUMER),
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
    }


class StatusTopic:
    """Owned by the observer's main thread."""

    def __init__(self, topic: str = status.TOPIC) -> None:
        self._partition = TopicPartition(topic, 0, OFFSET_BEGINNING)
        self._consumer: Consumer | None = None
        self.position = 0
        self.end: int | None = None
        # Whether everything that stood in the topic when it was opened has been read.
        self.loaded = False

    def open(self) -> bool:
        """Start reading at the beginning; False when the brokers answer that there is no such topic yet.

        Raises ``KafkaException`` while the brokers are away.
        """
        self.close()
        consumer = Consumer(
            {
                **kafka_settings(),
                # Required by the client, used for nothing: there is no group.
                "group.id": "statehouse-observer",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "isolation.level": "read_uncommitted",
                "enable.partition.eof": True,
                "check.crcs": True,
                "fetch.wait.max.ms": 100,
                "client.id": "statehouse-observer",
                # One line an outage, not one a retry; `beat` tells that the broker is away.
                "log_level": 2,
                "error_cb": _on_error,
            },
        )
        try:
            metadata = consumer.list_topics(self._partition.topic, timeout=5)
            if metadata.topics[self._partition.topic].error is not None:
                # The first engine creates it. Nothing is there to be read until then.
                consumer.close()
                return False
            _, self.end = consumer.get_watermark_offsets(self._partition, timeout=5)
            consumer.assign([self._partition])
        except BaseException:
            consumer.close()
            raise
        self.position = 0
        self.loaded = False
        self._consumer = consumer
        return True

    def poll(self, timeout_s: float) -> list[Message]:
        """Return the next records, at most 2,000. Raises ``KafkaException`` on what a new consumer may cure."""
        assert self._consumer is not None, "open() first"  # noqa: S101
        messages = self._consumer.consume(_POLL_RECORDS, timeout_s)
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
                self.position = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name
                self.loaded = True
            elif error.code() not in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}:  # noqa: SLF001 - the client's own names
                raise KafkaException(error)
        return good

    def beat(self) -> bool:
        """Ask the broker for the end offset; False when it does not answer (then silence of engines means nothing)."""
        if self._consumer is None:
            return False
        started = time.monotonic()
        try:
            _, self.end = self._consumer.get_watermark_offsets(
                self._partition, timeout=_WATERMARK_TIMEOUT_S, cached=False
            )
        except KafkaException as error:
            logger.info("broker-away after %.1f s: %s", time.monotonic() - started, error)
            return False
        return True

    def close(self) -> None:
        """Release the client."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _on_error(error: KafkaError) -> None:
    logger.debug("kafka-client: %s", error)
