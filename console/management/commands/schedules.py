"""`manage.py schedules list|create|pause|resume|delete`: what the schedules page does, on a terminal and for scripts.

``create --dry-run`` shows what a run would do now and makes nothing. A schedule is named by its id or the beginning of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.management import dry_run, rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from console.management.rest import Api

_COLUMNS = [
    ("schedule", "left"), ("kind", "left"), ("application", "left"), ("store", "left"), ("partitions", "left"), ("when, UTC", "left"), ("next", "left"),
    ("last", "left"), ("how it went", "left"), ("by", "left"), ("why", "left"),
]  # fmt: skip
_ID_SHOWN = 8


class Command(BaseCommand):
    """Asks the console."""

    help = (
        "List, make, pause, resume and delete schedules: compactions, verifies, rebuilds and exports that come again."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="those that run next first")
        listing.add_argument("application", nargs="?", help="of one application only")
        create = actions.add_parser("create", help="make one")
        dry_run.add_arguments(create)
        create.add_argument(
            "--cron", required=True, help="minute hour day month weekday, in UTC; or @hourly @daily @weekly @monthly"
        )
        for name, words in (("pause", "let one rest"), ("resume", "let one run again"), ("delete", "its jobs stay")):
            actions.add_parser(name, help=words).add_argument("schedule", help="its id, or the beginning of it")
        for each in actions.choices.values():
            rest.add_arguments(each)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api, action = rest.connect(options), options["action"]
        if action == "list":
            params = {"application": options["application"]} if options["application"] else {}
            found = api.get("schedules", **params)
            rows = [_row(each) for each in found["schedules"]]
            terminal.say(self, options, found, terminal.table(_COLUMNS, rows) if rows else "No schedule yet.\n")
        elif action == "create":
            self._create(api, options)
        elif action == "delete":
            found = api.delete(f"schedules/{_find(api, options['schedule'])}")
            terminal.say(
                self, options, found, f"Schedule {found['deleted']} is deleted; the jobs that it has made stay.\n"
            )
        else:
            found = api.post(f"schedules/{_find(api, options['schedule'])}/{action}")
            terminal.say(self, options, found, terminal.table(_COLUMNS, [_row(found["schedule"])]))

    def _create(self, api: Api, options: dict[str, Any]) -> None:
        body = {name: options[name] for name in ("kind", "application", "store", "why")}
        body |= {"partitions": options["partition"] or [], "arguments": dry_run.arguments(options["argument"] or [])}
        if options["dry_run"]:
            shown = api.post(
                "jobs", body | {"dry_run": True, "partitions": options["partition"] or _partitions(api, options)}
            )
            terminal.say(self, options, shown, dry_run.table(shown["dry_run"]))
            return
        found = api.post("schedules", body | {"cron": options["cron"]})
        terminal.say(self, options, found, terminal.table(_COLUMNS, [_row(found["schedule"])]))


def _partitions(api: Api, options: dict[str, Any]) -> list[int]:
    found = api.get(f"applications/{options['application']}/stores/{options['store']}")
    return sorted({each["partition"] for each in found["positions"]})


def _find(api: Api, schedule: str) -> str:
    """Return the id of the one schedule whose id begins so."""
    ids = [str(each["id"]) for each in api.get("schedules")["schedules"]]
    found = [each for each in ids if each.startswith(schedule.lower())]
    if len(found) != 1:
        words = f"{len(found)} schedules have an id that begins so" if found else "there is no such schedule"
        raise CommandError(f"{schedule!r}: {words}: `manage.py schedules list --json` has whole ids", returncode=3)
    return found[0]


def _row(each: dict[str, Any]) -> list[Any]:
    jobs = [f"#{job['number']} {job['state']}" for job in each["last_jobs"]]
    told = [each["last_outcome"]] if each["last_outcome"] and each["last_outcome"] != "started" else []
    return [
        each["id"][:_ID_SHOWN], each["kind"], each["application"], each["store"], ", ".join(map(str, each["partitions"])) or "all", each["cron"],
        ("paused", "yellow") if each["paused"] else terminal.moment(each["next_at"]), terminal.moment(each["last_at"]), ", ".join(jobs + told),
        each["created_by"], each["why"],
    ]  # fmt: skip
