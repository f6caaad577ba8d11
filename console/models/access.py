"""Who may call, and what they did: rows are written by ``access`` only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from console.models.names import NAME_LENGTH


class ApiToken(models.Model):
    """A bearer token of a user. Only its SHA-256 is kept: it is random, so that is as good as a slow hash and quick."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """Who did what, from where, with which result. Append-only: ``save`` of an existing row and ``delete`` refuse."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    username = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=60, blank=True)
    via = models.CharField(max_length=20)
    action = models.CharField(max_length=40)
    application = models.CharField(max_length=NAME_LENGTH, blank=True)
    store = models.CharField(max_length=NAME_LENGTH, blank=True)
    parameters: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    result = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.username} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write a new entry; an old one cannot be changed."""
        if self.pk is not None:
            raise TypeError("An audit entry is written once. Write another one that says what changed.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refuse."""
        raise TypeError("An audit entry cannot be deleted.")
