"""Jobs that are asked for, begun, and left by their workers."""

from datetime import timedelta

from django.utils import timezone

from console.jobs import commands, lease
from console.models import Job


def make(user, **changes):
    asked = {
        "kind": "rebuild",
        "application": "shop",
        "store": "counts",
        "partitions": [0],
        "why": "a test",
        "via": "page",
    } | changes
    return commands.create(user, **asked)


def names(directory):
    return sorted(each.name for each in directory.iterdir())


def expire(job):
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def begun(user, kind, done, **changes):
    """A job on two partitions whose worker died when it had finished the first one."""
    job = lease.acquire(make(user, kind=kind, partitions=[0, 1]).pk, "dead")
    Job.objects.filter(pk=job.pk).update(result={done: {"0": {}}}, **changes)
    expire(job)
    return job


def expire_if_running(job):
    Job.objects.filter(pk=job.pk, state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
