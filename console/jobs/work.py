"""What a kind of job works with, and the ways in which work ends early."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console import limits
from console.jobs import states
from console.models import Job

if TYPE_CHECKING:
    from console.jobs.lease import Heartbeat


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
        self.check_lease()
        if self.is_cancelled():
            raise Cancelled
        if time.monotonic() - self._began > limits.JOB_SECONDS_MAX:
            raise Failed(
                f"It took longer than {limits.JOB_SECONDS_MAX // 3600} hours. Rebuild fewer partitions at once."
            )

    def check_lease(self) -> None:
        """Raise ``LeaseLost`` when another worker has the job: also for what a cancelled job still has to do."""
        if self._heartbeat.lost:
            raise LeaseLost

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
