"""What beat asks of a worker: look at every rule, then send what waits."""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from console import limits
from console.alerts import deliver, evaluate
from console.models import Alert, AlertDelivery, AlertRule
from console.observe.board import reader

logger = logging.getLogger(__name__)


@shared_task(name="console.alerts.look", ignore_result=True)  # type: ignore[untyped-decorator]
def look() -> None:
    """Evaluate, then deliver. Doing it twice, or two at once, tells everybody once."""
    now = timezone.now()
    # Without a rule a worker need not keep ten thousand records parsed.
    watched = AlertRule.objects.filter(enabled=True).exists()
    transitions = evaluate.evaluate(reader.read(fresh=True), now) if watched else 0
    delivered = deliver.send_due(timezone.now())
    if transitions or delivered:
        logger.info("alerts: %d transitions, %d delivered", transitions, delivered)


def ask() -> None:
    """Have a worker look now; while Redis is away beat asks for it within seconds anyway."""
    try:
        look.apply_async(retry=False)
    except Exception as error:  # noqa: BLE001 - kombu raises what its transport raises; the rows are safe in any case
        logger.warning("alerts-not-asked: %s", error)


@shared_task(name="console.alerts.thin", ignore_result=True)  # type: ignore[untyped-decorator]
def thin() -> None:
    """Drop the history that is older than events are kept."""
    before = timezone.now() - timedelta(milliseconds=limits.EVENTS_KEEP_MS)
    Alert.objects.filter(resolved_at__lt=before).delete()
    AlertDelivery.objects.filter(alert__isnull=True, created_at__lt=before).delete()
