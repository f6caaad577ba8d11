"""Sending what waits: each delivery is claimed by one conditional update, sent, and closed with what came of it.

A receiver that is away is tried again with growing pauses. A worker that dies between sending and closing leaves the
claim behind; it lapses, and the message goes out again under the same id: a receiver that keeps ids sees each once.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import Q
from django.urls import reverse

from console import limits
from console.alerts import webhook
from console.alerts.webhook import Undeliverable
from console.models import Alert, AlertDelivery

if TYPE_CHECKING:
    from datetime import datetime

logger = logging.getLogger(__name__)

_VERBS = {"firing": "fires", "resolved": "is resolved", "test": "is tested"}


def due(now: datetime) -> list[AlertDelivery]:
    """Return what is to be sent now, the oldest first: what waits, and what a dead worker had claimed."""
    lapsed = Q(state=AlertDelivery.SENDING, due_at__lte=now)
    waiting = Q(state=AlertDelivery.WAITING, due_at__lte=now)
    return list(
        AlertDelivery.objects.filter(waiting | lapsed)
        .select_related("alert")
        .order_by("created_at")[: limits.ALERT_DELIVERIES_AT_ONCE]
    )


def send_due(now: datetime) -> int:
    """Send everything that is due; return how many were delivered."""
    return sum(attempt(each, now) for each in due(now))


def attempt(delivery: AlertDelivery, now: datetime) -> bool:
    """Try one delivery once; False when it failed, or another worker has it."""
    claimed = AlertDelivery.objects.filter(
        pk=delivery.pk, state=delivery.state, attempts=delivery.attempts, due_at=delivery.due_at
    ).update(
        state=AlertDelivery.SENDING,
        attempts=delivery.attempts + 1,
        due_at=now + timedelta(seconds=limits.ALERT_CLAIM_SECONDS),
    )
    if not claimed:
        return False
    attempts = delivery.attempts + 1
    try:
        if delivery.channel == "webhook":
            webhook.send(delivery.target, str(delivery.pk), document(delivery))
        else:
            _mail(delivery)
    except Undeliverable as error:
        over = error.final or attempts >= len(limits.ALERT_RETRY_SECONDS) + 1
        later = timedelta(seconds=0 if over else limits.ALERT_RETRY_SECONDS[attempts - 1])
        AlertDelivery.objects.filter(pk=delivery.pk).update(
            state=AlertDelivery.FAILED if over else AlertDelivery.WAITING, due_at=now + later, error=str(error)[:500]
        )
        logger.warning("alert-not-delivered %s to %s (try %d): %s", delivery.pk, delivery.channel, attempts, error)
        return False
    AlertDelivery.objects.filter(pk=delivery.pk).update(state=AlertDelivery.SENT, sent_at=now, error="")
    return True


def document(delivery: AlertDelivery) -> dict[str, Any]:
    """Return what a webhook gets (docs/contracts.md, section 12)."""
    alert = delivery.alert
    return {
        "version": 1,
        "delivery": str(delivery.pk),
        "transition": delivery.transition,
        "rule": delivery.rule_name,
        "text": subject(delivery),
        "application": alert.application if alert else None,
        "kind": alert.kind if alert else None,
        "name": alert.name if alert else None,
        "words": _words(delivery),
        "value": alert.value if alert else None,
        "since": _ms(alert.since) if alert else None,
        "fired_at": _ms(alert.fired_at) if alert else None,
        "resolved_at": _ms(alert.resolved_at) if alert else None,
        "url": _link(alert),
    }


def subject(delivery: AlertDelivery) -> str:
    """Return the message in one line."""
    alert = delivery.alert
    about = f": {alert.application} / {alert.name}" if alert else ""
    return f"[Statehouse] {delivery.rule_name} {_VERBS[delivery.transition]}{about}"


def _words(delivery: AlertDelivery) -> str:
    alert = delivery.alert
    if alert is None:
        return "This is a test of the rule. Nothing is wrong."
    return alert.ending if delivery.transition == "resolved" else alert.words


def _mail(delivery: AlertDelivery) -> None:
    if not settings.EMAIL_CONFIGURED:
        raise Undeliverable("no mail server is configured: set EMAIL_HOST", final=True)
    alert = delivery.alert
    lines = [_words(delivery), ""]
    if alert is not None:
        lines += [f"Since {alert.since:%Y-%m-%d %H:%M:%S} UTC."]
        if alert.resolved_at:
            lines += [f"Resolved {alert.resolved_at:%Y-%m-%d %H:%M:%S} UTC."]
    lines += [_link(alert)]
    message = EmailMessage(
        subject(delivery),
        "\n".join(lines),
        settings.DEFAULT_FROM_EMAIL,
        [delivery.target],
        # The same id for every try of one delivery, so that mail systems can drop a repeat.
        headers={"Message-ID": f"<{delivery.pk}@statehouse.invalid>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=limits.WEBHOOK_TIMEOUT_S),
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        raise Undeliverable(f"the mail server refuses the address: {error}", final=True) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undeliverable(f"{type(error).__name__}: {error}", final=False) from error


def _link(alert: Alert | None) -> str:
    origin = settings.ALLOWED_ORIGINS[0] if settings.ALLOWED_ORIGINS else ""
    if alert is None:
        return origin + reverse("alerts")
    page = {"input": "lag-of", "store": "lag-of"}.get(alert.kind, "application")
    return origin + reverse(page, args=[alert.application])


def _ms(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)
