"""`manage.py lag`: how far each partition is behind, at which rate, and since when; worst first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.management import rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

_COLUMNS = [
    ("input or store", "left"), ("partition", "right"), ("instance", "left"), ("position", "right"), ("end", "right"),
    ("lag", "right"), ("behind", "right"), ("change", "right"), ("left", "right"), ("verdict", "left"), ("reason", "left"),
]  # fmt: skip


class Command(BaseCommand):
    """Asks the console; ends with 1 when a partition stands still or cannot go on."""

    help = "Show the lag of an application's input topics and changelogs, worst first."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        rest.add_arguments(parser)
        parser.add_argument("application", nargs="?", help="one application (default: all)")
        parser.add_argument("--behind", action="store_true", help="only partitions that are behind, or not known")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api = rest.connect(options)
        names = [options["application"]] if options["application"] else []
        names = names or [each["id"] for each in api.get("applications")["applications"]]
        found = [api.get(f"applications/{name}/lag") for name in names]
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        for each in found:
            if not options["json"]:
                self._show(each, only_behind=options["behind"])
        wrong = [each for each in found if each["verdict"]["status"] in {"STALL", "STOP"}]
        if wrong:
            raise CommandError("; ".join(f"{each['id']}: {each['verdict']['reason']}" for each in wrong))

    def _show(self, found: dict[str, Any], *, only_behind: bool) -> None:
        total = found["lag"]["total"]
        self.stdout.write(
            f"{found['id']}: {found['verdict']['status']}. {found['verdict']['reason']} "
            f"{terminal.number(total)} records behind in all."
        )
        rows = [row | {"name": row["topic"]} for row in found["inputs"]]
        rows += [row | {"name": row["store"], "lag_ms": None} for row in found["stores"]]
        if only_behind:
            rows = [row for row in rows if row["lag"] != 0]
        rows.sort(key=lambda row: -(row["lag"] if row["lag"] is not None else float("inf")))
        if rows:
            self.stdout.write(terminal.table(_COLUMNS, [_row(row) for row in rows]), ending="")
        if found["observer"]["stale"]:
            self.stdout.write(f"Stale: {found['observer']['problem'] or 'the observer is silent'}")


def _row(row: dict[str, Any]) -> list[Any]:
    change = row["lag_per_second"]
    return [
        row["name"],
        row["partition"],
        row["instance"],
        terminal.number(row["position"]),
        terminal.number(row["end"]),
        terminal.number(row["lag"]),
        terminal.span(row["lag_ms"]),
        None if change is None else f"{change:+,.1f}/s",
        terminal.eta(row["eta"]),
        terminal.verdict(row["verdict"]),
        row["reason"],
    ]
