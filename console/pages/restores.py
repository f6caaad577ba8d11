"""Restores: those that run, with phase, rate and time left; those that ended, searchable; rebuilds, to start and to cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from console.access import policy
from console.access.policy import requires
from console.observe import recorded, snapshot
from console.observe.choice import Choice
from console.pages import chooser, copy_as, hues, jobs, links, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_ROWS = 50
_JOBS = 10
# A cause begins with one of these words (docs/contracts.md, section 1); what follows says more.
CAUSES = ("new owner", "lost disk", "corruption", "operator", "too old")
OUTCOMES = ("done", "interrupted")


@requires("read-status")
def restores(request: HttpRequest) -> HttpResponse:
    """Draw the restores of all applications."""
    choice = Choice(page=chooser.read(request.GET, page="running-page").page)
    seen = snapshot.restores(choice=choice)
    given = {name: value for name in ("q", "outcome", "before") if (value := request.GET.get(name, "").strip())}
    outcome = given.get("outcome") if given.get("outcome") in OUTCOMES else "ended"
    before = int(given["before"]) if given.get("before", "").isdecimal() and len(given["before"]) < 18 else None  # noqa: PLR2004 - an int64
    found = recorded.restores(words=given.get("q"), outcome=outcome, before=before, limit=_ROWS + 1)
    history = found[:_ROWS]
    more = {**given, "before": str(history[-1]["id"])} if len(found) > _ROWS else {}
    applications = seen.get("applications") or snapshot.overview(bounded=True)["applications"]
    context = {
        "running": [row(each) for each in seen["running"]],
        "history": [row(each) for each in history],
        "given": given,
        "is_filtered": bool(given.keys() & {"q", "outcome"}),
        "causes": CAUSES,
        "outcomes": OUTCOMES,
        "more": f"?{urlencode(more)}#history" if more else "",
        "jobs": [jobs.with_tone(each) for each in rebuilds(seen["jobs"])],
        "stores": [
            {
                "application": app["id"],
                "store": store["name"],
                "href": links.to("new-job", app["id"], store["name"], "rebuild"),
            }
            for app in applications
            for store in app["stores"]
        ],
        "may_rebuild": policy.allowed(request.user, "rebuild"),
        "may_cancel": policy.allowed(request.user, "cancel-job"),
        "rebuild_role": policy.ACTIONS["rebuild"],
        "slowest": seen["slowest"],
        "chosen": chooser.shown(
            request.GET, choice, seen["chosen"], noun="restores", anchor="running", page="running-page"
        ),
        "palette": hues.palette(each["instance"] for each in seen["running"] + history),
        "copies": [
            each
            for app in applications[:1]
            for each in copy_as.call(request, "GET", f"/api/v1/applications/{app['id']}/restores", params=given)
        ],
    }
    return shell.page(request, "pages/restores.html", seen, context, section="restores", topic="restores")


def rebuilds(running: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rebuilds that run and the newest that have ended."""
    known = {each["id"] for each in running}
    ended = recorded.jobs(kind="rebuild", limit=_JOBS)
    return [*running, *(each for each in ended if each["id"] not in known)]


def row(restore: dict[str, Any]) -> dict[str, Any]:
    """Return a restore with what was written since it started, as a share of what it knew of then."""
    known = (restore.get("snapshot_end") or 0) - (restore.get("start") or 0)
    since = restore.get("written_since_start")
    return restore | {"since_percent": 100 * since / known if known > 0 and since else 0.0}
