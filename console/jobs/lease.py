"""The lease of a job: who works on it, renewed by a heartbeat. Redis may deliver a message twice; the lease lets one work.

A delivery acquires the lease of a queued job, or takes over one whose lease has expired (its worker died). All others do
nothing. A worker that lost its lease must stop without further effect.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F, Q
from django.utils import timezone

from console import limits
from console.jobs import states
from console.models import Job

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)


def new_owner() -> str:
    """Return a name for one delivery's work: no two deliveries share it, wherever they run.

    It tells the worker: the parent's process id (Celery's main process forks those that work) and our own.
    """
    return f"{settings.HOST_NAME}:{os.getppid()}/{os.getpid()}:{uuid.uuid4().hex[:12]}"


def hand_back() -> int:
    """Give back what this worker's processes hold, because it shuts down; return how many jobs.

    Called in the worker's main process. Those who work notice at their next heartbeat that the lease is no longer
    theirs and stop; the reaper sends the job again. A shutdown is nobody's failure, so the attempt does not count.
    """
    here = f"{settings.HOST_NAME}:"
    mine = Q(lease_owner__startswith=f"{here}{os.getpid()}/") | Q(
        lease_owner__startswith=here, lease_owner__contains=f"/{os.getpid()}:"
    )
    held = Job.objects.filter(mine, state__in=("running", "cancelling"))
    return held.update(
        lease_owner="",
        lease_until=timezone.now(),
        attempts=F("attempts") - 1,
        reason="Its worker shut down; it goes on.",
    )


def acquire(job_id: UUID, owner: str) -> Job | None:
    """Take the job, or return None: it has ended, somebody works on it, or its attempts are used up (the reaper ends it)."""
    now = timezone.now()
    mine: dict[str, Any] = {
        "lease_owner": owner,
        "lease_until": now + timedelta(seconds=limits.LEASE_SECONDS),
        "attempts": F("attempts") + 1,
        # Its message is used up: another one is due as soon as this lease has run out.
        "sent_at": now - timedelta(seconds=limits.QUEUED_RESEND_SECONDS),
    }
    if states.move(job_id, "queued", "running", started_at=now, **mine):
        return Job.objects.get(pk=job_id)
    job = Job.objects.filter(pk=job_id).first()
    if job is None or job.state not in {"running", "cancelling"} or job.lease_until is None or job.lease_until > now:
        return None
    if job.attempts >= limits.ATTEMPTS_MAX:
        return None
    # Optimistic: of several deliveries that see the same expired lease, one changes it.
    taken = Job.objects.filter(
        pk=job_id, state=job.state, lease_owner=job.lease_owner, lease_until=job.lease_until
    ).update(**mine)
    return Job.objects.get(pk=job_id) if taken else None


def release(job_id: UUID, owner: str, reason: str) -> None:
    """Let the lease expire now: the work failed in a way that another attempt may mend; the reaper sends it again."""
    Job.objects.filter(pk=job_id, lease_owner=owner).update(lease_until=timezone.now(), reason=reason)
    states.ping(job_id)


class Heartbeat:
    """Renews the lease from a thread of its own and watches for the wish to cancel. Use it in a ``with`` statement."""

    def __init__(self, job_id: UUID, owner: str) -> None:
        self._job_id = job_id
        self._owner = owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._renewed = time.monotonic()
        self._lost = threading.Event()
        self.cancel_requested = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        """Whether the lease is another's, or may be by now: the database has not confirmed it for its whole length."""
        return self._lost.is_set() or time.monotonic() - self._renewed > limits.LEASE_SECONDS

    def renew(self) -> None:
        """Renew once."""
        now = time.monotonic()
        mine = Job.objects.filter(pk=self._job_id, lease_owner=self._owner, state__in=("running", "cancelling"))
        if not mine.update(lease_until=timezone.now() + timedelta(seconds=limits.LEASE_SECONDS)):
            self._lost.set()
            return
        self._renewed = now
        if mine.filter(state="cancelling").exists():
            self.cancel_requested.set()

    def _run(self) -> None:
        pause_s = 1.0
        try:
            while not self._stop.wait(pause_s) and not self._lost.is_set():
                try:
                    self.renew()
                except DatabaseError as error:
                    logger.warning("lease-not-renewed %s: %s", self._job_id, error)
                    connection.close()
        finally:
            connection.close()
