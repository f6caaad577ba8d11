"""History and jobs as snapshots show them: rows of the database as plain dictionaries. Read-only."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q

from console.jobs import states
from console.lag import verdicts
from console.models import Difference, Event, Job, Ownership, Restore
from console.observe.lives import when

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def ms(at: datetime | None) -> int | None:
    """Return a time as a snapshot has it."""
    return None if at is None else int(at.timestamp() * 1000)


def events(
    app: str, *, event: str | None = None, limit: int = 50, before_ms: int | None = None
) -> list[dict[str, Any]]:
    """Return the newest events."""
    found = Event.objects.filter(application_id=app)
    if event is not None:
        found = found.filter(event=event)
    if before_ms is not None:
        found = found.filter(at__lt=when(before_ms))
    return [
        {
            "at": ms(row.at),
            "event": row.event,
            "instance": row.instance,
            "incarnation": row.incarnation,
            "sequence": row.sequence,
            "task": row.task or None,
            "store": row.store or None,
            "message": row.message,
            "data": row.data,
        }
        for row in found.order_by("-at", "-id")[:limit]
    ]


def ownership(app: str, limit: int = 200) -> list[dict[str, Any]]:
    """Return who had which task, newest first."""
    return [
        {
            "task": row.task,
            "instance": row.instance,
            "role": row.role,
            "since": ms(row.since),
            "until": ms(row.until),
            "reason": row.reason or None,
        }
        for row in Ownership.objects.filter(application_id=app).order_by("-since", "-id")[:limit]
    ]


def restores(
    app: str | None = None,
    *,
    store: str | None = None,
    words: str | None = None,
    outcome: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return recorded restores, newest first.

    ``words`` is a part of the cause, the store, the instance or the application (in any case), or a task; ``outcome`` is
    running, done, interrupted or ended (either of the two); ``before`` is the id of the last one of the page before.
    """
    found = Restore.objects.order_by("-started_at", "-id")
    if words:
        named = Q(cause__icontains=words) | Q(store__icontains=words) | Q(instance__icontains=words)
        found = found.filter(named | Q(application__id__icontains=words) | Q(task=words))
    if outcome == "ended":
        found = found.exclude(outcome=Restore.RUNNING)
    elif outcome:
        found = found.filter(outcome=outcome)
    last = Restore.objects.filter(pk=before).first() if before is not None else None
    if last is not None:
        found = found.filter(Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, pk__lt=last.pk))
    if app is not None:
        found = found.filter(application_id=app)
    if store is not None:
        found = found.filter(store=store)
    return [restore_of(row) for row in found[:limit]]


