"""`manage.py apps`: every application with its verdict, instances, stores and lag, as the overview shows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.management import rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Asks the console; ends with 1 when an application stands still or stops, so that a script can watch it."""

    help = "Show the applications: verdict, instances, stores, rates, lag."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        rest.add_arguments(parser)
        parser.add_argument("application", nargs="?", help="the stores of this one, instead of all applications")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api = rest.connect(options)
        if options["application"]:
            found = api.get(f"applications/{options['application']}/stores")
            self._show(options, found, _STORES, [_store(each) for each in found["stores"]])
            return
        found = api.get("applications")
        self._show(options, found, _APPLICATIONS, [_application(each) for each in found["applications"]])
        wrong = [each for each in found["applications"] if each["verdict"]["status"] in {"STALL", "STOP"}]
        if wrong:
            raise CommandError("; ".join(f"{each['id']}: {each['verdict']['reason']}" for each in wrong))

    def _show(
        self, options: dict[str, Any], found: dict[str, Any], columns: list[tuple[str, str]], rows: list[Any]
    ) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            self.stdout.write(terminal.table(columns, rows) if rows else "No application has reported yet.", ending="")
            if found["observer"]["stale"]:
                words = found["observer"]["problem"] or "the observer has not measured anything for more than 5 s"
                self.stdout.write(f"\nStale: {words}")


_APPLICATIONS = [
    ("application", "left"), ("verdict", "left"), ("instances", "right"), ("stores", "right"), ("partitions", "right"),
    ("in", "right"), ("input lag", "right"), ("behind", "right"), ("reason", "left"),
]  # fmt: skip
_STORES = [
    ("store", "left"), ("kind", "left"), ("backend", "left"), ("partitions", "right"), ("keys, about", "right"),
    ("size", "right"), ("changelog lag", "right"), ("restoring", "right"),
]  # fmt: skip


def _application(each: dict[str, Any]) -> list[Any]:
    instances = each["instances"]
    return [
        each["id"],
        terminal.verdict(each["verdict"]["status"]),
        f"{instances['running']} of {instances['total']}",
        len(each["stores"]),
        each["partitions"],
        terminal.rate(each["rates"]["in_per_second"]),
        terminal.number(each["lag"]["total"]),
        terminal.span(each["lag"]["lag_ms"]),
        each["verdict"]["reason"],
    ]


def _store(each: dict[str, Any]) -> list[Any]:
    return [
        each["name"],
        each["kind"],
        each["backend"],
        each["partitions"],
        terminal.number(each["keys_estimate"]),
        terminal.size(each["bytes"]),
        terminal.number(each["lag"]),
        each["restoring"] or "",
    ]
