"""`manage.py alerts list|create|change|test|delete`: what is open and the rules; rules made, changed, tried, deleted.

A webhook's URL is a secret to many services: it comes from a file, for other users of a machine see command lines.
"""

from __future__ import annotations

from argparse import BooleanOptionalAction, FileType
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
# What a rule is made of, as options; None is "not given".
_FIELDS = ("name", "condition", "application", "subject", "threshold", "verdict", "for_seconds", "emails", "enabled")


class Command(BaseCommand):
    """Asks the console; ``list`` ends with 1 when an alert fires, so that a script can watch it."""

    help = "List alerts and their rules; make, change, try and delete a rule."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("list", help="what is open, and the rules")
        create = actions.add_parser("create", help="make a rule")
        create.add_argument("name", help="messages are headed by it")
        _add_fields(create, required=True)
        change = actions.add_parser("change", help="what is not named stays; what the rule had found ends")
        change.add_argument("rule", help="its number or its name")
        change.add_argument("--name", help="messages are headed by it")
        _add_fields(change, required=False)
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
        if action == "create":
            found = api.post("alerts/rules", _given(options))
            terminal.say(self, options, found, terminal.table(_RULES, [_rule(found["rule"])]))
            return
        number = _find(api, options["rule"])
        if action == "change":
            if not (given := _given(options)):
                raise CommandError("nothing to change is named: see `manage.py alerts change --help`")
            found = api.patch(f"alerts/rules/{number}", given)
            terminal.say(self, options, found, terminal.table(_RULES, [_rule(found["rule"])]))
            return
        if action == "test":
            found = api.post(f"alerts/rules/{number}/test")
            count = len(found["queued"])
            text = f"{count} test message{'s' if count != 1 else ''} under way: the page Alerts says whether they arrive.\n"
        else:
            found, text = api.delete(f"alerts/rules/{number}"), f"The rule {options['rule']} is deleted.\n"
        terminal.say(self, options, found, text)


def _add_fields(parser: ArgumentParser, *, required: bool) -> None:
    # The console knows the conditions and says them to whoever names another one: it may be newer than this command.
    parser.add_argument("--condition", required=required, help="lag-records, lag-time, verdict, restore or unreachable")
    parser.add_argument("--application", help="of this one only; empty: any")
    parser.add_argument("--subject", help="a topic, store or instance; empty: any")
    parser.add_argument("--threshold", type=int, help="records; seconds for lag in time and restores")
    parser.add_argument("--verdict", help="the least that tells: WARN, STALL or STOP")
    parser.add_argument("--for-seconds", type=int, help="shorter spells are not told")
    parser.add_argument("--email", dest="emails", action="append", metavar="ADDRESS", help="may be given several times")
    parser.add_argument(
        "--webhook-url-file", type=FileType(), help="a file with the webhook's URL (- is standard input)"
    )
    parser.add_argument("--enabled", action=BooleanOptionalAction, help="whether the rule is on")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are named, as the API has them."""
    found = {field: options[field] for field in _FIELDS if options[field] is not None}
    if options["webhook_url_file"]:
        with options["webhook_url_file"] as file:
            found["webhook_url"] = file.read().strip()
    return found


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