def with_ids(running: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return live restores with the ids under which they are recorded; None for one that has just begun."""
    if not running:
        return running
    columns = ("application_id", "store", "task", "instance", "started_at", "id")
    known = {}
    for application, store, task, instance, started_at, identity in Restore.objects.filter(
        outcome=Restore.RUNNING
    ).values_list(*columns):
        known[application, store, task, instance, round(started_at.timestamp() * 1000)] = identity
    return [
        each
        | {"id": known.get(tuple(each[name] for name in ("application", "store", "task", "instance", "started_at")))}
        for each in running
    ]


def restore_of(row: Restore) -> dict[str, Any]:
    """Return a recorded restore as a snapshot has it."""
    slots = None if row.snapshot_end is None else row.snapshot_end - row.start_offset
    percent = (
        None
        if slots is None
        else 100.0
        if slots <= 0 or row.outcome == Restore.DONE
        else min(round(100 * (row.position - row.start_offset) / slots, 1), 99.9)
    )
    return {
        "id": row.pk,
        "application": row.application_id,
        "store": row.store,
        "task": row.task,
        "partition": row.partition,
        "instance": row.instance,
        "role": row.role,
        "cause": row.cause or None,
        "phase": row.phase or None,
        "outcome": row.outcome,
        "started_at": ms(row.started_at),
        "ended_at": ms(row.ended_at),
        "duration_ms": int((row.ended_at - row.started_at).total_seconds() * 1000) if row.ended_at else None,
        "start": row.start_offset,
        "position": row.position,
        "snapshot_end": row.snapshot_end,
        "end": row.end_offset,
        "percent": percent,
        "records": row.records,
        "rate_per_second": row.rate_per_second,
        "eta": None,
        "written_since_start": None,
    }


def jobs(
    app: str | None = None,
    *,
    store: str | None = None,
    kind: str | None = None,
    in_states: Sequence[str] | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return jobs, newest first."""
    found = Job.objects.select_related("created_by").order_by("-created_at", "-number")
    wanted = {"application": app, "store": store, "kind": kind}
    found = found.filter(**{key: value for key, value in wanted.items() if value is not None})
    if in_states is not None:
        found = found.filter(state__in=in_states)
    return [job_of(row) for row in found[:limit]]


def differences(
    job_id: str | uuid.UUID,
    *,
    what: str | None = None,
    partition: int | None = None,
    key: str | None = None,
    after: int = -1,
    limit: int | None = 100,
) -> list[dict[str, Any]]:
    """Return the rows that a verify found to differ, in order, behind the ``after``-th; ``key`` is a part of the key's text.

    Without a ``limit`` it is all of them.
    """
    found = Difference.objects.filter(job_id=job_id, ordinal__gt=after).order_by("ordinal")
    if what is not None:
        found = found.filter(what=what)
    if partition is not None:
        found = found.filter(partition=partition)
    if key is not None:
        found = found.filter(key__icontains=key)
    return [
        {
            "ordinal": row.ordinal,
            "partition": row.partition,
            "what": row.what,
            "key": row.key_shown,
            "start": row.start,
            "end": row.end,
            "in_store": row.in_store,
            "in_other": row.in_other,
        }
        for row in (found if limit is None else found[:limit])
    ]


def latest_ended(app: str, store: str, kind: str) -> dict[str, Any] | None:
    """Return the newest job of the kind that has succeeded, whole."""
    found = Job.objects.select_related("created_by").filter(application=app, store=store, kind=kind, state="succeeded")
    row = found.order_by("-ended_at").first()
    return None if row is None else job_of(row)


def job(job_id: str) -> dict[str, Any] | None:
    """Return one job, or None for an id that is none."""
    try:
        wanted = uuid.UUID(str(job_id))
    except ValueError:
        return None
    row = Job.objects.select_related("created_by").filter(pk=wanted).first()
    return None if row is None else job_of(row)


def count_jobs(*in_states: str) -> int:
    """Return how many jobs are in one of the states."""
    return Job.objects.filter(state__in=in_states).count()


def job_counts(app: str | None = None) -> dict[str, int]:
    """Return state -> how many, every state named."""
    found = Job.objects.filter(application=app) if app is not None else Job.objects.all()
    counted = dict(found.values_list("state").annotate(Count("id")))
    return {state: counted.get(state, 0) for state in states.TRANSITIONS}


def job_of(row: Job) -> dict[str, Any]:
    """Return a job as a snapshot has it."""
    end_ms = ms(row.ended_at) or time.time_ns() // 1_000_000
    started_ms = ms(row.started_at)
    progress = {partition: {**each, "percent": _percent(each)} for partition, each in row.progress.items()}
    known = [each["percent"] for each in progress.values()]
    whole = (
        None if not known or None in known or len(known) < len(row.partitions) else round(sum(known) / len(known), 1)
    )
    return {
        "id": str(row.pk),
        "number": row.number,
        "kind": row.kind,
        "application": row.application,
        "store": row.store,
        "partitions": row.partitions,
        "state": row.state,
        "reason": row.reason or None,
        "why": row.why or None,
        "created_by": row.created_by.get_username() if row.created_by else None,
        "created_at": ms(row.created_at),
        "started_at": started_ms,
        "ended_at": ms(row.ended_at),
        "duration_ms": None if started_ms is None else max(end_ms - started_ms, 0),
        "attempts": row.attempts,
        "host": row.queue.removeprefix("host."),
        "dry_run": row.dry_run,
        "progress": progress,
        "percent": 100.0 if row.state == "succeeded" else whole,
        "eta": 0.0 if row.state in states.ENDED else verdicts.slowest(_eta(each) for each in progress.values()),
        "result": row.result,
        "can_cancel": row.state in {"queued", "running"},
    }


def _percent(progress: dict[str, Any]) -> float | None:
    start, position, end = progress.get("start"), progress.get("position"), progress.get("end")
    if progress.get("phase") == "done":
        return 100.0
    if start is None or position is None or end is None:
        return None
    return 99.9 if end <= start else min(round(100 * max(position - start, 0) / (end - start), 1), 99.9)


def _eta(progress: dict[str, Any]) -> verdicts.Eta:
    position, end, rate = progress.get("position"), progress.get("end"), progress.get("rate_per_second")
    if progress.get("phase") == "done":
        return 0.0
    if position is None or end is None or rate is None:
        return None
    left = max(end - position, 0)
    return 0.0 if left == 0 else round(left / rate, 1) if rate > 0 else "never"
