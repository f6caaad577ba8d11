"""What people asked for: rows are written by ``jobs`` only."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from console.models.names import NAME_LENGTH


class Job(models.Model):
    """Something a person asked for. Its life is the table in ``jobs.states``; only that module changes ``state``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True)
    kind = models.CharField(max_length=20)
    application = models.CharField(max_length=NAME_LENGTH)
    store = models.CharField(max_length=NAME_LENGTH)
    partitions: models.JSONField[list[int]] = models.JSONField(default=list)
    arguments: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    dry_run: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    state = models.CharField(max_length=12, default="queued")
    reason = models.TextField(blank=True)
    queue = models.CharField(max_length=NAME_LENGTH + 10)
    lease_owner = models.CharField(max_length=NAME_LENGTH, blank=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    progress: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    result: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    why = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        """Listed newest first, reaped by state and lease."""

        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="job_by_time"),
            models.Index(fields=["state", "lease_until"], name="job_by_lease"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.kind} {self.application}/{self.store}"
