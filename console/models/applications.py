"""What was observed of engines: rows are written by ``observe`` only."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from console.models.names import NAME_LENGTH


class Application(models.Model):
    """An application that a status record has named."""

    id = models.CharField(max_length=NAME_LENGTH, primary_key=True)
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    topology_hash = models.CharField(max_length=128, blank=True)

    def __str__(self) -> str:
        return self.id


class Instance(models.Model):
    """One life of an engine instance: a restart has a higher incarnation and a row of its own."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="instances")
    name = models.CharField(max_length=NAME_LENGTH)
    incarnation = models.BigIntegerField()
    host = models.CharField(max_length=NAME_LENGTH, blank=True)
    address = models.CharField(max_length=NAME_LENGTH, blank=True)
    pid = models.IntegerField(null=True)
    started_at = models.DateTimeField()
    last_seen = models.DateTimeField()
    # How this life ended, once it has: "stopped" (tombstoned), "replaced" (a later incarnation), "expired" (silent too long).
    ended_at = models.DateTimeField(null=True)
    ending = models.CharField(max_length=20, blank=True)

    class Meta:
        """One row a life."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["application", "name", "incarnation"], name="instance_once")
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.incarnation}"


class Event(models.Model):
    """Something an engine said has happened."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="events")
    instance = models.CharField(max_length=NAME_LENGTH)
    incarnation = models.BigIntegerField()
    sequence = models.BigIntegerField()
    at = models.DateTimeField()
    event = models.CharField(max_length=60)
    task = models.CharField(max_length=40, blank=True)
    store = models.CharField(max_length=NAME_LENGTH, blank=True)
    message = models.TextField(blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        """Recorded once, however often the topic is read."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["application", "instance", "incarnation", "sequence"], name="event_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["application", "-at"], name="event_by_time")]

    def __str__(self) -> str:
        return f"{self.event} on {self.instance}"


class Restore(models.Model):
    """One restore of one store partition on one instance, running or ended."""

    RUNNING, DONE, INTERRUPTED = "running", "done", "interrupted"

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="restores")
    store = models.CharField(max_length=NAME_LENGTH)
    task = models.CharField(max_length=40)
    partition = models.IntegerField()
    instance = models.CharField(max_length=NAME_LENGTH)
    incarnation = models.BigIntegerField()
    role = models.CharField(max_length=10)
    cause = models.TextField(blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, default=RUNNING)
    phase = models.CharField(max_length=20, blank=True)
    start_offset = models.BigIntegerField()
    position = models.BigIntegerField()
    snapshot_end = models.BigIntegerField(null=True)
    end_offset = models.BigIntegerField(null=True)
    records = models.BigIntegerField(default=0)
    rate_per_second = models.FloatField(null=True)
    # [{"phase", "at" (ms)}]: when the observer first saw each.
    phases = models.JSONField(default=list)

    class Meta:
        """A restore is named by where and when it began."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["application", "store", "task", "instance", "incarnation", "started_at"],
                name="restore_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["application", "-started_at"], name="restore_by_time")]

    def __str__(self) -> str:
        return f"{self.store}/{self.partition} on {self.instance}"


class Ownership(models.Model):
    """Who had a task, in which role, from when to when (``until`` is null while it lasts)."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="ownerships")
    task = models.CharField(max_length=40)
    instance = models.CharField(max_length=NAME_LENGTH)
    incarnation = models.BigIntegerField()
    role = models.CharField(max_length=10)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        """One open row for a task, instance and role at a time."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["application", "task", "instance", "role"],
                condition=models.Q(until__isnull=True),
                name="ownership_open_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["application", "-since"], name="ownership_by_time")]

    def __str__(self) -> str:
        return f"{self.task} on {self.instance}"


class Observed(models.Model):
    """A stretch of time in which the observer recorded. Between two of them nothing was, and nothing is drawn."""

    since = models.DateTimeField()
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.since} to {self.until}"


class LagSample(models.Model):
    """One measure of one partition of an input topic or of a store's changelog; thinned as it ages."""

    INPUT, STORE = "input", "store"

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="lag_samples")
    kind = models.CharField(max_length=5)
    name = models.CharField(max_length=NAME_LENGTH)
    partition = models.IntegerField()
    at = models.DateTimeField()
    position = models.BigIntegerField(null=True)
    end = models.BigIntegerField(null=True)
    lag = models.BigIntegerField(null=True)
    lag_ms = models.BigIntegerField(null=True)

    class Meta:
        """Read as a window of time of one application."""

        indexes: ClassVar = [
            models.Index(fields=["application", "kind", "name", "partition", "at"], name="lag_by_place"),
            models.Index(fields=["at"], name="lag_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.name}/{self.partition}: {self.lag}"


class StoreSample(models.Model):
    """How large a store was, all its partitions together; ``keys`` is an estimate. Thinned as it ages."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="store_samples")
    store = models.CharField(max_length=NAME_LENGTH)
    at = models.DateTimeField()
    keys = models.BigIntegerField(null=True)
    bytes = models.BigIntegerField()

    class Meta:
        """Read as a window of time of one store."""

        indexes: ClassVar = [
            models.Index(fields=["application", "store", "at"], name="size_by_store"),
            models.Index(fields=["at"], name="size_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.store}: {self.bytes} bytes"
