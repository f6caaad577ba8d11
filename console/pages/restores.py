"""Restores: those that run, with phase, rate and time left, and those that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.access.policy import requires
from console.observe import snapshot
from console.pages import hues, jobs, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@requires("read-status")
def restores(request: HttpRequest) -> HttpResponse:
    """Draw the restores of all applications."""
    seen = snapshot.restores()
    context = {
        "running": [row(each) for each in seen["running"]],
        "history": [row(each) for each in seen["history"]],
        "jobs": [jobs.with_tone(each) for each in seen["jobs"]],
        "slowest": slowest(seen["running"]),
        "palette": hues.palette(each["instance"] for each in seen["running"] + seen["history"]),
    }
    return shell.page(request, "pages/restores.html", seen, context, section="restores", topic="restores")


def row(restore: dict[str, Any]) -> dict[str, Any]:
    """Return a restore with what was written since it started, as a share of what it knew of then."""
    known = (restore.get("snapshot_end") or 0) - (restore.get("start") or 0)
    since = restore.get("written_since_start")
    return restore | {"since_percent": 100 * since / known if known > 0 and since else 0.0}


def slowest(running: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the restore that decides when all are done: one that never ends, else the one with the most time left."""
    never = [each for each in running if each["eta"] == "never"]
    timed = [each for each in running if isinstance(each["eta"], int | float)]
    if len(running) < 2:  # noqa: PLR2004 - a single one decides by itself
        return None
    return never[0] if never else max(timed, key=lambda each: each["eta"], default=None)
