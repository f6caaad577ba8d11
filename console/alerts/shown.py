"""Rules, alerts and messages as pages and the API show them. Read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.alerts import conditions, rules
from console.models import Alert, AlertDelivery, AlertRule
from console.observe.recorded import ms

if TYPE_CHECKING:
    from django.db.models import QuerySet

_HISTORY_MAX = 100
_MESSAGES_MAX = 30


def everything(*, secrets: bool) -> dict[str, Any]:
    """Return rules, open alerts, ended ones and messages; without ``secrets`` a webhook's path is left out."""
    opened = Alert.objects.filter(resolved_at__isnull=True)
    return {
        "rules": [
            rule_of(each, secrets=secrets) for each in AlertRule.objects.select_related("created_by").order_by("name")
        ],
        "open": _alerts(opened.order_by("-state", "-since")),
        "history": _alerts(Alert.objects.filter(resolved_at__isnull=False).order_by("-resolved_at")[:_HISTORY_MAX]),
        "sent": [
            {
                "id": str(each.pk),
                "rule": each.rule_name,
                "about": f"{each.alert.application} / {each.alert.name}" if each.alert else None,
                "transition": each.transition,
                "channel": each.channel,
                "target": _target(each.channel, each.target, secrets=secrets),
                "state": each.state,
                "attempts": each.attempts,
                "created_at": ms(each.created_at),
                "sent_at": ms(each.sent_at),
                "error": each.error or None,
            }
            for each in AlertDelivery.objects.select_related("alert").order_by("-created_at")[:_MESSAGES_MAX]
        ],
    }


def rule_of(rule: AlertRule, *, secrets: bool) -> dict[str, Any]:
    """Return one rule."""
    receivers = [_target("webhook", rule.webhook_url, secrets=secrets)] if rule.webhook_url else []
    return {
        "id": rule.pk,
        "name": rule.name,
        "words": conditions.words_of_rule(rule),
        "application": rule.application or None,
        "condition": rule.condition,
        "subject": rule.subject or None,
        "threshold": rule.threshold,
        "verdict": rule.verdict or None,
        "for_seconds": rule.for_seconds,
        "receivers": receivers + rule.emails,
        "enabled": rule.enabled,
        "created_by": rule.created_by.get_username() if rule.created_by else None,
    }


def form_of(rule: AlertRule) -> dict[str, str]:
    """Return a rule as the form's texts."""
    threshold = rule.threshold or 0
    return {
        "name": rule.name,
        "application": rule.application,
        "condition": rule.condition,
        "subject": rule.subject,
        "threshold": str(threshold // 1_000 if rule.condition in rules.IN_SECONDS else threshold),
        "verdict": rule.verdict or rules.FIELDS["verdict"],
        "for_seconds": str(rule.for_seconds),
        "webhook_url": rule.webhook_url,
        "emails": ", ".join(rule.emails),
        "enabled": "on" if rule.enabled else "",
    }


def _alerts(found: QuerySet[Alert]) -> list[dict[str, Any]]:
    return [
        {
            "id": each.pk,
            "rule": each.rule_name,
            "application": each.application,
            "kind": each.kind,
            "name": each.name,
            "state": each.state,
            "words": each.words,
            "value": each.value,
            "since": ms(each.since),
            "fired_at": ms(each.fired_at),
            "resolved_at": ms(each.resolved_at),
            "lasted_ms": int((each.resolved_at - each.since).total_seconds() * 1000) if each.resolved_at else None,
            "ending": each.ending or None,
        }
        for each in found
    ]


def _target(channel: str, target: str, *, secrets: bool) -> str:
    return rules.host_of(target) if channel == "webhook" and not secrets else target
