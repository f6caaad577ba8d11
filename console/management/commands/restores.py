"""`manage.py restores list|show`: restores that run and that were, as the restores pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from console.management import rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

_COLUMNS = [
    ("restore", "right"), ("store", "left"), ("partition", "right"), ("instance", "left"), ("cause", "left"), ("outcome", "left"), ("done", "right"),
    ("from", "right"), ("to", "right"), ("records", "right"), ("rate", "right"), ("took", "right"),
]  # fmt: skip
_PHASES = [("phase", "left"), ("first seen", "left"), ("lasted", "right")]
_TONES = {"done": "green", "interrupted": "yellow"}


class Command(BaseCommand):
    """Asks the console."""

    help = "List and show the restores of an application."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="those that run, and the newest that have ended")
        show = actions.add_parser("show", help="one restore: phases, the task's other stores, who asked for it")
        for each in (listing, show):
            each.add_argument("application")
            rest.add_arguments(each)
        listing.add_argument("--search", metavar="WORDS", help="a part of the cause, store or instance, or a task")
        listing.add_argument("--outcome", choices=("done", "interrupted"))
        listing.add_argument("--limit", type=int, default=50, help="so many ended ones at most")
        show.add_argument("restore", type=int, help="its number")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api, app = rest.connect(options), options["application"]
        if options["action"] == "list":
            given = {"q": options["search"], "outcome": options["outcome"], "limit": str(options["limit"])}
            found = api.get(f"applications/{app}/restores", **{name: value for name, value in given.items() if value})
            rows = [_row(each) for each in [*found["running"], *found["history"]]]
            terminal.say(self, options, found, terminal.table(_COLUMNS, rows) if rows else "No restore is like this.\n")
        else:
            found = api.get(f"applications/{app}/restores/{options['restore']}")
            terminal.say(self, options, found, _whole(found))


def _row(each: dict[str, Any]) -> list[Any]:
    done = None if each["percent"] is None else f"{each['percent']:.1f} %"
    cause = each["cause"] or ("nothing to read" if each["records"] == 0 else None)
    return [
        f"#{each['id']}" if each["id"] is not None else None, each["store"], each["partition"], each["instance"], cause,
        (each["outcome"], _TONES.get(each["outcome"], "")), done, terminal.number(each["start"]), terminal.number(each["position"]),
        terminal.number(each["records"]), terminal.rate(each["rate_per_second"] if each["records"] else None), terminal.span(each["duration_ms"]),
    ]  # fmt: skip


def _whole(found: dict[str, Any]) -> str:
    it, job = found["restore"], found["job"]
    asked = f"asked by {job['created_by'] or 'nobody known'} with {job['kind']} #{job['number']}" if job else ""
    lines = [
        f"restore #{it['id']} of {it['application']}/{it['store']}, partition {it['partition']}, task {it['task']}, on {it['instance']}: {it['outcome']}",
        f"cause: {it['cause'] or 'not known'}" + (f"; {asked}" if asked else ""),
    ]
    phases = [
        [each["phase"], terminal.moment(each["at"]), terminal.span(each["lasted_ms"])] for each in found["phases"]
    ]
    events = [f"{terminal.moment(each['at'])}  {each['event']}: {each['message']}" for each in found["events"]]
    parts = ["\n".join(lines) + "\n", terminal.table(_COLUMNS, [_row(each) for each in found["stores"]])]
    if phases:
        parts.append(terminal.table(_PHASES, phases))
    if events:
        parts.append("\n".join(events) + "\n")
    return "\n".join(parts)
