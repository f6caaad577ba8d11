"""What the status topic must still be told: which records changed, which are due again, which keys have ended.

Used by the reporter, on its thread only, and free of Kafka, so that its rules can be tested with a clock of their own.
A key has at most one message under way: during an outage nothing piles up, and the newest state goes out after it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from engine.control import status
from engine.control.status import EventStatus, InstanceStatus, StatusError, StatusRecord

# A reader misses an instance after three of these.
REPEAT_MS = 2_000
# Unchanged tasks and stores are repeated less often where there are many: the repeats of one instance stay below
# 250 a second, whatever it holds.
REPEAT_MS_PER_RECORD = 4
EVENT_KEPT_MS = 10 * 60 * 1_000
EVENTS_MAX = 1_000


@dataclass(slots=True)
class _Sent:
    """What was last handed to the producer under a key."""

    fingerprint: bytes
    at_ms: int
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message to produce; a `payload` of None is a tombstone."""

    key: str
    payload: bytes | None


class Outbox:
    """Turns collected records and queued events into the messages that are due."""

    def __init__(self, application: str, instance: str, incarnation: int) -> None:
        self._application = application
        self._instance = instance
        self._incarnation = incarnation
        self._sequence = 0
        self._sent: dict[str, _Sent] = {}
        # Keys whose tombstone is not delivered yet, with whether one is under way.
        self._ended: dict[str, bool] = {}
        self._events: deque[EventStatus] = deque()
        self._events_under_way: dict[str, EventStatus] = {}
        self._expiring: deque[tuple[int, str]] = deque()
        self.dropped_total = 0

    def add_event(self, event: EventStatus) -> None:
        """Queue an event; the oldest waiting one gives way when there are too many."""
        if len(self._events) >= EVENTS_MAX:
            self._events.popleft()
            self.dropped_total += 1
        self._events.append(event)

    def due(self, records: Iterable[StatusRecord], now_ms: int) -> list[Message]:
        """The messages for the newest `records` (all that this instance reports) at wall-clock `now_ms`."""
        newest = {record.key: record for record in records}
        repeat_ms = max(REPEAT_MS, REPEAT_MS_PER_RECORD * len(newest))
        messages = [message for record in newest.values() for message in self._changed(record, now_ms, repeat_ms)]
        # A topology is shared by the application's instances: none of them may take it away.
        gone = [key for key in self._sent if key not in newest and not key.startswith(("topology|", "event|"))]
        messages += self._tombstones(gone)
        messages += [message for event in self._waiting() for message in self._event(event, now_ms)]
        while self._expiring and self._expiring[0][0] <= now_ms:
            messages.append(Message(self._expiring.popleft()[1], None))
        return messages

    def farewell(self, now_ms: int) -> list[Message]:
        """The messages of a clean end: events still waiting, and a tombstone for everything but the events.

        Events stay: an observer that comes later still reads them, until the topic's retention clears them.
        """
        messages = [message for event in self._waiting() for message in self._event(event, now_ms)]
        self._expiring.clear()
        return messages + self._tombstones([key for key in self._sent if not key.startswith(("topology|", "event|"))])

    def delivered(self, key: str, *, succeeded: bool) -> None:
        """Take the producer's report. What was lost counts as unsent: its newest state goes out with the next round."""
        self.dropped_total += not succeeded
        event = self._events_under_way.pop(key, None)
        if event is not None:
            if not succeeded:
                # With its old sequence number: the observer stores it once, should it have arrived after all.
                self.add_event(event)
        elif key in self._ended:
            self._ended[key] = False
            if succeeded:
                del self._ended[key]
        elif (sent := self._sent.get(key)) is not None:
            sent.under_way = False
            if not succeeded:
                sent.fingerprint = b""

    def _changed(self, record: StatusRecord, now_ms: int, repeat_ms: int) -> list[Message]:
        key = record.key
        fingerprint = msgspec.json.encode(_steady(record))
        sent = self._sent.get(key)
        if sent is not None and sent.under_way:
            return []
        due_ms = REPEAT_MS if isinstance(record, InstanceStatus) else repeat_ms
        if sent is not None and sent.fingerprint == fingerprint and now_ms - sent.at_ms < due_ms:
            return []
        payload = self._stamped(record, now_ms)
        if payload is None:
            return []
        self._ended.pop(key, None)
        self._sent[key] = _Sent(fingerprint, now_ms, under_way=True)
        return [Message(key, payload)]

    def _stamped(self, record: StatusRecord, now_ms: int) -> bytes | None:
        self._sequence += 1
        stamped = msgspec.structs.replace(
            record, incarnation=self._incarnation, sequence=self._sequence, at=record.at or now_ms
        )
        try:
            return status.encode(stamped)
        except StatusError:
            self.dropped_total += 1
            return None

    def _tombstones(self, keys: list[str]) -> list[Message]:
        for key in keys:
            del self._sent[key]
            self._ended[key] = False
        unsent = [key for key, under_way in self._ended.items() if not under_way]
        self._ended.update(dict.fromkeys(unsent, True))
        return [Message(key, None) for key in unsent]

    def _waiting(self) -> list[EventStatus]:
        events = list(self._events)
        self._events.clear()
        return events

    def _event(self, event: EventStatus, now_ms: int) -> list[Message]:
        if not event.sequence:
            self._sequence += 1
            event = msgspec.structs.replace(event, incarnation=self._incarnation, sequence=self._sequence)
            self._expiring.append((now_ms + EVENT_KEPT_MS, event.key))
        try:
            payload = status.encode(event)
        except StatusError:
            self.dropped_total += 1
            return []
        self._events_under_way[event.key] = event
        return [Message(event.key, payload)]


def _steady(record: StatusRecord) -> StatusRecord:
    """The record without the figures that move all the time: alone they are no reason to write twice a second."""
    if isinstance(record, InstanceStatus):
        rates = status.Rates(processed_total=record.rates.processed_total)
        return msgspec.structs.replace(
            record,
            at=0,
            record_ms=0.0,
            rates=rates,
            work=[],
            memory=status.Memory(),
            disk=status.Disk(),
            budgets=[],
            caches=[],
        )
    return msgspec.structs.replace(record, at=0)
