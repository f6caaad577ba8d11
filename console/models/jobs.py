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


class Snapshot(models.Model):
    """A store as its changelog had it, kept on one host. Its id is that of the job that made it.

    ``partitions``: ``[{"partition", "begin", "position", "records", "bytes"}]``, where ``position`` is the offset that the
    copy goes up to (exclusive) and ``records`` how many records lay between. ``as_of``: ``{"offset"}`` or ``{"time_ms"}``.
    ``facts`` are the changelog's settings when it was made. ``deleted_at``: nobody may read it any more; ``removed_at``:
    its files are gone.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    number = models.PositiveIntegerField()
    application = models.CharField(max_length=NAME_LENGTH)
    store = models.CharField(max_length=NAME_LENGTH)
    instance = models.CharField(max_length=NAME_LENGTH)
    host = models.CharField(max_length=NAME_LENGTH)
    directory = models.TextField()
    partitions: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)
    as_of: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    facts: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    bytes = models.BigIntegerField()
    why = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        """Listed by store, newest first."""

        indexes: ClassVar = [models.Index(fields=["application", "store", "-created_at"], name="snapshot_by_store")]

    def __str__(self) -> str:
        return f"#{self.number} of {self.application}/{self.store}"


class Difference(models.Model):
    """One row that a verify found to differ, decoded and cut for people to read; counted by its ``ordinal`` from 0 on."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="differences")
    ordinal = models.PositiveIntegerField()
    partition = models.PositiveIntegerField()
    what = models.CharField(max_length=10)
    key = models.TextField()
    key_shown: models.JSONField[dict[str, Any]] = models.JSONField()
    start = models.BigIntegerField(null=True)
    end = models.BigIntegerField(null=True)
    in_store: models.JSONField[dict[str, Any] | None] = models.JSONField(null=True)
    in_other: models.JSONField[dict[str, Any] | None] = models.JSONField(null=True)

    class Meta:
        """Read in order, a page at a time."""

        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "ordinal"], name="difference_once")]
        indexes: ClassVar = [models.Index(fields=["job", "partition"], name="difference_by_partition")]

    def __str__(self) -> str:
        return f"{self.what} {self.key[:40]}"


class Schedule(models.Model):
    """A job that comes again. ``cron`` is five fields in UTC; ``partitions`` empty means all that there are by then.

    ``next_at`` is None while it is paused. A run's jobs have ids that follow from the schedule and the time that was due,
    so that it happens once however often beat is late, doubled or killed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20)
    application = models.CharField(max_length=NAME_LENGTH)
    store = models.CharField(max_length=NAME_LENGTH)
    partitions: models.JSONField[list[int]] = models.JSONField(default=list)
    arguments: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    cron = models.CharField(max_length=100)
    why = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    last_outcome = models.TextField(blank=True)
    last_jobs: models.JSONField[list[str]] = models.JSONField(default=list)

    class Meta:
        """Looked for by what is due."""

        indexes: ClassVar = [models.Index(fields=["next_at"], name="schedule_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.application}/{self.store} at {self.cron}"
