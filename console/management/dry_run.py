"""A dry run on a terminal, and the arguments of a kind as ``--argument`` gives them. For `manage.py jobs` and `schedules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from console.management import terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

_COLUMNS = [
    ("partition", "right"), ("on", "left"), ("records, about", "right"), ("takes, about", "right"), ("disk needed", "right"),
]  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    """Declare what is asked for: kind, application, store, partitions, arguments of the kind, and why."""
    for name in ("kind", "application", "store"):
        parser.add_argument(name)
    parser.add_argument("--partition", type=int, action="append", help="may be given more than once (default: all)")
    parser.add_argument(
        "--argument", action="append", metavar="NAME=VALUE", help="such as as_of_offset=58000, format=csv"
    )
    parser.add_argument("--why", default="", help="for the history")
    parser.add_argument("--dry-run", action="store_true", help="show what it would do, and nothing else")


def arguments(given: list[str]) -> dict[str, Any]:
    """Return the arguments of a kind; what looks like a whole number is one. Raises ``CommandError``."""
    found: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign:
            raise CommandError(f"--argument {each!r}: write it as name=value")
        found[name] = int(value) if value.isdecimal() else value
    return found


def table(shown: dict[str, Any]) -> str:
    """Return what would happen to each partition, the effects, and what stands against it."""
    rows = []
    for each in shown["partitions"]:
        seconds = each.get("seconds_estimate")
        rows.append(
            [
                each["partition"], f"{each['instance'] or 'no owner'} on {each['host'] or 'no host'}", terminal.number(each.get("records_estimate")),
                terminal.span(None if seconds is None else seconds * 1000), terminal.size(each.get("disk_bytes")),
            ]
        )  # fmt: skip
    words = [f"- {each}" for each in shown["effects"]] + [f"Problem: {each}" for each in shown["problems"]]
    return terminal.table(_COLUMNS, rows) + "\n".join(words) + "\n"
