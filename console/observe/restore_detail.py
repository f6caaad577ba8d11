"""One restore with everything that was recorded about it: phases, the task's other stores, what happened, who asked for it.

Read-only. Phases are those that the observer saw: one that passes between two reports of an engine is not among them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone

from console.models import Event, Job, Restore
from console.observe import recorded

if TYPE_CHECKING:
    from datetime import datetime

# What an engine reports shortly before and after a restore belongs to it: reports come every half second or two.
_AROUND = timedelta(seconds=5)
_EVENTS_MAX = 50
_JOBS_LOOKED_AT = 50
_OPERATOR = "operator"


def of(restore: int, app: str | None = None) -> dict[str, Any] | None:
    """Return ``{"restore", "phases", "stores", "events", "job"}`` (docs/snapshots.md), or None where there is no such one."""
    row = Restore.objects.filter(pk=restore).first()
    if row is None or app not in {None, row.application_id}:
        return None
    until = row.ended_at or timezone.now()
    return {
        "restore": recorded.restore_of(row),
        "phases": _phases(row, until),
        "stores": [recorded.restore_of(each) for each in _of_the_same_task(row, until)],
        "events": _events(row, until),
        "job": _job(row),
    }


def _phases(row: Restore, until: datetime) -> list[dict[str, Any]]:
    """Return the phases with when each was first seen and how long it lasted (None: nobody saw its end)."""
    seen = row.phases if isinstance(row.phases, list) else []
    if not seen:
        return []
    ends = [each["at"] for each in seen[1:]]
    last_end = recorded.ms(until) if row.outcome != Restore.RUNNING else None
    found = []
    for each, end in zip(seen, [*ends, last_end], strict=True):
        lasted = None if end is None or each["phase"] == "done" else max(end - each["at"], 0)
        found.append({"phase": each["phase"], "at": each["at"], "lasted_ms": lasted})
    return found


def _of_the_same_task(row: Restore, until: datetime) -> list[Restore]:
    """Return the restores of one take-over: those of the task's stores on this instance at the same time, itself included."""
    same = Restore.objects.filter(
        application=row.application_id, task=row.task, instance=row.instance, incarnation=row.incarnation
    )
    overlapping = same.filter(started_at__lte=until).filter(Q(ended_at__isnull=True) | Q(ended_at__gte=row.started_at))
    return list(overlapping.order_by("store", "started_at"))


def _events(row: Restore, until: datetime) -> list[dict[str, Any]]:
    found = Event.objects.filter(
        application=row.application_id, instance=row.instance, at__gte=row.started_at - _AROUND, at__lte=until + _AROUND
    ).filter(Q(task=row.task) | Q(task=""))
    found = found.filter(Q(store=row.store) | Q(store=""))
    return [
        {"at": recorded.ms(each.at), "event": each.event, "message": each.message}
        for each in found.order_by("at", "id")[:_EVENTS_MAX]
    ]


def _job(row: Restore) -> dict[str, Any] | None:
    """Return the rebuild that a restore belongs to: the newest that was under way for this partition when it began."""
    if not row.cause.startswith(_OPERATOR):
        return None
    begun = Job.objects.filter(
        kind="rebuild", application=row.application_id, store=row.store, created_at__lte=row.started_at + _AROUND
    ).filter(Q(ended_at__isnull=True) | Q(ended_at__gte=row.started_at - _AROUND))
    for each in begun.select_related("created_by").order_by("-created_at")[:_JOBS_LOOKED_AT]:
        if row.partition in each.partitions:
            return recorded.job_of(each)
    return None
