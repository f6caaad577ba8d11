"""`manage.py entries`: read a store through the console, with all that its REST API can ask, Avro included.

`manage.py store` asks the engines themselves, with their token; this asks the console, with the role of whoever asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.core.management.base import BaseCommand, CommandError

from console import limits
from console.management import rest, terminal
from engine.query.terminal import entry_row

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from console.management.rest import Api

_COLUMNS = [("key", "left"), ("value", "left"), ("time", "left"), ("partition", "right"), ("bytes", "right")]
# A parameter of the API is an option of the same name.
PARAMETERS = {
    "key": "one key", "prefix": "keys whose bytes begin so", "from": "first key, inclusive", "to": "last key, inclusive",
    "window_from": "first window start in ms", "window_to": "last window start in ms", "session_from": "sessions that end at this ms or later",
    "session_to": "sessions that start at this ms or earlier", "as_of": "the version valid at this ms", "valid_from": "versions valid at this ms or later",
    "valid_to": "versions valid at this ms or earlier", "where": 'only entries for which this holds, such as: value.flights > 40 and key startswith "U"',
    "partition": "one partition only", "max_lag": "let a standby answer that is at most so many records behind",
    "key_format": "read and show keys as string, json, int64, hex, base64, avro …", "value_format": "show values so",
}  # fmt: skip


class Command(BaseCommand):
    """Asks the console; ends with 3 when a key has no entry, with 1 when a partition did not answer."""

    help = "Read a store's entries through the console: by key, prefix, range, time and filter, Avro included."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        rest.add_arguments(parser)
        parser.add_argument("application")
        parser.add_argument("store")
        for name, words in PARAMETERS.items():
            parser.add_argument(option(name), dest=f"asked_{name}", help=words)
        parser.add_argument("--reverse", action="store_true", help="from the end")
        parser.add_argument(
            "--limit", type=int, default=limits.PAGE_ENTRIES_DEFAULT, help="at most so many entries (0: all)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        asked = {name: options[f"asked_{name}"] for name in PARAMETERS if options[f"asked_{name}"] is not None}
        if options["reverse"]:
            asked["reverse"] = "true"
        path = (
            f"applications/{quote(options['application'], safe='')}/stores/{quote(options['store'], safe='')}/entries"
        )
        found, failed = _collect(rest.connect(options), path, asked, options["limit"])
        terminal.say(self, options, found, _table(found))
        if failed:
            raise CommandError("incomplete: " + "; ".join(failed))
        if not found and "key" in asked:
            raise CommandError(f"no entry of {asked['key']!r} in {options['store']}", returncode=3)


def option(parameter: str) -> str:
    """Return the option of a parameter."""
    return "--" + parameter.replace("_", "-")


def _collect(api: Api, path: str, asked: dict[str, str], limit: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the entries of as many pages as it takes, and who did not answer."""
    found: list[dict[str, Any]] = []
    failed: list[str] = []
    place: dict[str, str] = {}
    while True:
        size = min(limit - len(found) if limit else limits.PAGE_ENTRIES_MAX, limits.PAGE_ENTRIES_MAX)
        page = api.get(path, **asked, **place, limit=str(size))
        found += page["entries"]
        failed += [
            f"partition {each['partition']}: {each['error']['message']}" for each in page["sources"] if each["error"]
        ]
        if not page["cursor"] or failed or (limit and len(found) >= limit):
            return found, failed
        place = {"cursor": page["cursor"]}


def _table(found: list[dict[str, Any]]) -> str:
    rows = [
        list(entry_row({name: value for name, value in each.items() if name != "timestamp" or value is not None}))
        for each in found
    ]
    count = f"{len(found):,} {'entry' if len(found) == 1 else 'entries'}\n"
    return (terminal.table(_COLUMNS, rows) if rows else "") + count
