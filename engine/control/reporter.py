"""Writes an instance's status to the topic `statehouse-status`, in a thread and with a producer of its own.

The composition root creates one reporter per instance. `collect` is called on the *reporter's* thread, not the loop's:
a loop that is busy with one slow record must still be seen alive. It must therefore be cheap and thread-safe, reading
only values that the loop publishes whole (numbers, frozen records), and must never wait for the loop.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from engine import broker_errors
from engine.control.outage import Outage, quiet_log
from engine.control.outbox import EVENTS_MAX, Message, Outbox
from engine.control.status import TOPIC, EventStatus, StatusRecord
from engine.control.topic import ensure_topic

_log = logging.getLogger(__name__)
# Twice a second is what a page needs to look live.
_ROUND_SECONDS = 0.5
# How long a clean end waits for its tombstones; a reader's age limit does the rest.
_FAREWELL_SECONDS = 3.0
# A try at the topic's creation blocks up to its own bound; between tries the cluster gets a rest.
_TOPIC_RETRY_SECONDS = 5.0
_PRODUCER = {
    # A key has one message under way, and a repeated one says the same again: what idempotence adds here is an error after
    # which a producer is good for nothing.
    "enable.idempotence": False,
    "linger.ms": 5,
    "compression.type": "lz4",
    # Status older than this is worth nothing: it is replaced by the newest once the broker is back.
    "message.timeout.ms": 10_000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 32 * 1024,
}


class StatusReporter:
    """Reports until it is stopped. All public methods are thread-safe and none waits for a broker, except `stop`.

    `client` are librdkafka settings (`bootstrap.servers`, security); `incarnation` is the instance's start in ms.
    """

    def __init__(
        self,
        application: str,
        instance: str,
        incarnation: int,
        collect: Callable[[], Sequence[StatusRecord]],
        client: Mapping[str, Any],
        *,
        topic: str = TOPIC,
        replication_factor: int = -1,
    ) -> None:
        self._application = application
        self._instance = instance
        self._collect = collect
        self._client = dict(client)
        self._topic = topic
        self._replication_factor = replication_factor
        self._outbox = Outbox(application, instance, incarnation)
        self._outage = Outage(_log, "status.outage", "the brokers take no status")
        self._events: deque[EventStatus] = deque(maxlen=EVENTS_MAX)
        self._overflowed = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._clean = False
        self._has_topic = False
        self._retry_topic_at = 0.0
        self._thread = threading.Thread(target=self._run, name="status-reporter", daemon=True)
        self.collect_failures_total = 0
        self._latest: Sequence[StatusRecord] = ()

    @property
    def dropped_total(self) -> int:
        """Messages that were lost or could not be queued."""
        return self._outbox.dropped_total + self._overflowed

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def event(self, kind: str, message: str, *, task: str | None = None, store: str | None = None, **data: Any) -> None:
        """Report something that happened once, soon. `kind` as in docs/contracts.md; `message` in words."""
        if len(self._events) == EVENTS_MAX:
            self._overflowed += 1
        self._events.append(
            EventStatus(
                application=self._application,
                instance=self._instance,
                event=kind,
                message=message[:4_000],
                task=task,
                store=store,
                data=data,
                at=time.time_ns() // 1_000_000,
            )
        )
        self.nudge()

    def nudge(self) -> None:
        """Report now instead of within half a second: call it when tasks were assigned, revoked or became ready."""
        self._wake.set()

    def latest(self) -> Sequence[StatusRecord]:
        """The records of the last round, for `/v1/instance`."""
        return self._latest

    def stop(self, *, clean: bool = True) -> None:
        """End reporting; a clean end takes the instance's records off the topic, which waits a few seconds at most."""
        self._clean = clean
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_FAREWELL_SECONDS + _ROUND_SECONDS + 10)

    def _run(self) -> None:
        producer = Producer({**self._client, **_PRODUCER, "error_cb": self._outage.on_error}, logger=quiet_log(_log))
        while not self._stopping.is_set():
            started = time.monotonic()
            self._guarded_round(producer)
            self._wake.wait(max(_ROUND_SECONDS - (time.monotonic() - started), 0.02))
            self._wake.clear()
        if not self._clean:
            # The last word of an instance that fails is what it failed with; nothing older may be under way then.
            producer.flush(_FAREWELL_SECONDS)
            self._guarded_round(producer)
        elif self._has_topic:
            self._take_events()
            for message in self._outbox.farewell(_now_ms()):
                self._send(producer, message)
        producer.flush(_FAREWELL_SECONDS)

    def _guarded_round(self, producer: Producer) -> None:
        try:
            self._round(producer)
        except Exception:  # noqa: BLE001 (one failed report must not end them: the instance would seem dead)
            self.collect_failures_total += 1
            _log.exception("status.round_failed")

    def _round(self, producer: Producer) -> None:
        # First, so that what was delivered or lost since the last round is known to this one.
        producer.poll(0)
        self._take_events()
        self._latest = records = self._collect()
        if not self._topic_exists():
            return
        for message in self._outbox.due(records, _now_ms()):
            self._send(producer, message)
        producer.poll(0)

    def _take_events(self) -> None:
        while self._events:
            self._outbox.add_event(self._events.popleft())

    def _topic_exists(self) -> bool:
        if self._has_topic or time.monotonic() < self._retry_topic_at:
            return self._has_topic
        try:
            ensure_topic(AdminClient(self._client, logger=quiet_log(_log)), self._topic, self._replication_factor)
            self._has_topic = True
        except KafkaException as error:
            self._retry_topic_at = time.monotonic() + _TOPIC_RETRY_SECONDS
            _log.warning("status.topic_unavailable %s: %s; trying again", self._topic, error)
        return self._has_topic

    def _send(self, producer: Producer, message: Message) -> None:
        def delivered(error: KafkaError | None, _message: Any, key: str = message.key) -> None:
            self._outbox.delivered(key, succeeded=error is None)
            if error is None:
                self._outage.ended()
            else:
                self._failed(error)

        try:
            producer.produce(self._topic, message.payload, message.key, partition=0, on_delivery=delivered)
        except BufferError:
            # The queue is full, as it is after a long outage: this state is dropped, a newer one follows.
            self._outbox.delivered(message.key, succeeded=False)
        except KafkaException as error:
            self._outbox.delivered(message.key, succeeded=False)
            self._failed(broker_errors.cause(error))

    def _failed(self, error: KafkaError) -> None:
        if error.code() in broker_errors.UNKNOWN:
            # Deleted under way: it is made again.
            self._has_topic = False
        self._outage.failed(error.str())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
