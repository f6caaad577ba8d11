"""The diff of one verify: every row that was kept, filtered, a page at a time; and the same as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from console.access import policy
from console.access.audit import address_of
from console.access.policy import requires
from console.jobs import differences
from console.observe import snapshot
from console.observe.choice import NOTHING
from console.pages import copy_as, shell
from console.pages import store as stores

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest


@requires("browse")
def rows(request: HttpRequest, job: UUID) -> HttpResponse:
    """Draw one page of the rows that differ."""
    seen = shell.found(snapshot.job(str(job)), f"a job {job}")
    try:
        row = differences.job_of(str(job))
    except differences.Wrong as error:
        raise Http404(error.words) from error
    given: dict[str, str] = {name: str(value) for name, value in request.GET.items() if value}
    problem = ""
    got: dict[str, Any] = {"differences": [], "cursor": None, "kept": 0, "found": 0}
    try:
        got = differences.page(row, given)
    except differences.Wrong as error:
        problem = error.words
    following = {**given, "cursor": got["cursor"] or ""}
    path = f"/api/v1/jobs/{job}/differences"
    store = shell.found(snapshot.store(row.application, row.store, NOTHING), f"a store {row.store!r}")
    browse = f"/applications/{row.application}/stores/{row.store}/"
    context: dict[str, Any] = {
        "job": seen,
        "it": store,
        "rows": [stores.difference(each, browse) for each in got["differences"]],
        "against": seen["result"].get("against"),
        "got": got,
        "given": given,
        "problem": problem,
        "whats": differences.WHAT,
        "more": f"?{urlencode(following)}" if got["cursor"] else "",
        "is_filtered": bool(given.keys() - {"cursor", "limit"}),
        "query": urlencode({name: value for name, value in given.items() if name not in {"cursor", "limit"}}),
        "may_export": policy.allowed(request.user, "export", row.application, row.store),
        "export_role": policy.ACTIONS["export"],
        "copies": copy_as.call(request, "GET", path, params=given),
    }
    return shell.page(request, "pages/differences.html", seen, context, section="jobs", app=row.application)


@requires("export")
def file(request: HttpRequest, job: UUID) -> HttpResponse:
    """Hand the rows out as a file."""
    given: dict[str, str] = {name: str(value) for name, value in request.GET.items() if value}
    try:
        row = differences.job_of(str(job))
        name, kind, content = differences.file(
            shell.user_of(request), row, given, via="page", address=address_of(request)
        )
    except differences.Wrong as error:
        if error.code == "not-found":
            raise Http404(error.words) from error
        return redirect("job-differences", job=job)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(content, content_type=kind, headers=headers)
