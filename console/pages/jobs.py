"""Jobs: the list, one job with its partitions' progress, and cancelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.access import policy
from console.access.audit import address_of
from console.access.policy import requires
from console.jobs import commands, download
from console.observe import snapshot
from console.pages import copy_as, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

_PROGRESS = ("start", "position", "end", "percent", "rate_per_second", "compared", "entries")
ENDED = {"succeeded", "failed", "cancelled"}


@requires("read-jobs")
def jobs(request: HttpRequest) -> HttpResponse:
    """Draw all jobs, newest first."""
    seen = snapshot.jobs()
    return shell.page(
        request,
        "pages/jobs.html",
        seen,
        {"jobs": [with_tone(each) for each in seen["jobs"]], "counts": seen["counts"]},
        section="jobs",
        topic="jobs",
    )


@requires("read-jobs")
def job(request: HttpRequest, job: UUID) -> HttpResponse:
    """Draw one job."""
    seen = shell.found(snapshot.job(str(job)), f"a job {job}")
    context = {
        "it": seen,
        "tone": with_tone(seen)["tone"],
        "ended": seen["state"] in ENDED,
        "parts": parts(seen),
        "may_export": policy.allowed(request.user, "export", seen["application"], seen["store"]),
        "export_role": policy.ACTIONS["export"],
        "copies": copy_as.call(request, "GET", f"/api/v1/jobs/{job}", command=["jobs", "show", str(job)]),
        "cancel_copies": copy_as.call(
            request, "POST", f"/api/v1/jobs/{job}/cancel", command=["jobs", "cancel", str(job)]
        ),
        "may_cancel": policy.allowed(request.user, "cancel-job", seen["application"], seen["store"]),
    }
    return shell.page(
        request, "pages/job.html", seen, context, section="jobs", topic=f"job:{job}", app=seen["application"]
    )


@require_POST
@requires("cancel-job")
def cancel(request: HttpRequest, job: UUID) -> HttpResponse:
    """Cancel a job; what it was already past is said on its page."""
    try:
        commands.cancel(shell.user_of(request), str(job), via="page", address=address_of(request))
    except commands.Refused as error:
        messages.error(request, error.words)
    return redirect("job", job=job)


@requires("export")
def file(request: HttpRequest, job: UUID) -> HttpResponseBase:
    """Hand out an export's file."""
    try:
        return download.response(request, shell.user_of(request), job, via="page")
    except download.NotThere as error:
        raise Http404(str(error)) from error


def with_tone(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job with the tone of its state: a job that runs is busy, where an instance that runs is well."""
    return job | {"tone": "restoring" if job["state"] == "running" else job["state"]}


def parts(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one line a partition: progress while it runs, the result when it has ended."""
    result = seen["result"] or {}
    results = result.get("partitions") or result.get("done") or {}
    lines = []
    for number in seen["partitions"]:
        progress = seen["progress"].get(str(number)) or {}
        lines.append(
            {
                "partition": number,
                # What a kind does not report is unknown, and not absent.
                **dict.fromkeys(_PROGRESS),
                **progress,
                "phase": progress.get("phase") or "queued",
                "result": results.get(str(number)) or {},
            }
        )
    return lines
