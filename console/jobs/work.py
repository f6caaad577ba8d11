"""Carrying out one delivery of a job: lease, work, end. Called by the Celery task, and by tests without one.

Whatever happens, the row ends: here, or at the next delivery, or by the reaper.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from console import limits
from console.jobs import states
from console.jobs.lease import Heartbeat, acquire, new_owner, release
from console.models import Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

logger = logging.getLogger(__name__)


class Cancelled(Exception):
    """Somebody wants the job to end; what was staged has to go."""


class LeaseLost(Exception):
    """Another worker has the job: stop, and touch nothing any more."""


class Failed(Exception):
    """The job cannot be done; the message says why, and what to do."""


class TryAgain(Exception):
    """Something was away; another attempt may succeed."""


class Work:
    """What a kind of job works with: the row, progress, and the question whether to go on. One thread."""

    def __init__(self, job: Job, owner: str, heartbeat: Heartbeat) -> None:
        self.job = job
        self._owner = owner
        self._heartbeat = heartbeat
        self._progress: dict[str, Any] = dict(job.progress)
        self._written = 0.0
        self._began = time.monotonic()

    def check(self) -> None:
        """Raise ``LeaseLost``, ``Cancelled`` or ``Failed`` (too long) when the work must stop."""
        if self._heartbeat.lost:
            raise LeaseLost
        if self.is_cancelled():
            raise Cancelled
        if time.monotonic() - self._began > limits.JOB_SECONDS_MAX:
            raise Failed(
                f"It took longer than {limits.JOB_SECONDS_MAX // 3600} hours. Rebuild fewer partitions at once."
            )

    def is_cancelled(self) -> bool:
        """Say whether the job should end."""
        return self._heartbeat.cancel_requested.is_set()

    def must_stop(self) -> bool:
        """Say whether a build in progress should stop, for whatever reason; ``check`` then says which."""
        return self._heartbeat.lost or self.is_cancelled() or time.monotonic() - self._began > limits.JOB_SECONDS_MAX

    def report(self, partition: int, *, now: bool = False, **progress: Any) -> None:
        """Note a partition's progress (start, position, end, phase, rate_per_second); written at most twice a second."""
        entry = self._progress.setdefault(str(partition), {})
        is_new_phase = entry.get("phase") != progress.get("phase", entry.get("phase"))
        entry.update(progress)
        if not now and not is_new_phase and (time.monotonic() - self._written) * 1000 < limits.PROGRESS_INTERVAL_MS:
            return
        self._written = time.monotonic()
        self._write(progress=self._progress)

    def remember(self, **result: Any) -> None:
        """Keep something for later attempts and for the history; written at once."""
        self.job.result = {**self.job.result, **result}
        self._write(result=self.job.result)

    def _write(self, **changes: Any) -> None:
        rows = Job.objects.filter(pk=self.job.pk, lease_owner=self._owner, state__in=("running", "cancelling"))
        if not rows.update(**changes):
            raise LeaseLost
        states.ping(self.job.pk)


def deliver(job_id: UUID, run: Callable[[Work], dict[str, Any]] | None = None) -> bool:
    """Carry out one delivery. Return False when there was nothing to do: ended, or somebody else's."""
    owner = new_owner()
    job = acquire(job_id, owner)
    if job is None:
        logger.info("job-skipped %s: it has ended or somebody works on it", job_id)
        return False
    if run is None:
        from console.jobs.kinds import KINDS  # noqa: PLC0415 - kinds import this module

        run = KINDS[job.kind].run
        if run is None:
            raise RuntimeError(f"job {job_id}: kind {job.kind} cannot be run")
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
        _end(job, owner, "cancelled", reason="Cancelled; the live store was not touched.")
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


def _end(job: Job, owner: str, state: str, **changes: Any) -> None:
    """Close the row from whichever state it is in by now: a wish to cancel may have come in between."""
    for old in ("running", "cancelling"):
        if state in states.TRANSITIONS[old] and states.move(job.pk, old, state, held_by=owner, **changes):
            logger.info("job-ended %s: %s", job.pk, state)
            return
    logger.warning("job-lost %s: it is no longer ours to end as %s", job.pk, state)
