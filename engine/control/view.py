"""Reads the status topic back, to know where the application's other instances keep what: feeds routing's metadata.

One thread with a consumer of its own, outside any group and committing nothing. The composition root creates it beside
the query service. It reads the topic from its beginning (it is compacted) and then follows it.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from engine.control import status
from engine.control.outage import Outage, quiet_log
from engine.control.status import TOPIC, InstanceStatus, StatusError, StatusRecord, StoreStatus, supersedes
from engine.query.metadata import Metadata, Replica

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.25
_RETRY_SECONDS = 2.0
_BATCH = 500


class MetadataFeed:
    """Applies status records of one application to a Metadata; used by the view's thread, or by a test, without Kafka."""

    def __init__(self, application: str, metadata: Metadata) -> None:
        self._prefixes = {f"instance|{application}|".encode(), f"store|{application}|".encode()}
        self._metadata = metadata
        self._newest: dict[str, StatusRecord] = {}
        self.invalid_total = 0

    def apply(self, key: bytes | None, payload: bytes | None, age_ms: int) -> None:
        """Take one message of the topic, written `age_ms` ago."""
        # The prefix is looked at first: other applications' records are not worth their decoding.
        if key is None or not any(key.startswith(prefix) for prefix in self._prefixes):
            return
        if payload is None:
            self._forget(key.decode(errors="replace"))
            return
        try:
            record = status.decode(key, payload)
        except StatusError as error:
            self.invalid_total += 1
            _log.warning("status.invalid %s", error)
            return
        known = self._newest.get(record.key)
        if known is not None and not supersedes(record, known):
            return
        self._newest[record.key] = record
        if isinstance(record, InstanceStatus):
            self._metadata.put_member(
                record.instance, record.address, record.state, record.incarnation, age_ms, record.tasks
            )
        elif isinstance(record, StoreStatus):
            self._metadata.put_copy(
                record.store,
                Replica(
                    record.instance,
                    record.task,
                    record.partition,
                    record.role,
                    record.phase,
                    record.lag,
                    record.position,
                    record.incarnation,
                    record.sequence,
                ),
            )

    def _forget(self, key: str) -> None:
        record = self._newest.pop(key, None)
        if isinstance(record, InstanceStatus):
            self._metadata.drop_member(record.instance)
        elif isinstance(record, StoreStatus):
            self._metadata.drop_copy(record.store, record.task, record.instance)


class StatusView:
    """Follows the status topic until it is stopped."""

    def __init__(
        self,
        application: str,
        metadata: Metadata,
        client: Mapping[str, Any],
        *,
        topic: str = TOPIC,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.feed = MetadataFeed(application, metadata)
        self._topic = topic
        self._on_ready = on_ready
        self._outage = Outage(_log, "status.view_outage", "what other instances report is not heard")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status-view", daemon=True)
        self._client = {
            **client,
            # Required by the client, never joined: partitions are assigned by hand and nothing is committed.
            "group.id": "statehouse-status-view",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 100,
        }

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the consumer is closed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        consumer = Consumer({**self._client, "error_cb": self._outage.on_error}, logger=quiet_log(_log))
        try:
            consumer.assign([TopicPartition(self._topic, 0, 0)])
            while not self._stopping.is_set():
                self._poll(consumer)
        except Exception:  # noqa: BLE001 (a thread's end must be seen)
            _log.exception("status.view_failed: queries are routed by what was known until now")
        finally:
            consumer.close()

    def _poll(self, consumer: Any) -> None:
        try:
            messages = consumer.consume(_BATCH, _POLL_SECONDS)
        except KafkaException as error:
            _log.warning("status.view_retries %s", error)
            self._stopping.wait(_RETRY_SECONDS)
            return
        now_ms = time.time_ns() // 1_000_000
        for message in messages:
            if message.error() is None:
                self._outage.ended()
                self.feed.apply(message.key(), message.value(), max(now_ms - message.timestamp()[1], 0))
            elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its only name)
                self._on_ready()
            else:
                # The topic may not exist yet: an engine creates it within its first half second.
                self._stopping.wait(_POLL_SECONDS)
