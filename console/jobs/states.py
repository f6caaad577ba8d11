"""The life of a job, as data. Every change of ``Job.state`` goes through ``move``.

queued ──▶ running ──▶ succeeded
  │          │  └────▶ failed
  │          ▼
  │      cancelling ──▶ cancelled | succeeded (too late to cancel) | failed
  └──▶ cancelled | failed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from console.live import groups
from console.live.pings import pinger
from console.models import Job

if TYPE_CHECKING:
    from uuid import UUID

TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset({"succeeded", "failed", "cancelling"}),
    "cancelling": frozenset({"cancelled", "succeeded", "failed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)


def move(job_id: UUID, old: str, new: str, *, held_by: str | None = None, **changes: Any) -> bool:
    """Change the state if it still is ``old`` (and, when given, the lease still is ours). False: somebody else was first.

    Raises ``ValueError`` for a change that the table does not have: that is a mistake of the caller.
    """
    if new not in TRANSITIONS[old]:
        raise ValueError(f"A job does not go from {old!r} to {new!r}.")
    rows = Job.objects.filter(pk=job_id, state=old)
    if held_by is not None:
        rows = rows.filter(lease_owner=held_by)
    if new in ENDED:
        changes |= {"ended_at": timezone.now(), "lease_until": None, "lease_owner": ""}
    moved = rows.update(state=new, **changes) == 1
    if moved:
        ping(job_id)
    return moved


def ping(job_id: UUID) -> None:
    """Tell the sockets that a job changed."""
    pinger.send([groups.JOBS, groups.OVERVIEW], {"type": "status.changed", "job": str(job_id)})
