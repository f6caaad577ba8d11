"""A worker that is killed (``kill -9``) at a step of its job, and the deliveries that come after it.

    python -m tests.console.killing JOB MODULE NAME AFTER

is such a worker as a program of its own: RocksDB and the Kafka client do not survive a fork once they were used.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    import django

    django.setup()

from django.conf import settings  # noqa: E402 - models need Django set up, which a test run has done already
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from console.jobs import delivery, tasks  # noqa: E402
from console.models import Job  # noqa: E402

# A child that was forked beside other threads may stand still for ever.
CHILD_SECONDS = 120


def die_at(module, name, *, after):
    """Have this process kill itself when it comes to ``name`` (or when it has done it)."""
    step = getattr(module, name)

    def dying(*args, **options):
        if after:
            step(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, dying)


def deliver_and_die_elsewhere(job, module, name, *, after):
    """As `deliver_and_die`, in a program of its own: for jobs that use RocksDB or Kafka. ``module`` is a real module."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
        "KAFKA_BOOTSTRAP_SERVERS": settings.KAFKA_BOOTSTRAP_SERVERS,
        "ENGINE_TOKEN_FILE": settings.ENGINE_TOKEN_FILE,
    }
    command = [
        sys.executable,
        "-m",
        "tests.console.killing",
        str(job.pk),
        module.__name__,
        name,
        "after" if after else "",
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, timeout=CHILD_SECONDS, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, f"the worker ended without coming to {name}: {ended.stderr[-2_000:]}"


def deliver_and_die(job, module, name, *, after):
    """Deliver in a process of its own, which kills itself when it comes to ``name`` (or when it has done it)."""
    connection.close()
    child = os.fork()
    if child == 0:
        try:
            die_at(module, name, after=after)
            delivery.deliver(job.pk)
        finally:
            os._exit(7)
    deadline = time.monotonic() + CHILD_SECONDS
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"the worker never came to {name}")
        time.sleep(0.01)
    assert os.WIFSIGNALED(status), f"the worker ended without coming to {name}"
    assert os.WTERMSIG(status) == signal.SIGKILL


def delivered_three_times(job):
    """What happens to a job whose worker is dead: nothing while its lease lives, then one more attempt, however often sent."""
    job.refresh_from_db()
    assert job.state == "running", "nobody has closed the row of a killed worker"
    assert delivery.deliver(job.pk) is False, "its lease still lives"
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.reap()
    assert [delivery.deliver(job.pk) for _ in range(3)] == [True, False, False]
    job.refresh_from_db()
    assert (job.state, job.reason, job.attempts) == ("succeeded", "", 2)
    return job


def killed_and_delivered_three_times(job, step, report):
    """Both for a job of a store on Kafka; ``step`` is (module, name, after), ``report`` keeps what is known of the store fresh."""
    module, name, after = step
    report()
    deliver_and_die_elsewhere(job, module, name, after=after)
    report()
    delivered_three_times(job)
    report()


if __name__ == "__main__":
    job_id, of_module, step_name, when = sys.argv[1:]
    die_at(importlib.import_module(of_module), step_name, after=bool(when))
    delivery.deliver(job_id)
