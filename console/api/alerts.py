"""Handlers of alerts: rules and what became of them; making, changing, testing and deleting a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.access import policy
from console.alerts import rules, shown, tasks
from console.api.errors import ApiError
from console.models import AlertRule

if TYPE_CHECKING:
    from console.api.dispatch import Call


def listing(call: Call) -> dict[str, Any]:
    """Alert rules and what became of them; who may not write rules does not see a webhook's path."""
    return shown.everything(secrets=policy.allowed(call.user, "manage-alerts"))


def create(call: Call) -> tuple[int, dict[str, Any]]:
    """Make a rule."""
    return 201, {"rule": _saved(call, rules.FIELDS, None)}


def change(call: Call) -> dict[str, Any]:
    """Change the fields that are given; what the rule had found ends, for it was found under other conditions."""
    found = _rule(call)
    return {"rule": _saved(call, shown.form_of(found), found)}


def send_test(call: Call) -> dict[str, Any]:
    """Have a test message sent to everybody whom the rule names."""
    found = _rule(call)
    queued = rules.send_test(call.user, found, **call.origin)
    tasks.ask()
    return {"rule": shown.rule_of(found, secrets=True), "queued": [str(each.pk) for each in queued]}


def delete(call: Call) -> dict[str, Any]:
    """Delete a rule; what it found stays in the history."""
    found = _rule(call)
    number = found.pk
    rules.delete(call.user, found, **call.origin)
    tasks.ask()
    return {"deleted": number}


def _saved(call: Call, before: dict[str, str], rule: AlertRule | None) -> dict[str, Any]:
    given = call.body()
    unknown = sorted(set(given) - set(rules.FIELDS))
    if unknown:
        raise ApiError("bad-request", f"Unknown field {unknown[0][:40]!r}. Use: {', '.join(sorted(rules.FIELDS))}.")
    texts = before | {name: _text(name, value) for name, value in given.items()}
    try:
        saved = rules.save(call.user, texts, rule=rule, **call.origin)
    except rules.Invalid as error:
        raise ApiError("bad-request", " ".join(f"{name}: {words}" for name, words in error.problems.items())) from error
    return shown.rule_of(saved, secrets=True)


def _rule(call: Call) -> AlertRule:
    number = call.path["rule"]
    found = AlertRule.objects.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 19 else None  # noqa: PLR2004 - what a database's integer holds
    if found is None:
        raise ApiError("not-found", f"There is no alert rule {number[:20]}.")
    return found


def _text(name: str, value: Any) -> str:
    """Return a field as the form has it."""
    if isinstance(value, bool):
        return "on" if value else ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    if isinstance(value, str | int):
        return str(value)
    raise ApiError("bad-request", f"{name} must be text, a whole number, true or false, or (emails) a list of texts.")
