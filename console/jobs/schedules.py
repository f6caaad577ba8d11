"""Schedules: jobs that come again. Made, paused, resumed, run and deleted here; beat runs what is due.

A run makes one job for each host that has partitions (one where the kind runs on the console's host), with ids that follow
from the schedule, the time that was due and the host: however often a run is delivered, or dies half-way, its jobs are
made once. A run whose store is busy, or that cannot run, is skipped and says so; the next one tries again. It runs as its
maker, whose rights are looked at each time.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

from celery import shared_task
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from console import limits
from console.access import audit, policy
from console.jobs import commands, cron
from console.jobs.commands import Refused
from console.jobs.kinds import KINDS
from console.models import Job, Schedule
from console.observe import store_shapes
from console.observe.board import reader

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

# A snapshot's offset or time would be the same each time, so it is not a thing to repeat.
REPEATED = ("compact", "verify", "rebuild", "export")
# More than this many minutes late, a run is left out: what was due at night must not begin in the morning's rush.
_LATE_SECONDS_MAX = 3600
_SCHEDULES_MAX = 500


def create(
    user: User,
    *,
    kind: str,
    application: str,
    store: str,
    partitions: list[int],
    when: str,
    why: str = "",
    arguments: dict[str, Any] | None = None,
    via: str,
    address: str = "",
) -> Schedule:
    """Make a schedule; no ``partitions`` means all that there are whenever it runs. Raises ``PermissionDenied``, ``Refused``."""
    if kind not in REPEATED:
        raise Refused("bad-request", f"{kind!r} is not repeated. Use one of {', '.join(REPEATED)}.")
    policy.demand(user, kind, application, store)
    try:
        due = cron.parse(when).after(timezone.now())
    except cron.BadCron as error:
        raise Refused("bad-request", str(error)) from error
    known = _partitions(application, store)
    commands.check(kind, application, store, partitions or known or [0])
    commands.check_arguments(kind, arguments or {})
    absent = sorted(set(partitions) - set(known))
    if not known or absent:
        what = f"store {store!r} of {application}" if not known else f"partition {absent[0]} of {store}"
        raise Refused("not-found", f"Nobody has reported a {what}.")
    if Schedule.objects.count() >= _SCHEDULES_MAX:
        raise Refused("conflict", f"There are {_SCHEDULES_MAX} schedules already. Delete some.")
    asked = {"kind": kind, "partitions": partitions, "cron": when, "arguments": arguments or {}, "why": why}
    with transaction.atomic():
        made = Schedule.objects.create(
            kind=kind,
            application=application,
            store=store,
            partitions=sorted(partitions),
            arguments=arguments or {},
            cron=when.strip(),
            why=why[: limits.WHY_CHARACTERS_MAX],
            created_by=user,
            next_at=due,
        )
        _audit(user, "create-schedule", made, via, address, **asked)
    return made


def find(user: User, schedule_id: str) -> Schedule:
    """Return one that the user may change, or raise ``Refused`` (not-found), ``PermissionDenied``."""
    try:
        found = Schedule.objects.select_related("created_by").filter(pk=uuid.UUID(str(schedule_id))).first()
    except ValueError:
        found = None
    if found is None:
        raise Refused("not-found", f"There is no schedule {str(schedule_id)[:60]}.")
    policy.demand(user, found.kind, found.application, found.store)
    return found


def pause(user: User, schedule_id: str, *, via: str, address: str = "") -> Schedule:
    """Let it rest until it is resumed."""
    found = find(user, schedule_id)
    with transaction.atomic():
        _audit(user, "pause-schedule", found, via, address)
        Schedule.objects.filter(pk=found.pk).update(next_at=None)
    found.refresh_from_db()
    return found


def resume(user: User, schedule_id: str, *, via: str, address: str = "") -> Schedule:
    """Let it run again, from its next time on; what was due meanwhile is not made up for."""
    found = find(user, schedule_id)
    with transaction.atomic():
        _audit(user, "resume-schedule", found, via, address)
        Schedule.objects.filter(pk=found.pk, next_at__isnull=True).update(next_at=_next(found))
    found.refresh_from_db()
    return found


def delete(user: User, schedule_id: str, *, via: str, address: str = "") -> None:
    """Delete it; the jobs that it has made stay."""
    found = find(user, schedule_id)
    with transaction.atomic():
        _audit(user, "delete-schedule", found, via, address)
        found.delete()


@shared_task(name="console.jobs.schedules", ignore_result=True)  # type: ignore[untyped-decorator]
def run_due() -> int:
    """Run what is due, and return how many schedules were. Called by beat; safe to call twice at once."""
    now = timezone.now()
    ran = 0
    for schedule in Schedule.objects.select_related("created_by").filter(next_at__lte=now).order_by("next_at"):
        due = schedule.next_at
        if due is None:
            continue
        late = (now - due).total_seconds()
        if late > _LATE_SECONDS_MAX:
            jobs: list[str] = []
            outcome = f"skipped: it was due {int(late // 60)} minutes ago, while nobody ran schedules"
        else:
            jobs, outcome = _run(schedule, due)
        # Optimistic: of two that ran the same time, one writes; both made the same jobs, that is to say once.
        changed = Schedule.objects.filter(pk=schedule.pk, next_at=due).update(
            next_at=_next(schedule), last_at=now, last_outcome=outcome, last_jobs=jobs
        )
        ran += changed
        logger.info("schedule-ran %s %s: %s", schedule.pk, schedule, outcome)
    return ran


def _run(schedule: Schedule, due: datetime) -> tuple[list[str], str]:
    """Make the jobs of one run; return their ids, and how it went in words."""
    user = schedule.created_by
    if user is None or not user.is_active:
        return [], "refused: the account that made it is gone; make it anew"
    known = _partitions(schedule.application, schedule.store)
    if not known:
        return [], f"skipped: nobody reports store {schedule.store} at the moment"
    jobs: list[str] = []
    problems: list[str] = []
    for host, partitions in _by_host(
        schedule, [each for each in known if each in (schedule.partitions or known)]
    ).items():
        job_id = uuid.uuid5(schedule.pk, f"{due.isoformat()} {host}")
        try:
            job = commands.create(
                user,
                kind=schedule.kind,
                application=schedule.application,
                store=schedule.store,
                partitions=partitions,
                why=schedule.why or f"scheduled: {schedule.cron}",
                via="schedule",
                arguments=schedule.arguments,
                job_id=str(job_id),
            )
        except Refused as error:
            problems.append(error.words)
        except PermissionDenied as error:
            return jobs, f"refused: {error}"
        else:
            jobs.append(str(job.pk))
    if problems:
        return jobs, ("skipped: " if not jobs else "in part: ") + " ".join(problems)
    return jobs, "started"


def _by_host(schedule: Schedule, partitions: list[int]) -> dict[str, list[int]]:
    """Return the partitions by the host of their owners; a partition that nobody has is with the first host, which says so."""
    if KINDS[schedule.kind].on_console:
        return {"": partitions}
    state = reader.read(fresh=True).applications.get(schedule.application)
    copies = store_shapes.all_partitions(state, schedule.store) if state is not None else {}
    found: dict[str, list[int]] = {}
    homeless = []
    for partition in partitions:
        record = store_shapes.primary(copies.get(partition, []), state.unreachable if state else {})
        instance = state.instances.get(record.instance) if state is not None and record is not None else None
        if instance is None:
            homeless.append(partition)
        else:
            found.setdefault(instance.host, []).append(partition)
    if homeless:
        first = min(found, default="")
        found[first] = sorted([*found.get(first, []), *homeless])
    return found


def described(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as pages and API show it; times in ms."""
    jobs = Job.objects.filter(pk__in=schedule.last_jobs)
    return {
        "id": str(schedule.pk),
        "kind": schedule.kind,
        "application": schedule.application,
        "store": schedule.store,
        "partitions": schedule.partitions,
        "arguments": schedule.arguments,
        "cron": schedule.cron,
        "why": schedule.why or None,
        "created_by": schedule.created_by.get_username() if schedule.created_by else None,
        "created_at": _ms(schedule.created_at),
        "paused": schedule.next_at is None,
        "next_at": _ms(schedule.next_at),
        "last_at": _ms(schedule.last_at),
        "last_outcome": schedule.last_outcome or None,
        "last_jobs": [{"id": str(job.pk), "number": job.number, "state": job.state} for job in jobs.order_by("number")],
    }


def listing(application: str | None = None) -> list[dict[str, Any]]:
    """Return all schedules, those that run next first."""
    found = Schedule.objects.select_related("created_by").order_by("next_at", "application", "store")
    if application is not None:
        found = found.filter(application=application)
    return sorted((described(each) for each in found), key=lambda each: (each["paused"], each["next_at"] or 0))


def _next(schedule: Schedule) -> datetime:
    return cron.parse(schedule.cron).after(timezone.now())


def _partitions(application: str, store: str) -> list[int]:
    state = reader.read(fresh=True).applications.get(application)
    return sorted(store_shapes.all_partitions(state, store)) if state is not None else []


def _audit(user: User, action: str, schedule: Schedule, via: str, address: str, **more: Any) -> None:
    audit.write(
        user,
        action,
        via=via,
        address=address,
        application=schedule.application,
        store=schedule.store,
        parameters={"schedule": str(schedule.pk), "kind": schedule.kind, "cron": schedule.cron, **more},
    )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)
