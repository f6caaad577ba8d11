"""The latest status of everything, in the observer's memory: what the status topic says now.

Owned by the observer's main thread. Redis and the database are copies of this; it alone decides which record counts
(docs/contracts.md, section 1: the highest incarnation, then sequence, under each key).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from engine.control import status

Ending = Literal["stopped", "replaced", "expired"]
Kept = status.InstanceStatus | status.TopologyStatus | status.TaskStatus | status.StoreStatus


@dataclass(slots=True)
class Entry:
    """One record: decoded, and as it stood in the topic."""

    record: status.StatusRecord
    raw: bytes


@dataclass(slots=True)
class Changes:
    """What happened since the last ``take``: for Redis (keys) and for history (records)."""

    changed: dict[str, set[str]] = field(default_factory=dict)
    removed: dict[str, set[str]] = field(default_factory=dict)


class Latest:
    """Kafka key -> entry, by application, with the changes that have not been published yet."""

    def __init__(self) -> None:
        self.apps: dict[str, dict[str, Entry]] = {}
        self.counters: Counter[str] = Counter()
        self._instances: dict[str, dict[str, status.InstanceStatus]] = {}
        self._pending = Changes()

    def apply(
        self, key: bytes | None, value: bytes | None
    ) -> tuple[status.StatusRecord | None, list[tuple[status.StatusRecord, Ending]]]:
        """Take one record of the topic. Return (the record if it counts, [(records that it ended, how)]).

        Never raises on what the topic holds: bad records are counted by reason and skipped.
        """
        if key is None or len(key) > 1_000:  # noqa: PLR2004 - four names of 200 characters at most
            self.counters["bad_key"] += 1
            return None, []
        if value is None:
            return None, self._tombstone(key)
        try:
            record = status.decode(key, value)
        except status.StatusError as error:
            self.counters["unknown_kind" if "Invalid value" in str(error) and "kind" in str(error) else "invalid"] += 1
            return None, []
        if isinstance(record, status.EventStatus):
            self.apps.setdefault(record.application, {})
            return record, []
        return self._accept(record, value)

    def _accept(
        self, record: Kept, raw: bytes
    ) -> tuple[status.StatusRecord | None, list[tuple[status.StatusRecord, Ending]]]:
        entries = self.apps.setdefault(record.application, {})
        name = record.key
        old = entries.get(name)
        if old is not None and not status.supersedes(record, old.record):
            self.counters["out_of_order"] += 1
            return None, []
        ended = self._replaced(record, entries) if isinstance(record, status.InstanceStatus) else []
        if not isinstance(record, status.InstanceStatus | status.TopologyStatus) and self._is_past(record, entries):
            self.counters["past_life"] += 1
            return None, []
        entries[name] = Entry(record, raw)
        if isinstance(record, status.InstanceStatus):
            self._instances.setdefault(record.application, {})[record.instance] = record
        self._pending.changed.setdefault(record.application, set()).add(name)
        self._pending.removed.get(record.application, set()).discard(name)
        return record, ended

    def instances(self, application: str) -> dict[str, status.InstanceStatus]:
        """Return the instances of an application by name."""
        return dict(self._instances.get(application, {}))

    def expire(self, application: str, instance: str) -> list[tuple[status.StatusRecord, Ending]]:
        """Remove everything that an instance has reported; the topology stays."""
        entries = self.apps.get(application, {})
        keys = [
            key
            for key, entry in entries.items()
            if entry.record.instance == instance and not isinstance(entry.record, status.TopologyStatus)
        ]
        return [(self._remove(application, key).record, "expired") for key in keys]

    def take(self) -> Changes:
        """Return what has changed since the last call."""
        taken, self._pending = self._pending, Changes()
        return taken

    def restore(self, taken: Changes) -> None:
        """Give back changes that could not be published."""
        for application, keys in taken.changed.items():
            alive = self.apps.get(application, {})
            self._pending.changed.setdefault(application, set()).update(key for key in keys if key in alive)
        for application, keys in taken.removed.items():
            alive = self.apps.get(application, {})
            self._pending.removed.setdefault(application, set()).update(key for key in keys if key not in alive)

    def _tombstone(self, key: bytes) -> list[tuple[status.StatusRecord, Ending]]:
        name = key.decode("utf-8", "replace")
        application = name.split("|")[1] if name.count("|") else ""
        if name not in self.apps.get(application, {}):
            return []
        return [(self._remove(application, name).record, "stopped")]

    def _replaced(
        self, record: status.InstanceStatus, entries: dict[str, Entry]
    ) -> list[tuple[status.StatusRecord, Ending]]:
        """Remove what an earlier life of the instance had reported: it can not tombstone that any more."""
        old = entries.get(record.key)
        if old is not None and old.record.incarnation == record.incarnation:
            return []
        keys = [
            key
            for key, entry in entries.items()
            if entry.record.instance == record.instance
            and entry.record.incarnation < record.incarnation
            and not isinstance(entry.record, status.TopologyStatus)
        ]
        return [(self._remove(record.application, key).record, "replaced") for key in keys]

    def _is_past(self, record: status.StatusRecord, entries: dict[str, Entry]) -> bool:
        instance = entries.get(f"instance|{record.application}|{record.instance}")
        return instance is not None and record.incarnation < instance.record.incarnation

    def _remove(self, application: str, key: str) -> Entry:
        entry = self.apps[application].pop(key)
        if isinstance(entry.record, status.InstanceStatus):
            self._instances[application].pop(entry.record.instance, None)
        self._pending.changed.get(application, set()).discard(key)
        self._pending.removed.setdefault(application, set()).add(key)
        return entry
