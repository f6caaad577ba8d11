"""The Celery tasks. Arguments are ids only: everything else stands in the row, so a message can be old or double."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

import redis
from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import DatabaseError
from django.utils import timezone

from console import limits
from console.jobs import closing, delivery, export, lease, presence, snapshot, states
from console.lag import history
from console.models import Event, Job
from console.observe import keys, ownership, sizes

logger = logging.getLogger(__name__)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def stop_working(**_signal: Any) -> None:
    """Let a worker end within seconds, not with its longest job."""
    try:
        logger.info("jobs-handed-back: %d", lease.hand_back())
    except DatabaseError as error:
        logger.warning("jobs-not-handed-back: %s; their leases expire instead", error)


@shared_task(name="console.jobs.run", ignore_result=True)  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """Carry out one delivery of a job."""
    delivery.deliver(uuid.UUID(job_id))


def send(job: Job) -> bool:
    """Put a job on its queue. False when Redis is away: the reaper sends it later."""
    try:
        run.apply_async(args=[str(job.pk)], queue=job.queue, retry=False, expires=limits.JOB_SECONDS_MAX)
    except Exception as error:  # noqa: BLE001 - kombu raises what its transport raises; the row is safe in any case
        logger.warning("job-not-sent %s: %s", job.pk, error)
        return False
    return True


@shared_task(name="console.jobs.clear", ignore_result=True)  # type: ignore[untyped-decorator]
def clear(job_id: str) -> None:
    """Remove what a job that has ended, or its snapshot, has left on this host's disk."""
    closing.clear(uuid.UUID(job_id))


def send_clear(job: Job) -> None:
    """Have the host of a job clear up. When Redis is away the next round of ``thin`` sends it again."""
    try:
        clear.apply_async(args=[str(job.pk)], queue=job.queue, retry=False, expires=limits.JOB_SECONDS_MAX)
    except Exception as error:  # noqa: BLE001 - as in `send`
        logger.warning("job-not-cleared %s: %s", job.pk, error)


@shared_task(name="console.jobs.reap", ignore_result=True)  # type: ignore[untyped-decorator]
def reap() -> None:
    """Send again what was lost on the way, and end what cannot be done: every row ends."""
    presence.beat()
    now = timezone.now()
    lost = now - timedelta(seconds=limits.QUEUED_RESEND_SECONDS)
    too_old = now - timedelta(seconds=limits.JOB_SECONDS_MAX)
    for job in Job.objects.filter(state__in=("running", "cancelling"), lease_until__lt=now):
        if job.attempts >= limits.ATTEMPTS_MAX:
            if closing.close_exhausted(job):
                send_clear(job)
        elif job.lease_until is not None and job.lease_until < too_old:
            if closing.close_abandoned(job):
                send_clear(job)
        elif job.sent_at < lost and send(job):
            # Not when somebody has taken it since: then its next message is due with that lease's end.
            Job.objects.filter(pk=job.pk, lease_until=job.lease_until).update(sent_at=now)
    for job in Job.objects.filter(state="queued", sent_at__lt=lost):
        if job.created_at < too_old:
            host = job.queue.removeprefix("host.")
            words = f"No worker took it within {limits.JOB_SECONDS_MAX // 3600} hours. Start one on {host}: celery -A console worker"
            states.move(job.pk, "queued", "failed", reason=words)
        elif send(job):
            Job.objects.filter(pk=job.pk, state="queued").update(sent_at=now)


def _with_a_worker(jobs: list[Job]) -> list[Job]:
    """Return those whose host has a worker: a queue that nobody reads would grow with every round."""
    hosts = {job.pk: job.queue.removeprefix("host.") for job in jobs}
    try:
        there = presence.workers(keys.client(), hosts.values())
    except redis.RedisError as error:
        logger.info("clearing-waits: %s", error)
        return []
    return [job for job in jobs if hosts[job.pk] in there]


@shared_task(name="console.jobs.thin", ignore_result=True)  # type: ignore[untyped-decorator]
def thin() -> None:
    """Make room in history: lag samples lose detail with age, old events, exported files, snapshots and what jobs have left go."""
    now = timezone.now()
    deleted = history.thin(now) + sizes.thin(now) + ownership.thin(now)
    for job in _with_a_worker([*snapshot.over(), *closing.left()]):
        send_clear(job)
    deleted += Event.objects.filter(at__lt=now - timedelta(milliseconds=limits.EVENTS_KEEP_MS)).delete()[0]
    logger.info("history-thinned: %d rows, %d exports", deleted, export.sweep())
