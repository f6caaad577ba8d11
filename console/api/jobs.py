"""Handlers of jobs: list, show, preview, make, cancel."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse

from console.api.errors import CODES, ApiError
from console.jobs import commands, differences, download
from console.observe import recorded, snapshot

if TYPE_CHECKING:
    from django.http import HttpResponseBase

    from console.api.dispatch import Call

# Arguments of a kind may stand beside the other fields, or in `arguments`.
_ARGUMENTS = {"format", "as_of_offset", "as_of_time", "keep_hours", "against"}
_FIELDS = {"kind", "application", "store", "partitions", "dry_run", "why", "arguments", "id"} | _ARGUMENTS


def listing(call: Call) -> dict[str, Any]:
    """The newest jobs."""
    return snapshot.jobs(call.query.get("application"))


def show(call: Call) -> dict[str, Any]:
    """One job."""
    found = snapshot.job(call.path["job"])
    if found is None:
        raise ApiError("not-found", f"There is no job {call.path['job'][:60]}.")
    return _answer(found)


def create(call: Call) -> tuple[int, dict[str, Any]]:
    """Preview a job (``dry_run: true``) or make it. With an ``id`` of the caller's, making it twice is making it once."""
    body = call.body()
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise ApiError("bad-request", f"Unknown field {unknown[0]!r}. Use: {', '.join(sorted(_FIELDS))}.")
    kind, application, store = (_text(body, name) for name in ("kind", "application", "store"))
    partitions = body.get("partitions")
    if not isinstance(partitions, list):
        raise ApiError("bad-request", "partitions must be a list of whole numbers.")
    dry_run = body.get("dry_run")
    if not isinstance(dry_run, bool):
        # Said outright, because the difference is between looking and doing.
        raise ApiError("bad-request", "Say dry_run: true to preview the job, or false to run it.")
    arguments = body.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ApiError("bad-request", "arguments must be an object.")
    arguments |= {name: body[name] for name in _ARGUMENTS & body.keys()}
    try:
        if dry_run:
            commands.demand(call.user, kind, application, store)
            return 200, {"dry_run": commands.preview(kind, application, store, partitions, arguments)}
        job = commands.create(
            call.user,
            kind=kind,
            application=application,
            store=store,
            partitions=partitions,
            why=_text(body, "why", ""),
            arguments=arguments,
            job_id=_text(body, "id", "") or None,
            **call.origin,
        )
    except commands.Refused as error:
        raise _error(error) from error
    return 201, _answer(recorded.job(str(job.pk)))


def cancel(call: Call) -> dict[str, Any]:
    """Ask a job to end."""
    try:
        job = commands.cancel(call.user, call.path["job"], **call.origin)
    except commands.Refused as error:
        raise _error(error) from error
    return _answer(recorded.job(str(job.pk)))


def file(call: Call) -> HttpResponseBase:
    """An export's file."""
    try:
        return download.response(call.request, call.user, uuid.UUID(call.path["job"]), via="api")
    except (download.NotThere, ValueError) as error:
        raise ApiError("not-found", str(error)) from error


def differing(call: Call) -> dict[str, Any]:
    """One page of the rows that a verify found to differ."""
    try:
        return differences.page(differences.job_of(call.path["job"]), call.query)
    except differences.Wrong as error:
        raise ApiError(error.code, error.words) from error


def differing_file(call: Call) -> HttpResponseBase:
    """All of them that pass a filter, as a file."""
    try:
        job = differences.job_of(call.path["job"])
        name, kind, content = differences.file(call.user, job, call.query, **call.origin)
    except differences.Wrong as error:
        raise ApiError(error.code, error.words) from error
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(content, content_type=kind, headers=headers)


def _error(refused: commands.Refused) -> ApiError:
    code = refused.code if refused.code in CODES else "bad-request"
    return ApiError(code, refused.words, state=refused.state)


def _text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    found = body.get(name, default)
    if not isinstance(found, str):
        raise ApiError("bad-request", f"{name} must be text.")
    return found


def _answer(job: Any) -> dict[str, Any]:
    """The job, and beside it what scripts ask for first: its id and how it stands."""
    return {"id": job["id"], "state": job["state"], "job": job}
