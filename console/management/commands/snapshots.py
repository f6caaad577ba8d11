"""`manage.py snapshots list|delete`: stores as they were. `manage.py jobs start snapshot …` takes one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.management import rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

_COLUMNS = [
    ("snapshot", "right"), ("as of", "left"), ("partitions", "left"), ("records", "right"), ("size", "right"), ("on", "left"), ("taken", "left"),
    ("goes", "left"), ("by", "left"), ("id", "left"),
]  # fmt: skip


class Command(BaseCommand):
    """Asks the console."""

    help = "List and delete the snapshots of a store."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="newest first")
        delete = actions.add_parser("delete", help="delete one and its files")
        for each in (listing, delete):
            each.add_argument("application")
            each.add_argument("store")
            rest.add_arguments(each)
        delete.add_argument("snapshot", help="its number or its id")
        delete.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api = rest.connect(options)
        path = f"applications/{options['application']}/stores/{options['store']}/snapshots"
        found = api.get(path)
        if options["action"] == "list":
            rows = [_row(each) for each in found["snapshots"]]
            terminal.say(self, options, found, terminal.table(_COLUMNS, rows) if rows else "No snapshot.\n")
            return
        wanted = options["snapshot"].lstrip("#")
        one = next((each for each in found["snapshots"] if wanted in {str(each["number"]), each["id"]}), None)
        if one is None:
            raise CommandError(f"there is no snapshot {wanted} of {options['store']}", returncode=3)
        if not options["yes"] and not _agreed(one["number"]):
            raise CommandError("nothing was deleted")
        terminal.say(self, options, api.delete(f"{path}/{one['id']}"), f"Snapshot #{one['number']} is deleted.\n")


def _agreed(number: int) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("nobody can be asked here: give --yes to delete it")
    return input(f"Type the snapshot's number, {number}, to delete it: ").strip() == str(number)


def _row(each: dict[str, Any]) -> list[Any]:
    of = each["as_of"]
    return [
        f"#{each['number']}", f"offset {of['offset']:,}" if "offset" in of else terminal.moment(of["time_ms"]),
        ", ".join(str(part["partition"]) for part in each["partitions"]), terminal.number(each["records"]), terminal.size(each["bytes"]), each["host"],
        terminal.moment(each["created_at"]), terminal.moment(each["expires_at"]), each["created_by"], each["id"],
    ]  # fmt: skip
