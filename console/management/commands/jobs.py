"""`manage.py jobs list|show|start|cancel`: what the jobs pages do, on a terminal and for scripts.

``start`` shows the dry run and asks; ``--yes`` goes on without asking, ``--dry-run`` ends after showing. ``--wait`` follows
the job to its end and fails with it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.management import dry_run, rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from console.management.rest import Api

_ENDED = {"succeeded", "failed", "cancelled"}
_POLL_S = 1.0
_JOBS = [
    ("job", "right"), ("kind", "left"), ("application", "left"), ("store", "left"), ("partitions", "left"), ("state", "left"),
    ("done", "right"), ("left", "right"), ("took", "right"), ("by", "left"), ("why", "left"),
]  # fmt: skip
_PARTS = [
    ("partition", "right"), ("phase", "left"), ("from", "right"), ("at", "right"), ("to", "right"), ("done", "right"), ("rate", "right"),
]  # fmt: skip


class Command(BaseCommand):
    """Asks the console."""

    help = "List, show, start and cancel jobs: rebuild, verify, snapshot, compact, export."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="the newest jobs")
        listing.add_argument("application", nargs="?", help="of one application only")
        show = actions.add_parser("show", help="one job, with its partitions")
        cancel = actions.add_parser("cancel", help="ask a job to end")
        for each in (show, cancel):
            each.add_argument("job", help="its number or its id")
        start = actions.add_parser("start", help="show the dry run, ask, and start a job")
        dry_run.add_arguments(start)
        start.add_argument("--yes", action="store_true", help="do not ask")
        for each in (start, show):
            each.add_argument("--wait", action="store_true", help="follow it to its end, and fail when it fails")
        for each in actions.choices.values():
            rest.add_arguments(each)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api = rest.connect(options)
        if options["action"] == "list":
            params = {"application": options["application"]} if options["application"] else {}
            found = api.get("jobs", **params)
            rows = [_row(each) for each in found["jobs"]]
            terminal.say(self, options, found, terminal.table(_JOBS, rows) if rows else "No job yet.\n")
        elif options["action"] == "start":
            self._start(api, options)
        else:
            job = _find(api, options["job"])
            if options["action"] == "cancel":
                job = api.post(f"jobs/{job['id']}/cancel")["job"]
            self._show(api, job, options)

    def _start(self, api: Api, options: dict[str, Any]) -> None:
        kind, app, store = options["kind"], options["application"], options["store"]
        partitions = options["partition"]
        if partitions is None:
            found = api.get(f"applications/{app}/stores/{store}")
            partitions = sorted({each["partition"] for each in found["positions"]})
        body = {"kind": kind, "application": app, "store": store, "partitions": partitions, "why": options["why"]}
        body["arguments"] = dry_run.arguments(options["argument"] or [])
        shown = api.post("jobs", body | {"dry_run": True})["dry_run"]
        if options["dry_run"] or not options["json"]:
            terminal.say(self, options, {"dry_run": shown}, dry_run.table(shown))
        if not shown["can_run"]:
            raise CommandError("it cannot run now: " + " ".join(shown["problems"]))
        if options["dry_run"]:
            return
        if not options["yes"] and not self._agreed(store):
            raise CommandError("nothing was started")
        self._show(api, api.post("jobs", body | {"dry_run": False})["job"], options)

    def _agreed(self, store: str) -> bool:
        if not sys.stdin.isatty():
            raise CommandError("nobody can be asked here: give --yes to start it, or --dry-run to only look")
        return input(f"Type the store's name, {store}, to go on: ").strip() == store

    def _show(self, api: Api, job: dict[str, Any], options: dict[str, Any]) -> None:
        while options.get("wait") and job["state"] not in _ENDED:
            time.sleep(_POLL_S)
            job = api.get(f"jobs/{job['id']}")["job"]
        rows = [_part(number, job["progress"].get(str(number)) or {}) for number in job["partitions"]]
        lines = [
            f"{job['kind']} #{job['number']} of {job['application']}/{job['store']}: {job['state']}"
            + (f". {job['reason']}" if job["reason"] else ""),
            *([str(job["result"]["words"])] if job["result"].get("words") else []),
            f"id {job['id']}, asked by {job['created_by'] or 'nobody known'}, took {terminal.span(job['duration_ms'])}",
        ]
        terminal.say(self, options, job, "\n".join(lines) + "\n" + terminal.table(_PARTS, rows))
        if options.get("wait") and job["state"] != "succeeded":
            raise CommandError(f"the job has {job['state']}: {job['reason'] or 'no reason was given'}")


def _find(api: Api, job: str) -> dict[str, Any]:
    """Return a job by its id, or by its number among the newest."""
    text = job.lstrip("#")
    if not text.isdecimal():
        return dict(api.get(f"jobs/{job}")["job"])
    found = next((each for each in api.get("jobs")["jobs"] if each["number"] == int(text)), None)
    if found is None:
        raise CommandError(f"there is no job #{text} among the newest 100: give its id", returncode=3)
    return dict(found)


def _row(job: dict[str, Any]) -> list[Any]:
    tone = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}.get(job["state"], "")
    done = None if job["percent"] is None else f"{job['percent']:.1f} %"
    left = None if job["state"] in _ENDED else terminal.eta(job["eta"])
    return [
        f"#{job['number']}", job["kind"], job["application"], job["store"], ", ".join(map(str, job["partitions"])),
        (job["state"], tone), done, left, terminal.span(job["duration_ms"]), job["created_by"], job["why"],
    ]  # fmt: skip


def _part(partition: int, progress: dict[str, Any]) -> list[Any]:
    percent = progress.get("percent")
    return [
        partition, progress.get("phase") or "queued", *(terminal.number(progress.get(name)) for name in ("start", "position", "end")),
        None if percent is None else f"{percent:.1f} %", terminal.rate(progress.get("rate_per_second")),
    ]  # fmt: skip
