"""Handing out an export's file: who may, written to the audit first, and never read into memory whole. For pages and API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, StreamingHttpResponse

from console.access import audit, policy
from console.jobs import export
from console.models import Job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponseBase

_CHUNK_BYTES = 256 * 1024


class NotThere(Exception):
    """There is no such file (any more); the message says why and what to do."""


def response(request: HttpRequest, user: User, job_id: UUID, *, via: str) -> HttpResponseBase:
    """Return the file as an attachment. Raises ``PermissionDenied`` and ``NotThere``."""
    job = Job.objects.filter(pk=job_id, kind="export").first()
    if job is None:
        raise NotThere(f"There is no export {job_id}.")
    policy.demand(user, "export", job.application, job.store)
    if job.state != "succeeded":
        raise NotThere(f"Export #{job.number} has no file: it is {job.state}.")
    path = export.path_of(job)
    if not path.is_file():
        host = job.queue.removeprefix("host.")
        raise NotThere(
            f"The file of export #{job.number} is not here: it was removed by age, or lies on {host}. Export again."
        )
    audit.write(
        user,
        "export",
        via=via,
        address=audit.address_of(request),
        application=job.application,
        store=job.store,
        parameters={"job": str(job.pk), "download": True},
    )
    kind = job.arguments["format"]
    # The names have been checked: letters, digits, dots, dashes and underscores.
    name = f"{job.application}-{job.store}-{job.number}.{kind}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(path.stat().st_size),
        "Cache-Control": "no-store",
    }
    if isinstance(request, ASGIRequest):
        return StreamingHttpResponse(_chunks(path), content_type=export.FORMATS[kind], headers=headers)
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=name, content_type=export.FORMATS[kind], headers=headers
    )


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await sync_to_async(lambda: path.open("rb"))()
    try:
        while chunk := await sync_to_async(file.read)(_CHUNK_BYTES):
            yield chunk
    finally:
        await sync_to_async(file.close)()
