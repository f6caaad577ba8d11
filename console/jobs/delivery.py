"""Carrying out one delivery of a job: lease, work, end. Called by the Celery task, and by tests without one.

Whatever happens, the row ends: here, or at the next delivery, or by the reaper.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from console import limits
from console.jobs import closing, states
from console.jobs.kinds import KINDS
from console.jobs.lease import Heartbeat, acquire, new_owner, release
from console.jobs.work import Cancelled, Failed, LeaseLost, TryAgain, Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from console.models import Job

logger = logging.getLogger(__name__)


def deliver(job_id: UUID, run: Callable[[Work], dict[str, Any]] | None = None) -> bool:
    """Carry out one delivery. Return False when there was nothing to do: ended, or somebody else's."""
    owner = new_owner()
    job = acquire(job_id, owner)
    if job is None:
        logger.info("job-skipped %s: it has ended or somebody works on it", job_id)
        return False
    run = run or KINDS[job.kind].run
    logger.info("job-started %s %s %s/%s attempt %d", job.pk, job.kind, job.application, job.store, job.attempts)
    heartbeat = Heartbeat(job.pk, owner)
    work = Work(job, owner, heartbeat)
    with heartbeat:
        heartbeat.renew()
        _carry_out(work, run, owner)
    return True


def _carry_out(work: Work, run: Callable[[Work], dict[str, Any]], owner: str) -> None:
    job = work.job
    try:
        result = run(work)
    except LeaseLost:
        logger.warning("job-lost %s: another worker has it", job.pk)
    except Cancelled:
        _end(job, owner, "cancelled", reason="Cancelled.", unchanged="The live store was not touched.")
    except Failed as error:
        _end(job, owner, "failed", reason=str(error))
    except (TryAgain, DatabaseError) as error:
        if job.attempts >= limits.ATTEMPTS_MAX:
            _end(job, owner, "failed", reason=f"Given up after {job.attempts} attempts: {error}")
        else:
            logger.warning("job-waits %s: %s", job.pk, error)
            release(job.pk, owner, f"Attempt {job.attempts} did not succeed: {error}")
    except Exception as error:
        logger.exception("job-failed %s", job.pk)
        _end(
            job,
            owner,
            "failed",
            reason=f"An unexpected error ({type(error).__name__}: {error}). The worker's log has more.",
        )
    else:
        _end(job, owner, "succeeded", result={**work.job.result, **result}, reason="")


def _end(job: Job, owner: str, state: str, *, unchanged: str = "", **changes: Any) -> None:
    """Close the row from whichever state it is in by now: a wish to cancel may have come in between. Then clear up.

    In this order: who still has the row may take up again what lies on the disk. ``unchanged`` is said where nothing of
    the live store has changed.
    """
    if state != "succeeded":
        changes["result"] = closing.marked(job)
        changes["reason"] = closing.told(job, changes["reason"], unchanged=unchanged)
    for old in ("running", "cancelling"):
        if state in states.TRANSITIONS[old] and states.move(job.pk, old, state, held_by=owner, **changes):
            logger.info("job-ended %s: %s", job.pk, state)
            if state != "succeeded":
                closing.clear(job.pk)
            return
    logger.warning("job-lost %s: it is no longer ours to end as %s", job.pk, state)
