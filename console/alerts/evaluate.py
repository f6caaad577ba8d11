"""From findings to alerts: pending while a condition holds for too short a time, then firing, then resolved.

    (holds) ──> pending ──held for long enough──> firing ──no longer holds──> resolved
                   └──no longer holds──> (gone without a trace)

Every transition is one conditional update in one transaction with the deliveries that it causes, so that evaluations
that overlap, or one that is repeated, tell everybody once. While nobody observes, nothing is evaluated: silence is
neither trouble nor recovery.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from console.alerts import conditions
from console.models import Alert, AlertDelivery, AlertRule

if TYPE_CHECKING:
    from datetime import datetime

    from console.alerts.conditions import Finding, Thing
    from console.observe.board import Board

logger = logging.getLogger(__name__)


def evaluate(board: Board, now: datetime) -> int:
    """Bring every rule's alerts up to date; return how many transitions there were. The deliveries wait to be sent."""
    if board.observer["stale"]:
        return 0
    done = 0
    now_ms = int(now.timestamp() * 1000)
    for rule in AlertRule.objects.filter(enabled=True):
        found = conditions.findings(rule, board.applications.values(), now_ms)
        opened = {
            conditions.Thing(alert.application, alert.kind, alert.name): alert
            for alert in rule.alerts.filter(resolved_at__isnull=True)
        }
        for thing, finding in found.items():
            if finding.holds:
                done += _hold(rule, thing, finding, opened.get(thing), now)
        for thing, alert in opened.items():
            seen = found.get(thing)
            if seen is None or seen.holds is False:
                done += _end(alert, seen.words if seen else "it is not reported any more", now)
    return done


def withdraw(rule: AlertRule, why: str, now: datetime) -> None:
    """End what a rule has open, because it was changed, switched off or deleted. Whoever was told is told again."""
    for alert in rule.alerts.filter(resolved_at__isnull=True):
        _end(alert, why, now)


def _hold(rule: AlertRule, thing: Thing, finding: Finding, alert: Alert | None, now: datetime) -> int:
    if alert is None:
        try:
            with transaction.atomic():
                alert = Alert.objects.create(
                    rule=rule,
                    rule_name=rule.name,
                    application=thing.application,
                    kind=thing.kind,
                    name=thing.name,
                    words=finding.words,
                    value=finding.value,
                    since=now,
                )
        except IntegrityError:
            # Another evaluation has opened it in this very moment.
            return 0
    Alert.objects.filter(pk=alert.pk, resolved_at__isnull=True).update(words=finding.words, value=finding.value)
    if alert.state != Alert.PENDING or now - alert.since < timedelta(seconds=rule.for_seconds):
        return 0
    with transaction.atomic():
        fired = Alert.objects.filter(pk=alert.pk, state=Alert.PENDING).update(state=Alert.FIRING, fired_at=now)
        if fired:
            announce(alert, "firing", rule, now)
    return fired


def _end(alert: Alert, words: str, now: datetime) -> int:
    with transaction.atomic():
        Alert.objects.filter(pk=alert.pk, state=Alert.PENDING).delete()
        ended = Alert.objects.filter(pk=alert.pk, state=Alert.FIRING).update(
            state=Alert.RESOLVED, resolved_at=now, ending=words[:200]
        )
        if ended:
            # Whoever was told that it fires is told that it ended, whatever the rule says by now.
            told = AlertDelivery.objects.filter(alert=alert, transition="firing").values_list("channel", "target")
            _queue(alert, "resolved", [(channel, target) for channel, target in told], now)
    return ended


def announce(alert: Alert, transition: str, rule: AlertRule, now: datetime) -> None:
    """Queue the deliveries of one transition to everybody whom the rule names."""
    receivers = [("webhook", rule.webhook_url)] if rule.webhook_url else []
    receivers += [("email", address) for address in rule.emails]
    _queue(alert, transition, receivers, now)


def _queue(alert: Alert, transition: str, receivers: list[tuple[str, str]], now: datetime) -> None:
    AlertDelivery.objects.bulk_create(
        [
            AlertDelivery(
                alert=alert,
                rule_name=alert.rule_name,
                transition=transition,
                channel=channel,
                target=target,
                due_at=now,
                created_at=now,
            )
            for channel, target in receivers
        ],
        ignore_conflicts=True,
    )
    logger.info("alert-%s %s: %s %s", transition, alert.rule_name, alert.application, alert.name)
