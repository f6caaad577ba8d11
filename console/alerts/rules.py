"""Making, changing and deleting rules: checked, audited in the same transaction, and what was open is ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from console import limits
from console.access import audit
from console.alerts import evaluate, webhook
from console.alerts.conditions import CONDITIONS, VERDICTS
from console.models import AlertDelivery, AlertRule
from engine.errors import ConfigError
from engine.names import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User

# What a form may hold, with what stands there first.
FIELDS: dict[str, str] = {
    "name": "", "application": "", "condition": "lag-time", "subject": "", "threshold": "60", "verdict": "STALL",
    "for_seconds": "60", "webhook_url": "", "emails": "", "enabled": "on",
}  # fmt: skip
# Conditions whose threshold people give in seconds; it is kept in ms.
IN_SECONDS = frozenset({"lag-time", "restore"})
MEASURED = IN_SECONDS | {"lag-records"}
_AMOUNT = re.compile(r"[0-9]{1,12}")
_SECONDS_MAX = 30 * 86_400


class Invalid(Exception):
    """What was given cannot be a rule: ``problems`` names field and words."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


def save(
    user: User, given: Mapping[str, str], *, rule: AlertRule | None = None, via: str = "page", address: str = ""
) -> AlertRule:
    """Make a rule, or change the given one. Raises ``Invalid``; an audit that fails undoes it."""
    values = parse(given)
    if rule is None and AlertRule.objects.count() >= limits.ALERT_RULES_MAX:
        raise Invalid({"name": f"There are {limits.ALERT_RULES_MAX} rules, the most there can be. Delete one."})
    action = "create-alert-rule" if rule is None else "change-alert-rule"
    try:
        with transaction.atomic():
            if rule is None:
                rule = AlertRule(created_by=user)
            else:
                # What it had found was found under other conditions.
                evaluate.withdraw(rule, "the rule was changed", timezone.now())
            for field, value in values.items():
                setattr(rule, field, value)
            rule.save()
            audit.write(
                user,
                action,
                via=via,
                address=address,
                application=rule.application,
                parameters=_told(rule),
            )
    except IntegrityError as error:
        raise Invalid({"name": "There is a rule with this name."}) from error
    return rule


def delete(user: User, rule: AlertRule, *, via: str = "page", address: str = "") -> None:
    """Delete a rule; its history stays."""
    with transaction.atomic():
        audit.write(user, "delete-alert-rule", via=via, address=address, application=rule.application, parameters=_told(rule))  # fmt: skip
        evaluate.withdraw(rule, "the rule was deleted", timezone.now())
        rule.delete()


def send_test(user: User, rule: AlertRule, *, via: str = "page", address: str) -> list[AlertDelivery]:
    """Queue a test message to every receiver of the rule."""
    receivers = [("webhook", rule.webhook_url)] if rule.webhook_url else []
    receivers += [("email", each) for each in rule.emails]
    with transaction.atomic():
        audit.write(user, "test-alert-rule", via=via, address=address, application=rule.application, parameters=_told(rule))  # fmt: skip
        return [
            AlertDelivery.objects.create(rule_name=rule.name, transition="test", channel=channel, target=target)
            for channel, target in receivers
        ]


def _told(rule: AlertRule) -> dict[str, Any]:
    """Return the rule as the audit has it: a webhook's path is a secret to many services, its host is not."""
    return {
        "rule": rule.name,
        "condition": rule.condition,
        "subject": rule.subject,
        "threshold": rule.threshold,
        "verdict": rule.verdict,
        "for_seconds": rule.for_seconds,
        "webhook": host_of(rule.webhook_url),
        "emails": rule.emails,
        "enabled": rule.enabled,
    }


def host_of(url: str) -> str:
    """Return scheme and host of a webhook's URL."""
    return re.sub(r"^(https?://[^/?#]+).*$", r"\1/…", url) if url else ""


def parse(given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a rule from a form's texts. Raises ``Invalid`` with every problem."""
    text = {field: str(given.get(field, "")).strip() for field in FIELDS}
    emails = list(dict.fromkeys(each for each in re.split(r"[,;\s]+", text["emails"]) if each))
    problems = _about(text) | _measures(text) | _emails(emails)
    if text["webhook_url"] and (words := webhook.check(text["webhook_url"])):
        problems["webhook_url"] = words
    if not emails and not text["webhook_url"]:
        problems["webhook_url"] = "Name a webhook or an e-mail address: a rule that tells nobody is no use."
    if problems:
        raise Invalid(problems)
    scale = 1_000 if text["condition"] in IN_SECONDS else 1
    return {
        **{field: text[field] for field in ("name", "application", "condition", "subject", "webhook_url")},
        "threshold": int(text["threshold"]) * scale if text["condition"] in MEASURED else None,
        "verdict": text["verdict"] if text["condition"] == "verdict" else "",
        "for_seconds": int(text["for_seconds"]),
        "emails": emails,
        "enabled": bool(text["enabled"]),
    }


def _about(text: dict[str, str]) -> dict[str, str]:
    problems: dict[str, str] = {}
    if not 0 < len(text["name"]) <= 100 or not text["name"].isprintable():  # noqa: PLR2004 - the column's length
        problems["name"] = "Give it a name of at most 100 characters: messages are headed by it."
    for field in ("application", "subject"):
        try:
            if text[field]:
                check_name(text[field], field)
        except ConfigError as error:
            problems[field] = str(error)
    return problems


def _measures(text: dict[str, str]) -> dict[str, str]:
    problems: dict[str, str] = {}
    if text["condition"] not in CONDITIONS:
        problems["condition"] = "Choose a condition."
    if text["condition"] in MEASURED and not _AMOUNT.fullmatch(text["threshold"]):
        problems["threshold"] = "Give a whole number."
    if text["condition"] == "verdict" and text["verdict"] not in VERDICTS:
        problems["verdict"] = f"Choose one of {', '.join(VERDICTS)}."
    if not _AMOUNT.fullmatch(text["for_seconds"]) or int(text["for_seconds"]) > _SECONDS_MAX:
        problems["for_seconds"] = "Give whole seconds, thirty days at most."
    return problems


def _emails(emails: list[str]) -> dict[str, str]:
    if len(emails) > limits.ALERT_EMAILS_MAX:
        return {"emails": f"At most {limits.ALERT_EMAILS_MAX} addresses: use a list of your mail system for more."}
    for each in emails:
        try:
            validate_email(each)
        except ValidationError:
            return {"emails": f"{each[:80]!r} is not an e-mail address."}
    return {}
