"""Starting a job on a store: choose, look at the dry run, then apply.

Nothing is ticked beforehand. The dry run comes with a sealed ticket for exactly what it showed; without that ticket
nothing can be applied, whatever a script or a stale form sends.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect

from console.access import policy
from console.access.audit import address_of
from console.access.policy import requires
from console.jobs import commands
from console.limits import WHY_CHARACTERS_MAX
from console.pages import copy_as, hues, job_arguments, partition_choice, shell
from console.pages import store as stores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest, HttpResponse

KINDS: dict[str, dict[str, Any]] = {
    "rebuild": {
        "title": "Rebuild",
        "does": "Builds a fresh copy of each chosen partition from its changelog, beside the running task, and swaps it in.",
        "confirm": True,
    },
    "compact": {
        "title": "Compact",
        "does": "Runs RocksDB's compaction on each chosen partition. Content does not change; size usually does.",
        "confirm": False,
    },
    "verify": {
        "title": "Verify",
        "does": "Compares the live store row by row with a copy built from its changelog, which is removed then, or with a snapshot.",
        "confirm": False,
    },
    "snapshot": {
        "title": "Take a snapshot of",
        "apply": "Take the snapshot",
        "does": "Builds the chosen partitions as their changelog had them at an offset or a time, to be browsed beside the present.",
        "confirm": False,
    },
    "export": {
        "title": "Export",
        "does": "Writes the entries of the chosen partitions to a file, which you can then download.",
        "confirm": False,
        "formats": job_arguments.EXPORT_FORMATS,
    },
}
SALT = "statehouse.dry-run"
# A dry run describes a moment: after this it has to be looked at again.
TICKET_SECONDS_MAX = 600


@requires(policy.BY_ARGUMENT)
def new_job(request: HttpRequest, app: str, store: str, kind: str) -> HttpResponse:
    """Draw the three steps, or start the job."""
    if kind not in KINDS:
        raise Http404(f"There is no action {kind!r}.")
    policy.demand(request.user, kind, app, store)
    seen = stores.find(app, store)
    if request.method == "POST":
        return _apply(request, seen, kind)
    return _draw(
        request,
        seen,
        kind,
        request.GET.get("why", ""),
        preview="dry_run" in request.GET,
    )


def _apply(request: HttpRequest, seen: dict[str, Any], kind: str) -> HttpResponse:
    """Create the job that the ticket describes."""
    app, name = seen["application"], seen["store"]
    why = request.POST.get("why", "")
    try:
        ticket = signing.loads(request.POST.get("ticket", ""), salt=SALT, max_age=TICKET_SECONDS_MAX)
    except signing.BadSignature:
        return _draw(
            request,
            seen,
            kind,
            why,
            problem="The dry run is too old or was not shown. Run it again, then apply.",
        )
    if ticket["user"] != request.user.pk or [ticket["kind"], ticket["application"], ticket["store"]] != [
        kind,
        app,
        name,
    ]:
        raise PermissionDenied("This dry run was for something else.")
    if KINDS[kind]["confirm"] and request.POST.get("confirm") != name:
        return _draw(request, seen, kind, why, preview=True, problem=f"Type the store's name, {name}, to confirm.")
    try:
        job = commands.create(
            shell.user_of(request),
            kind=kind,
            application=app,
            store=name,
            partitions=ticket["partitions"],
            why=why[:WHY_CHARACTERS_MAX],
            via="page",
            address=address_of(request),
            arguments=ticket["arguments"],
            job_id=ticket["job"],  # a form that is sent twice is one job
        )
    except commands.Refused as error:
        return _draw(request, seen, kind, why, preview=True, problem=error.words)
    return redirect("job", job=job.id)


def _draw(
    request: HttpRequest,
    seen: dict[str, Any],
    kind: str,
    why: str,
    *,
    preview: bool = False,
    problem: str = "",
) -> HttpResponse:
    app, name = seen["application"], seen["store"]
    given = request.POST if request.method == "POST" else request.GET
    choice = partition_choice.read(given, seen["strip"], hues.palette(seen["strip"]["instances"]))
    partitions = choice["chosen"]
    arguments, wrong = _arguments(given, kind)
    context: dict[str, Any] = {
        "it": seen, "store": name, "kind": kind, **KINDS[kind], "why": why, "problem": problem, "why_max": WHY_CHARACTERS_MAX,
        "format": arguments.get("format"), "fields": job_arguments.fields(kind, given, app, name),
        "choice": choice,
    }  # fmt: skip
    if preview and choice["problem"]:
        context["problem"] = problem or choice["problem"]
    elif preview and not partitions:
        context["problem"] = problem or "Choose at least one partition."
    elif preview and wrong:
        context["problem"] = wrong
    elif preview:
        ticket = {
            "job": str(uuid.uuid4()),
            "user": request.user.pk,
            "kind": kind,
            "application": app,
            "store": name,
            "partitions": partitions,
            "arguments": arguments,
        }
        try:
            context |= {
                "preview": commands.preview(kind, app, name, partitions, arguments),
                "ticket": signing.dumps(ticket, salt=SALT),
                "copies": _copies(request, ticket, why),
            }
        except commands.Refused as error:
            context["problem"] = error.words
    return shell.page(request, "pages/new_job.html", seen, context, section="stores", app=app)


def _arguments(given: Mapping[str, str], kind: str) -> tuple[dict[str, Any], str]:
    """Return what a kind is asked for beside its partitions, and what is wrong with it. The first format is the default."""
    known = [name for name, _ in KINDS[kind].get("formats", ())]
    if not known:
        return job_arguments.read(kind, given)
    chosen = given.get("format")
    return {"format": chosen if chosen and chosen in known else known[0]}, ""


def _copies(request: HttpRequest, ticket: dict[str, Any], why: str) -> list[dict[str, str]]:
    """Return the ways to make this job without the page; the id makes it one job, however often it is sent."""
    body = {name: ticket[name] for name in ("kind", "application", "store", "partitions")}
    body |= {"arguments": ticket["arguments"], "why": why, "dry_run": False, "id": ticket["job"]}
    words = ["jobs", "start", ticket["kind"], ticket["application"], ticket["store"]]
    for partition in ticket["partitions"]:
        words += ["--partition", str(partition)]
    for name, value in ticket["arguments"].items():
        words += ["--argument", f"{name}={value}"]
    return copy_as.call(request, "POST", "/api/v1/jobs", body=body, command=[*words, *(["--why", why] if why else [])])
