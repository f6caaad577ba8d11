"""Alerts: rules that people wrote, what they found, and what was sent of it. Written by ``console.alerts`` only."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from console.models.names import NAME_LENGTH


class AlertRule(models.Model):
    """When somebody is to be told: a condition on an application, a topic or a store, and where to send it."""

    name = models.CharField(max_length=100, unique=True)
    # Blank: every application.
    application = models.CharField(max_length=NAME_LENGTH, blank=True)
    # "lag-records", "lag-time", "verdict", "restore" or "unreachable" (``console.alerts.conditions``)
    condition = models.CharField(max_length=20)
    # Blank: every topic and store (or instance, for "unreachable").
    subject = models.CharField(max_length=NAME_LENGTH, blank=True)
    # Records or ms by the condition; null where a verdict is asked for.
    threshold = models.BigIntegerField(null=True)
    verdict = models.CharField(max_length=10, blank=True)
    for_seconds = models.PositiveIntegerField(default=60)
    webhook_url = models.CharField(max_length=2_000, blank=True)
    emails: models.JSONField[list[str]] = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """What a rule found about one thing, from when it began to hold to when it no longer did."""

    PENDING, FIRING, RESOLVED = "pending", "firing", "resolved"

    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.SET_NULL, related_name="alerts")
    rule_name = models.CharField(max_length=100)
    application = models.CharField(max_length=NAME_LENGTH)
    # "input", "store" or "instance", and its name
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=NAME_LENGTH)
    state = models.CharField(max_length=10, default=PENDING)
    words = models.TextField()
    value = models.BigIntegerField(null=True)
    since = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    ending = models.CharField(max_length=200, blank=True)

    class Meta:
        """One open alert for a rule and a thing: two evaluations at once cannot both open it."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "application", "kind", "name"],
                condition=models.Q(resolved_at__isnull=True),
                name="alert_open_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-since"], name="alert_by_time")]

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.name} {self.state}"


class AlertDelivery(models.Model):
    """One message to one receiver about one transition. Its id goes with it, so that a receiver knows a repeat."""

    WAITING, SENDING, SENT, FAILED = "waiting", "sending", "sent", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Null for a test of a rule.
    alert = models.ForeignKey(Alert, null=True, on_delete=models.CASCADE, related_name="deliveries")
    rule_name = models.CharField(max_length=100)
    transition = models.CharField(max_length=10)
    channel = models.CharField(max_length=10)
    target = models.CharField(max_length=2_000)
    state = models.CharField(max_length=10, default=WAITING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        """One a transition and receiver."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["alert", "transition", "channel", "target"],
                condition=models.Q(alert__isnull=False),
                name="alert_sent_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["state", "due_at"], name="alert_delivery_due")]

    def __str__(self) -> str:
        return f"{self.transition} to {self.channel}: {self.state}"
