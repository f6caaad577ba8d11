"""The observer's loop: the way of a status record from Kafka to Redis, the database and the sockets, top to bottom.

One thread: poll → apply → ask the broker → check who is silent → judge lag → beat → publish → sample. Each part may be
away for a while (Kafka, Redis, the database); the others go on, and when the part returns the observer recovers by itself.
While Kafka or Redis is away there is no heartbeat, so the pages say "stale".
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING

import redis
from confluent_kafka import KafkaException

from console import limits
from console.lag import history as lag_history
from console.lag.windows import Place, Windows
from console.observe import keys, sizes
from console.observe.history import History
from console.observe.lateness import Lateness
from console.observe.latest import Latest
from console.observe.publish import Publisher
from console.observe.topic import StatusTopic
from engine.control import status

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from console.live.pings import Pinger
    from console.observe.latest import Ending

logger = logging.getLogger(__name__)

_POLL_S = 0.05
_BACKOFF_S = 1.0
_RATE_INTERVAL_MS = 2_000
_FLAPPING_EVERY_MS = 10_000
# An application of which only the topology is left goes from the lists after this long.
_APPLICATION_KEPT_MS = 24 * 3_600_000


class Observer:
    """Owns everything that observation keeps in memory; ``run`` blocks until ``stop`` is set."""

    def __init__(
        self,
        client: redis.Redis,
        pinger: Pinger,
        *,
        topic: StatusTopic | None = None,
        history: History | None = None,
        lateness: Lateness | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.topic = topic or StatusTopic()
        self.latest = Latest()
        self.history = history or History()
        self.lateness = lateness or Lateness()
        self.publisher = Publisher(client, pinger, secrets.token_hex(8))
        self._windows: dict[str, Windows] = {}
        self._tasks_seen: dict[str, dict[str, str]] = {}
        self._documents: dict[str, dict[str, str]] = {}
        self._moves: dict[str, dict[str, deque[int]]] = {}
        self._health_due: set[str] = set()
        # application -> Kafka keys of what has been reported since the last verdicts
        self._unsampled: dict[str, set[str]] = {}
        self._clock_ms = clock_ms
        self._due: dict[str, int] = {}
        self._is_reading = False
        self._is_absent = False
        self._broker_answers = False
        self._was_loaded = False
        self._redis_failed_ms = 0

    def run(self, stop: threading.Event) -> None:
        """Observe until told to stop."""
        self.history.start()
        try:
            while not stop.is_set():
                if not self._is_reading and not self._open():
                    stop.wait(_BACKOFF_S)
                self.step()
        finally:
            self.history.close()
            self.lateness.close()
            self.topic.close()
            try:
                self.publisher.release()
            except redis.RedisError as error:
                logger.info("lock-kept: %s", error)

    def step(self) -> None:
        """Do one turn of the loop."""
        if self._is_reading:
            self._read()
        if self._is_reading and self._every("broker", limits.HEARTBEAT_INTERVAL_MS, self._clock_ms()):
            self._ask_broker()
        now_ms = self._clock_ms()
        if self._is_reading and self._was_loaded:
            self._check_silence(now_ms)
            self._judge(now_ms)
        self._beat_and_publish(now_ms)
        # After the beat, which tells whether another observer samples already: measures of two would all be there twice.
        if self._is_reading and self._was_loaded and not self.publisher.is_spare:
            self._sample(now_ms)

    def take(self, key: bytes | None, value: bytes | None, arrived_ms: int) -> None:
        """Take one record of the topic."""
        record, ended = self.latest.apply(key, value)
        for gone, ending in ended:
            self._ended(gone, ending, arrived_ms)
        if record is None:
            return
        self.history.note(record)
        if isinstance(record, status.TaskStatus | status.StoreStatus):
            self._unsampled.setdefault(record.application, set()).add(record.key)
        if isinstance(record, status.InstanceStatus):
            # Before all has been read, a record may be hours old: its own time says how old.
            seen_ms = arrived_ms if self._was_loaded else min(record.at, arrived_ms)
            if self.lateness.seen(record, seen_ms):
                self._health_due.add(record.application)
        elif isinstance(record, status.TaskStatus) and record.role == "active":
            self._note_owner(record)
        elif isinstance(record, status.TopologyStatus):
            self._tasks_seen.pop(record.application, None)
            self._health_due.add(record.application)

    def _open(self) -> bool:
        self._is_absent = False
        try:
            self._is_reading = self.topic.open()
        except (KafkaException, OSError, ValueError) as error:
            if self._every("open-log", 30_000, self._clock_ms()):
                logger.warning("status-topic-away: %s; trying again", error)
            return False
        # No topic before the first engine: that is an empty list of applications, not an outage.
        self._is_absent = not self._is_reading
        # What was tombstoned while we could not read leaves no trace in the topic, so memory starts anew as well.
        self.latest, self._was_loaded = Latest(), False
        self.publisher.invalidate()
        return self._is_reading

    def _read(self) -> None:
        try:
            messages = self.topic.poll(_POLL_S)
        except KafkaException as error:
            logger.warning("status-topic-lost: %s; reading it again", error)
            self._is_reading = False
            return
        arrived_ms = self._clock_ms()
        for message in messages:
            self.take(message.key(), message.value(), arrived_ms)
        if self.topic.loaded and not self._was_loaded:
            self._was_loaded = True
            # Those who wait for the first heartbeat wait no longer than they must.
            self._due.pop("broker", None)
            self._due.pop("beat", None)
            self.history.reconcile({key for entries in self.latest.apps.values() for key in entries})

    def _ask_broker(self) -> None:
        """Learn the topic's end. Before anything is concluded from silence, and whether or not Redis is there."""
        self._broker_answers = self.topic.beat()
        if not self._broker_answers:
            # Nobody can report while the broker is away, so nobody is late.
            self.lateness.excuse_all(self._clock_ms())

    def _ended(self, record: status.StatusRecord, ending: Ending, at_ms: int) -> None:
        self.history.end(record, ending, at_ms)
        if isinstance(record, status.InstanceStatus) and ending != "replaced":
            self.lateness.forget(record.application, record.instance)
            self._health_due.add(record.application)

    def _note_owner(self, record: status.TaskStatus) -> None:
        seen = self._tasks_seen.setdefault(record.application, {})
        former = seen.get(record.task)
        if former != record.instance:
            if former is not None:
                self._moves.setdefault(record.application, {}).setdefault(record.task, deque(maxlen=20)).append(
                    record.at
                )
            seen[record.task] = record.instance
            self._health_due.add(record.application)

    def _flapping(self, application: str, now_ms: int) -> dict[str, int]:
        """Return the tasks that moved too often lately, with how often; forget moves that are no longer lately."""
        lately = {
            task: deque((at for at in moves if now_ms - at <= limits.FLAPPING_MS), maxlen=moves.maxlen)
            for task, moves in self._moves.pop(application, {}).items()
        }
        if lately := {task: moves for task, moves in lately.items() if moves}:
            self._moves[application] = lately
        return {task: len(moves) for task, moves in lately.items() if len(moves) >= limits.FLAPPING_MOVES}

    def _check_silence(self, now_ms: int) -> None:
        self._health_due |= self.lateness.check(now_ms)
        for application, instance in list(self.lateness.expired(now_ms)):
            for record, ending in self.latest.expire(application, instance):
                self._ended(record, ending, now_ms)
            self.lateness.forget(application, instance)
            self._health_due.add(application)
        if self._every("flapping", _FLAPPING_EVERY_MS, now_ms):
            self._health_due |= set(self._moves)
        for application in self._health_due:
            unreachable = self.lateness.unreachable(application)
            document = {
                "unreachable": {
                    name: {"since": since, "reason": reason} for name, (since, reason) in unreachable.items()
                },
                "owners": self._tasks_seen.get(application, {}),
                "flapping": self._flapping(application, now_ms),
            }
            self._documents.setdefault(application, {})[keys.health(application)] = json.dumps(document)
        self._health_due.clear()

    def _judge(self, now_ms: int) -> None:
        if self._every("verdicts", limits.VERDICT_INTERVAL_MS, now_ms):
            for application, entries in self.latest.apps.items():
                windows = self._windows.setdefault(application, Windows())
                windows.remember(self.history.looks(application))
                keys_of = self._unsampled.pop(application, set())
                windows.sample([entries[key].record for key in keys_of if key in entries], now_ms)
                instances = self.latest.instances(application)
                busy = {name for name, record in instances.items() if record.rates.in_per_second > 0}
                document = windows.judge(now_ms, self._gone(application), busy)
                self._documents.setdefault(application, {})[keys.lag(application)] = json.dumps(document)

    def _sample(self, now_ms: int) -> None:
        rows_last = self._due.get("rows", 0)
        interval_ms = max(limits.LAG_SAMPLE_INTERVAL_MS, rows_last * 1000 // limits.LAG_ROWS_PER_SECOND_MAX)
        if self._every("history", interval_ms, now_ms):
            rows = []
            for application, entries in self.latest.apps.items():
                silent = self.lateness.unreachable(application)
                # The last word of an instance that is gone is not a measure of now.
                windows = self._windows.setdefault(application, Windows())
                rows += lag_history.rows_of(
                    (entry.record for entry in entries.values() if entry.record.instance not in silent),
                    now_ms,
                    lambda place, windows=windows: windows.behind(place, now_ms),  # type: ignore[misc]
                )
            self._due["rows"] = len(rows)
            self.history.sample(rows)
        if self._every("sizes", limits.SIZE_SAMPLE_INTERVAL_MS, now_ms):
            for application, entries in self.latest.apps.items():
                silent = self.lateness.unreachable(application)
                records = (entry.record for entry in entries.values())
                self.history.sample_sizes(sizes.rows_of(application, records, silent, now_ms))

    def _gone(self, application: str) -> set[Place]:
        """Return the places whose active owner is unreachable."""
        silent = self.lateness.unreachable(application)
        gone: set[Place] = set()
        for entry in self.latest.apps[application].values() if silent else ():
            record = entry.record
            if record.instance not in silent:
                continue
            if isinstance(record, status.TaskStatus) and record.role == "active":
                gone |= {("input", each.topic, each.partition) for each in record.inputs}
            elif isinstance(record, status.StoreStatus) and record.role == "active":
                gone.add(("store", record.store, record.partition))
        return gone

    def _beat_and_publish(self, now_ms: int) -> None:
        if now_ms - self._redis_failed_ms < _BACKOFF_S * 1000:
            return
        try:
            if self._every("beat", limits.HEARTBEAT_INTERVAL_MS, now_ms):
                self._beat()
            if (self._was_loaded or self._is_absent) and self._every("flush", limits.FLUSH_INTERVAL_MS, now_ms):
                if self.publisher.flush(self.latest, self._documents, at_ms=now_ms):
                    self._documents = {}
                if self._every("rates", _RATE_INTERVAL_MS, now_ms):
                    self._publish_rates(now_ms)
        except redis.RedisError as error:
            self._redis_failed_ms = now_ms
            self._health_due |= set(self.latest.apps)
            if self._every("redis-log", 30_000, now_ms):
                logger.warning("redis-away: %s; trying again", error)

    def _beat(self) -> None:
        holds_lock = self.publisher.hold_lock()
        knows = self._was_loaded and self._is_reading and self._broker_answers
        if not (knows or self._is_absent) or not holds_lock:
            return
        end = self.topic.end
        self.publisher.heartbeat(
            {
                "at": self._clock_ms(),
                "position": self.topic.position,
                "lag": None if end is None else max(end - self.topic.position, 0),
                "skipped": dict(self.latest.counters),
                "problem": self.history.problem,
            },
        )

    def _publish_rates(self, now_ms: int) -> None:
        for application in list(self.latest.apps):
            silent = self.lateness.unreachable(application)
            instances = self.latest.instances(application)
            reporting = [record for name, record in instances.items() if name not in silent]
            if reporting:
                self.publisher.rate(application, now_ms, sum(record.rates.in_per_second for record in reporting))
            entries = self.latest.apps[application]
            newest = max((entry.record.at for entry in entries.values()), default=0) if not instances else now_ms
            if now_ms - newest > _APPLICATION_KEPT_MS:
                self.publisher.forget(application)
                self._documents.pop(application, None)
                self._windows.pop(application, None)
                self._tasks_seen.pop(application, None)
                self._moves.pop(application, None)
                self._unsampled.pop(application, None)
                self._health_due.discard(application)
                del self.latest.apps[application]

    def _every(self, what: str, interval_ms: int, now_ms: int) -> bool:
        if now_ms - self._due.get(what, 0) < interval_ms:
            return False
        self._due[what] = now_ms
        return True
