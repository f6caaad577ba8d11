"""`manage.py alerts list|test|delete`: what is open and the rules; a test message to a rule's receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.management import rest, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from console.management.rest import Api

_OPEN = [
    ("rule", "left"),
    ("state", "left"),
    ("application", "left"),
    ("about", "left"),
    ("what", "left"),
    ("since", "left"),
]
_RULES = [("rule", "right"), ("name", "left"), ("tells when", "left"), ("tells", "left"), ("state", "left")]


class Command(BaseCommand):
    """Asks the console; ``list`` ends with 1 when an alert fires, so that a script can watch it."""

    help = "List alerts and their rules, send a test message, delete a rule."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("list", help="what is open, and the rules")
        for name, words in (
            ("test", "send its receivers a test message"),
            ("delete", "what it found stays in the history"),
        ):
            actions.add_parser(name, help=words).add_argument("rule", help="its number or its name")
        for each in actions.choices.values():
            rest.add_arguments(each)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and show."""
        api, action = rest.connect(options), options["action"]
        if action == "list":
            found = api.get("alerts")
            tables = [
                (_OPEN, [_alert(each) for each in found["open"]]),
                (_RULES, [_rule(each) for each in found["rules"]]),
            ]
            text = "\n".join(terminal.table(columns, rows) for columns, rows in tables if rows)
            terminal.say(self, options, found, text or "No rule yet.\n")
            firing = sum(each["state"] == "firing" for each in found["open"])
            if firing:
                raise CommandError(f"{firing} alert{'s' if firing != 1 else ''} firing")
            return
        number = _find(api, options["rule"])
        if action == "test":
            found = api.post(f"alerts/rules/{number}/test")
            count = len(found["queued"])
            text = f"{count} test message{'s' if count != 1 else ''} under way: the page Alerts says whether they arrive.\n"
        else:
            found, text = api.delete(f"alerts/rules/{number}"), f"The rule {options['rule']} is deleted.\n"
        terminal.say(self, options, found, text)


def _find(api: Api, rule: str) -> int:
    """Return a rule's number."""
    found = next((each["id"] for each in api.get("alerts")["rules"] if rule in {str(each["id"]), each["name"]}), None)
    if found is None:
        raise CommandError(f"there is no alert rule {rule!r}", returncode=3)
    return int(found)


def _alert(each: dict[str, Any]) -> list[Any]:
    tone = "red" if each["state"] == "firing" else "yellow"
    return [
        each["rule"],
        (each["state"], tone),
        each["application"],
        each["name"],
        each["words"],
        terminal.moment(each["since"]),
    ]


def _rule(each: dict[str, Any]) -> list[Any]:
    return [
        each["id"],
        each["name"],
        each["words"],
        ", ".join(each["receivers"]),
        "on" if each["enabled"] else ("off", "yellow"),
    ]
