"""Schedules: what comes again, when next, how the last run went; making, pausing, resuming and deleting one.

A new one is previewed: its next times, and the dry run of what it would do now, before it can be made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from console.access import policy
from console.access.audit import address_of
from console.access.policy import requires
from console.jobs import commands, cron, schedules
from console.limits import WHY_CHARACTERS_MAX
from console.observe import snapshot
from console.pages import copy_as, hues, job_arguments, partition_choice, shell
from console.pages import store as stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

USUAL = (
    ("@hourly", "every hour"), ("@daily", "every day, 03:00"), ("@weekly", "every Sunday, 03:00"), ("@monthly", "on the 1st, 03:00"),
)  # fmt: skip
_NEXT_SHOWN = 3


@requires("read-jobs")
def listing(request: HttpRequest) -> HttpResponse:
    """Draw all schedules."""
    seen = snapshot.jobs()
    may = policy.allowed(request.user, "schedule")
    found = (
        [each | {"actions": _actions(request, each)} for each in schedules.listing()] if may else schedules.listing()
    )
    context = {"schedules": found, "may": may, "role_needed": policy.ACTIONS["schedule"]}
    context["copies"] = copy_as.call(request, "GET", "/api/v1/schedules", command=["schedules", "list"])
    return shell.page(request, "pages/schedules.html", seen, context, section="jobs", topic="jobs")


def _actions(request: HttpRequest, schedule: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what can be done with a schedule, as things to paste."""
    which = schedule["id"]
    change = "resume" if schedule["paused"] else "pause"
    return [
        {
            "name": name,
            "ways": copy_as.call(
                request, method, f"/api/v1/schedules/{which}{path}", command=["schedules", name, which]
            ),
        }
        for name, method, path in ((change, "POST", f"/{change}"), ("delete", "DELETE", ""))
    ]


@requires("schedule")
def new(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw the form with its preview, or make the schedule."""
    seen = stores.find(app, store)
    given = request.POST if request.method == "POST" else request.GET
    kind = given.get("kind") or "compact"
    when, why = given.get("cron", ""), given.get("why", "")[:WHY_CHARACTERS_MAX]
    choice = partition_choice.read(given, seen["strip"], hues.palette(seen["strip"]["instances"]))
    partitions = choice["chosen"]
    arguments: dict[str, Any] = {"format": given.get("format") or "jsonl"} if kind == "export" else {}
    context: dict[str, Any] = {
        "it": seen, "store": store, "kind": kind, "cron": when, "why": why, "usual": USUAL, "why_max": WHY_CHARACTERS_MAX,
        "kinds": schedules.REPEATED, "formats": job_arguments.EXPORT_FORMATS, "format": given.get("format") or "jsonl", "choice": choice,
    }  # fmt: skip
    if choice["problem"]:
        context["problem"] = choice["problem"]
    elif request.method == "POST":
        try:
            schedules.create(
                shell.user_of(request), kind=kind, application=app, store=store, partitions=partitions, when=when, why=why,
                arguments=arguments, via="page", address=address_of(request),
            )  # fmt: skip
        except commands.Refused as error:
            context["problem"] = error.words
        else:
            messages.success(request, f"The {kind} of {store} is scheduled.")
            return redirect("schedules")
    if when and not choice["problem"]:
        context |= _preview(request, seen, kind, partitions or choice["known"], when, arguments)
        body = {"kind": kind, "application": app, "store": store, "partitions": partitions, "cron": when, "why": why}
        words = ["schedules", "create", kind, app, store, "--cron", when]
        words += [word for each in partitions for word in ("--partition", str(each))]
        words += [word for name, value in arguments.items() for word in ("--argument", f"{name}={value}")]
        words += ["--why", why] if why else []
        context["copies"] = copy_as.call(
            request, "POST", "/api/v1/schedules", body=body | {"arguments": arguments}, command=words
        )
    return shell.page(request, "pages/new_schedule.html", seen, context, section="jobs", app=app)


def _preview(
    request: HttpRequest, seen: dict[str, Any], kind: str, partitions: list[int], when: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Return the next times and the dry run, or what stands against them."""
    app, store = seen["application"], seen["store"]
    if kind not in schedules.REPEATED:
        return {"problem": f"{kind!r} is not repeated."}
    try:
        policy.demand(request.user, kind, app, store)
        line, at, times = cron.parse(when), timezone.now(), []
        for _ in range(_NEXT_SHOWN):
            at = line.after(at)
            times.append(int(at.timestamp() * 1000))
        return {"times": times, "preview": commands.preview(kind, app, store, partitions, arguments)}
    except (cron.BadCron, PermissionDenied) as error:
        return {"problem": str(error)}
    except commands.Refused as error:
        return {"problem": error.words}


@require_POST
@requires("schedule")
def change(request: HttpRequest, schedule: UUID, what: str) -> HttpResponse:
    """Pause, resume or delete one."""
    done: dict[str, Callable[..., object]] = {
        "pause": schedules.pause,
        "resume": schedules.resume,
        "delete": schedules.delete,
    }
    if what not in done:
        raise Http404(f"{what[:20]!r} cannot be done with a schedule.")
    words = {"pause": "is paused", "resume": "runs again", "delete": "is deleted; the jobs that it has made stay"}
    try:
        done[what](shell.user_of(request), str(schedule), via="page", address=address_of(request))
    except commands.Refused as error:
        messages.error(request, error.words)
    else:
        messages.success(request, f"The schedule {words[what]}.")
    return redirect("schedules")
