"""Asking for a job and cancelling one: policy, preview, audit, row, message, in this order. For pages and the API.

The audit entry and the row are one transaction: when the audit cannot be written, nothing happens.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from console import limits
from console.access import audit, policy
from console.jobs import dry_run, states, tasks
from console.jobs.kinds import KINDS
from console.models import Application, Job, Snapshot
from engine.errors import ConfigError
from engine.names import check_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ACTIVE = ("queued", "running", "cancelling")
_PARTITIONS_MAX = 1_000
_PARTITION_MAX = 999_999


class Refused(Exception):
    """The job is not made; ``code`` is stable, the words say what to do."""

    def __init__(self, code: str, words: str, *, state: dict[str, Any] | None = None) -> None:
        super().__init__(words)
        self.code, self.words, self.state = code, words, state


def preview(
    kind: str, application: str, store: str, partitions: list[int], arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the dry run. Raises ``Refused``."""
    check(kind, application, store, partitions)
    check_arguments(kind, arguments or {})
    try:
        return dry_run.preview(kind, application, store, partitions, arguments or {})
    except dry_run.Unknown as error:
        raise Refused("not-found", str(error)) from error


def demand(user: User, kind: str, application: str, store: str) -> None:
    """Raise ``PermissionDenied`` unless the user may ask for such a job, ``Refused`` for a kind that there is not."""
    if kind not in KINDS:
        raise Refused("bad-request", f"{kind!r} is not a kind of job. Use one of {', '.join(KINDS)}.")
    policy.demand(user, kind, application, store)


def create(
    user: User,
    *,
    kind: str,
    application: str,
    store: str,
    partitions: list[int],
    why: str = "",
    via: str,
    address: str = "",
    arguments: dict[str, Any] | None = None,
    job_id: str | None = None,
) -> Job:
    """Make the job and send it. With a ``job_id`` (a UUID of the caller) a second call returns the first one's job.

    Raises ``PermissionDenied`` (which is audited) and ``Refused``.
    """
    why = why[: limits.WHY_CHARACTERS_MAX]
    asked = {"partitions": partitions, "why": why, "arguments": arguments or {}}
    try:
        demand(user, kind, application, store)
    except PermissionDenied:
        audit.write(
            user,
            kind,
            via=via,
            address=address,
            application=application,
            store=store,
            parameters=asked,
            result="denied",
        )
        raise
    check(kind, application, store, partitions)
    check_arguments(kind, arguments or {})
    wanted = _uuid(job_id) if job_id else uuid.uuid4()
    known = Job.objects.filter(pk=wanted).first()
    if known is not None:
        if (known.kind, known.application, known.store, known.partitions) != (kind, application, store, partitions):
            raise Refused("conflict", f"Job {wanted} already means something else. Use another id.")
        return known
    shown = preview(kind, application, store, partitions, arguments)
    if not shown["can_run"]:
        raise Refused("cannot-run", " ".join(shown["problems"]), state=shown)
    try:
        with transaction.atomic():
            # One request at a time for an application: two that overlap must not both see the other absent.
            Application.objects.select_for_update().filter(pk=application).first()
            _check_free(application, store, partitions)
            audit.write(
                user,
                kind,
                via=via,
                address=address,
                application=application,
                store=store,
                parameters={**asked, "job": str(wanted)},
            )
            job = Job.objects.create(
                id=wanted,
                number=(Job.objects.aggregate(Max("number"))["number__max"] or 0) + 1,
                kind=kind,
                application=application,
                store=store,
                partitions=partitions,
                arguments=arguments or {},
                dry_run=shown,
                queue=f"host.{shown['host']}",
                why=why,
                created_by=user,
            )
            transaction.on_commit(lambda: _send(job))
    except IntegrityError as error:
        raise Refused("conflict", "Another job was made at the same moment. Try again.") from error
    return job


def cancel(user: User, job_id: str, *, via: str, address: str = "") -> Job:
    """Ask a job to end. A queued one has ended when this returns; a running one ends soon, or just could not any more.

    Cancelling what already is being cancelled changes nothing. Raises ``PermissionDenied`` and ``Refused``.
    """
    job = Job.objects.filter(pk=_uuid(job_id)).first()
    if job is None:
        raise Refused("not-found", f"There is no job {job_id}.")
    policy.demand(user, "cancel-job", job.application, job.store)
    if job.state in states.ENDED:
        raise Refused("conflict", f"The job has already ended: {job.state}.")
    with transaction.atomic():
        audit.write(
            user,
            "cancel-job",
            via=via,
            address=address,
            application=job.application,
            store=job.store,
            parameters={"job": str(job.pk)},
        )
        if not states.move(
            job.pk, "queued", "cancelled", reason=f"Cancelled by {user.get_username()} before it began."
        ):
            states.move(job.pk, "running", "cancelling")
    job.refresh_from_db()
    return job


def delete_snapshot(user: User, app: str, store: str, snapshot: str, *, via: str, address: str = "") -> None:
    """Delete a snapshot: nobody can read it from now on, and its host removes the files. Twice is refused as not found.

    Raises ``PermissionDenied`` and ``Refused``.
    """
    policy.demand(user, "snapshot", app, store)
    row = Snapshot.objects.filter(
        pk=_uuid(snapshot), application=app, store=store, deleted_at__isnull=True, expires_at__gt=timezone.now()
    ).first()
    if row is None:
        raise Refused("not-found", f"There is no snapshot {snapshot[:60]} of {store}.")
    with transaction.atomic():
        audit.write(
            user,
            "delete-snapshot",
            via=via,
            address=address,
            application=app,
            store=store,
            parameters={"snapshot": str(row.pk), "number": row.number},
        )
        Snapshot.objects.filter(pk=row.pk, deleted_at__isnull=True).update(deleted_at=timezone.now())
        transaction.on_commit(lambda: tasks.send_clear(Job.objects.get(pk=row.pk)))


def _send(job: Job) -> None:
    states.ping(job.pk)
    tasks.send(job)


def check(kind: str, application: str, store: str, partitions: list[int]) -> None:
    """Raise ``Refused`` for names and partitions that no job can have."""
    if kind not in KINDS:
        raise Refused("bad-request", f"{kind!r} is not a kind of job. Use one of {', '.join(KINDS)}.")
    for name, what in ((application, "application"), (store, "store")):
        try:
            check_name(name, what)
        except ConfigError as error:
            raise Refused("bad-request", str(error)) from error
    if not partitions or len(partitions) > _PARTITIONS_MAX or len(set(partitions)) != len(partitions):
        raise Refused("bad-request", f"Name 1 to {_PARTITIONS_MAX:,} partitions, each once.")
    if any(
        isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= _PARTITION_MAX for each in partitions
    ):
        raise Refused("bad-request", "Partitions are whole numbers from 0 on.")


def check_arguments(kind: str, arguments: dict[str, Any]) -> None:
    """Raise ``Refused`` for arguments that the kind does not take."""
    refuse = KINDS[kind].refuse
    if refuse is not None and (problem := refuse(arguments)):
        raise Refused("bad-request", problem)


def _check_free(application: str, store: str, partitions: list[int]) -> None:
    for other in Job.objects.filter(application=application, store=store, state__in=ACTIVE):
        shared = sorted(set(other.partitions) & set(partitions))
        if shared:
            raise Refused(
                "conflict",
                f"Job #{other.number} ({other.kind}) works on partition {shared[0]}. Wait for it, or cancel it.",
                state={"job": str(other.pk)},
            )


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        raise Refused("not-found", f"{str(text)[:60]!r} is not a job's id.") from None
