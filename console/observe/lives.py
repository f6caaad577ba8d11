"""How records become rows: one transaction a round. Called by the history thread only.

Applications, lives of instances, restores and ownerships open when a record first shows them and close when a record
says so, or when the record itself goes. What was not seen is not written: gaps stay gaps.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from console.models import Application, Event, Instance, Ownership, Restore
from engine.control import status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from console.observe.latest import Ending

# `last_seen` is for people; writing it at each report would be two writes a second and instance for nothing.
_SEEN_EVERY_MS = 15_000
# A running restore's row is for the history page; the live one reads Redis.
_RESTORE_EVERY_MS = 2_000
# A restore that swings between phases without end is not recorded without end.
_PHASES_MAX = 50
_ROLES = ("active", "standby", "global")
RestoreKey = tuple[str, str, str, str, int, int]

OwnershipKey = tuple[str, str, str, str]


class Writer:
    """Remembers what it has written, so that a record that changes nothing costs no query."""

    def __init__(self) -> None:
        self._applications: dict[str, int] = {}
        self._instances: dict[tuple[str, str, int], int] = {}
        # When each was last written, whether it has ended, and its phases.
        self._restores: dict[RestoreKey, tuple[int, bool, list[dict[str, Any]]]] = {}
        self._owners: dict[str, dict[tuple[str, str, str], int]] = {}

    def write(
        self,
        records: Mapping[str, status.StatusRecord],
        ended: Iterable[tuple[status.StatusRecord, Ending, int]],
        events: list[status.EventStatus],
    ) -> None:
        """Write one round, all or nothing.

        ``records`` holds what was noted after the end of its key, if that ended in this round.
        """
        try:
            with transaction.atomic():
                everything = [*records.values(), *events, *(record for record, _, _ in ended)]
                self._ensure_applications(everything)
                # Ends come first: what was reported again after its end is alive, and had ended by that report's own time.
                for record, ending, at_ms in ended:
                    again = records.get(record.key)
                    self._end(record, ending, at_ms if again is None else min(at_ms, again.at))
                for record in records.values():
                    if isinstance(record, status.InstanceStatus):
                        self._instance(record)
                    elif isinstance(record, status.StoreStatus):
                        self._restore(record)
                self._ownerships([record for record in records.values() if isinstance(record, status.TaskStatus)])
                Event.objects.bulk_create([_event(event) for event in events], ignore_conflicts=True, batch_size=500)
        except BaseException:
            # What was remembered in this round has been rolled back.
            self.__init__()  # type: ignore[misc]
            raise

    def close_open(self, alive: set[str]) -> None:
        """Close what the database still shows as open but no record does: it ended while nobody observed."""
        now = datetime.now(UTC)
        self._owners = {}
        with transaction.atomic():
            for row in Ownership.objects.filter(until__isnull=True):
                if f"task|{row.application_id}|{row.task}|{row.instance}" not in alive:
                    Ownership.objects.filter(pk=row.pk).update(until=now, reason="ended while no observer ran")
            for restore in Restore.objects.filter(outcome=Restore.RUNNING):
                if f"store|{restore.application_id}|{restore.task}|{restore.store}|{restore.instance}" not in alive:
                    Restore.objects.filter(pk=restore.pk).update(outcome=Restore.INTERRUPTED, ended_at=now)
            for instance in Instance.objects.filter(ended_at__isnull=True):
                if f"instance|{instance.application_id}|{instance.name}" not in alive:
                    Instance.objects.filter(pk=instance.pk).update(ended_at=now, ending="unseen")

    def _ensure_applications(self, records: Iterable[status.StatusRecord]) -> None:
        newest: dict[str, int] = {}
        hashes: dict[str, str] = {}
        for record in records:
            newest[record.application] = max(newest.get(record.application, 0), record.at)
            if isinstance(record, status.TopologyStatus):
                hashes[record.application] = record.hash[:128]
        for name, at_ms in newest.items():
            if name not in self._applications:
                Application.objects.get_or_create(
                    id=name, defaults={"first_seen": when(at_ms), "last_seen": when(at_ms)}
                )
            elif at_ms - self._applications[name] < _SEEN_EVERY_MS and name not in hashes:
                continue
            changes = {"topology_hash": hashes[name]} if name in hashes else {}
            Application.objects.filter(id=name).update(last_seen=when(at_ms), **changes)
            self._applications[name] = at_ms

    def _instance(self, record: status.InstanceStatus) -> None:
        key = (record.application, record.instance, record.incarnation)
        if record.at - self._instances.get(key, 0) < _SEEN_EVERY_MS:
            return
        Instance.objects.update_or_create(
            application_id=record.application,
            name=record.instance,
            incarnation=record.incarnation,
            defaults={
                "host": record.host[:200],
                "address": (record.address or "")[:200],
                "pid": record.pid,
                "started_at": when(record.started_at),
                "last_seen": when(record.at),
                "ended_at": None,
                "ending": "",
            },
        )
        self._instances[key] = record.at

    def _ownerships(self, records: list[status.TaskStatus]) -> None:
        """Open what is new and close what it ends; one insert, however many tasks moved."""
        fresh = []
        for record in records:
            known = self._open_ownerships(record.application)
            place = (record.task, record.instance)
            if known.get((*place, record.role)) == record.incarnation:
                continue
            for role in _ROLES:
                if (*place, role) in known:
                    same = role == record.role
                    reason = "the instance started anew" if same else f"became {record.role}"
                    self._close_ownership((record.application, *place, role), record.at, reason)
            known[(*place, record.role)] = record.incarnation
            fresh.append(
                Ownership(
                    application_id=record.application,
                    task=record.task,
                    instance=record.instance,
                    incarnation=record.incarnation,
                    role=record.role,
                    since=when(record.at),
                    reason=record.reason or "",
                )
            )
        # A spare writes history too: what it has opened already is open.
        Ownership.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)

    def _open_ownerships(self, application: str) -> dict[tuple[str, str, str], int]:
        """Return (task, instance, role) -> incarnation of what stands open, read from the database once."""
        if application not in self._owners:
            rows = Ownership.objects.filter(application_id=application, until__isnull=True)
            self._owners[application] = {
                (task, instance, role): incarnation
                for task, instance, role, incarnation in rows.values_list("task", "instance", "role", "incarnation")
            }
        return self._owners[application]

    def _close_ownership(self, key: OwnershipKey, at_ms: int, reason: str) -> None:
        application, task, instance, role = key
        incarnation = self._open_ownerships(application).pop((task, instance, role), None)
        if incarnation is None:
            return
        Ownership.objects.filter(
            application_id=application,
            task=task,
            instance=instance,
            incarnation=incarnation,
            role=role,
            until__isnull=True,
        ).update(until=when(at_ms), reason=reason)

    def _end_ownerships(self, record: status.TaskStatus, at_ms: int, reason: str) -> None:
        """Close what the instance had of the task, in whatever role it was last written; what a later life has goes on."""
        known = self._open_ownerships(record.application)
        for role in _ROLES:
            incarnation = known.get((record.task, record.instance, role))
            if incarnation is not None and incarnation <= record.incarnation:
                self._close_ownership((record.application, record.task, record.instance, role), at_ms, reason)

    def _restore(self, record: status.StoreStatus) -> None:
        if record.restore_started_at is None:
            return
        key = (
            record.application,
            record.store,
            record.task,
            record.instance,
            record.incarnation,
            record.restore_started_at,
        )
        written_at, is_done, phases = self._restores.get(key) or (0, False, self._known_phases(key))
        done = record.restore_ended_at is not None
        phase = "done" if done else record.phase
        is_new = not phases or phases[-1]["phase"] != phase
        if is_done or (not done and not is_new and record.at - written_at < _RESTORE_EVERY_MS):
            return
        if is_new and len(phases) < _PHASES_MAX:
            phases = [*phases, {"phase": phase, "at": record.restore_ended_at if done else record.at}]
        Restore.objects.update_or_create(
            application_id=record.application,
            store=record.store,
            task=record.task,
            instance=record.instance,
            incarnation=record.incarnation,
            started_at=when(record.restore_started_at),
            defaults={
                "partition": record.partition,
                "role": record.role,
                "cause": record.cause or "",
                "phase": record.phase,
                "start_offset": record.start or 0,
                "snapshot_end": record.snapshot_end,
                "records": record.restored_records,
                "rate_per_second": _rate(record),
                "outcome": Restore.DONE if done else Restore.RUNNING,
                "ended_at": when(record.restore_ended_at) if record.restore_ended_at is not None else None,
                # After the end the position goes on with the task's own writes: the restore ended where it was meant to.
                "position": (record.snapshot_end if done else record.position) or 0,
                "end_offset": record.end,
                "phases": phases,
            },
        )
        self._restores[key] = (record.at, done, phases)

    def _known_phases(self, key: RestoreKey) -> list[dict[str, Any]]:
        """Return what an observer before this one has recorded."""
        application, store, task, instance, incarnation, started_at = key
        found = Restore.objects.filter(
            application=application,
            store=store,
            task=task,
            instance=instance,
            incarnation=incarnation,
            started_at=when(started_at),
        ).values_list("phases", flat=True)
        return list(found[0]) if found else []

    def _end(self, record: status.StatusRecord, ending: Ending, at_ms: int) -> None:
        if isinstance(record, status.InstanceStatus):
            self._instances.pop((record.application, record.instance, record.incarnation), None)
            Instance.objects.filter(
                application_id=record.application,
                name=record.instance,
                incarnation=record.incarnation,
                ended_at__isnull=True,
            ).update(ended_at=when(at_ms), ending=ending)
        elif isinstance(record, status.TaskStatus):
            self._end_ownerships(record, at_ms, _REASONS[ending])
        elif isinstance(record, status.StoreStatus) and record.restore_started_at is not None:
            if record.restore_ended_at is not None:
                # Its last word may have come in the same round as its end, and then nobody has written it.
                self._restore(record)
            Restore.objects.filter(
                application_id=record.application,
                store=record.store,
                task=record.task,
                instance=record.instance,
                incarnation=record.incarnation,
                outcome=Restore.RUNNING,
            ).update(outcome=Restore.INTERRUPTED, ended_at=when(at_ms))


_REASONS: dict[str, str] = {
    "stopped": "given up",
    "replaced": "the instance started anew",
    "expired": "the instance fell silent",
}


def when(at_ms: int) -> datetime:
    """Return the time of a status record; what no clock can show is taken as the nearest that it can."""
    return datetime.fromtimestamp(min(max(at_ms, 0), 253_402_300_000_000) / 1000, UTC)


def _rate(record: status.StoreStatus) -> float | None:
    """Return the whole restore's rate once it has ended, the reported one before."""
    if record.restore_ended_at is None or record.restore_started_at is None:
        return record.rate_per_second
    took_ms = record.restore_ended_at - record.restore_started_at
    return record.restored_records / (took_ms / 1000) if took_ms > 0 else record.rate_per_second


def _event(record: status.EventStatus) -> Event:
    return Event(
        application_id=record.application,
        instance=record.instance,
        incarnation=record.incarnation,
        sequence=record.sequence,
        at=when(record.at),
        event=record.event[:60],
        task=record.task or "",
        store=record.store or "",
        message=record.message,
        data=record.data,
    )
