"""Ending jobs that no worker ends any more, and removing what jobs have left on their host's disk.

A row that ends without success says ``left`` in its result until its kind has cleared up: at once where a worker ends it,
by a message to its host where the reaper does, and at each round of ``tasks.thin`` for as long as that did not succeed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from console import limits
from console.jobs import states
from console.jobs.kinds import KINDS
from console.jobs.work import Failed, TryAgain
from console.models import Job

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)


def marked(job: Job) -> dict[str, Any]:
    """Return the result to end a row with: that its files are still to be removed, for kinds that have some."""
    return job.result if KINDS[job.kind].clear is None else {**job.result, "left": True}


def told(job: Job, reason: str, *, unchanged: str = "") -> str:
    """Return the reason for an end without success, with what of the live store has changed by then."""
    changed = KINDS[job.kind].changed(job) or unchanged
    return f"{reason.removesuffix('.')}. {changed}" if changed else reason


def close_exhausted(job: Job) -> bool:
    """End a job whose attempts are used up. False: somebody else was first."""
    reason = job.reason or "its worker ended without a word"
    if job.state == "cancelling":
        return _close(job, "cancelled", told(job, f"Cancelled; cleaning up failed: {reason}"))
    words = f"Given up after {job.attempts} attempts: {reason}"
    # Its worker may have done more than it lived to tell; `clear` says that.
    return _close(job, "failed", told(job, words, unchanged="Nothing is known to have changed in the live store."))


def close_abandoned(job: Job) -> bool:
    """End a job that had a worker once and that none has taken up since, however often it was sent. False as above."""
    hours = limits.JOB_SECONDS_MAX // 3600
    words = f"no worker on {job.queue.removeprefix('host.')} has taken it up for {hours} hours."
    if job.state == "cancelling":
        return _close(job, "cancelled", told(job, f"Cancelled; nothing was cleaned up yet: {words}"))
    return _close(job, "failed", told(job, f"Given up: {words}"))


def _close(job: Job, state: str, reason: str) -> bool:
    return states.move(job.pk, job.state, state, held_by=job.lease_owner, reason=reason, result=marked(job))


def left() -> list[Job]:
    """Return the jobs that have ended and whose files nobody has removed yet: their host, or its engine, was away."""
    return list(Job.objects.filter(state__in=("failed", "cancelled"), result__left=True))


def clear(job_id: UUID) -> None:
    """Remove what a job that has ended, or its snapshot, has left on this host's disk; what an engine holds on to stays."""
    job = Job.objects.filter(pk=job_id, state__in=states.ENDED).first()
    remove = KINDS[job.kind].clear if job is not None else None
    if job is None or remove is None:
        return
    try:
        remove(job)
    except TryAgain as error:
        logger.warning("job-not-cleared %s: %s", job.pk, error)
        return
    except Failed as error:
        # The directory is not one of the store's: nothing of it will ever be removed.
        logger.warning("job-not-cleared %s, nor will it be: %s", job.pk, error)
    else:
        logger.info("job-cleared %s %s", job.pk, job.kind)
    job.refresh_from_db()
    if job.result.pop("left", False):
        Job.objects.filter(pk=job.pk).update(result=job.result)
