"""A job is delivered three times and its worker is killed (``kill -9``) at each step: its effect happens once, its row ends."""

import os
import signal
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from console.jobs import staging, tasks, work
from console.models import Job
from tests.console.test_jobs import make, names, operator, ordered, sent, stopped  # noqa: F401 - fixtures by name

pytestmark = pytest.mark.django_db(transaction=True)


def deliver_and_die(job, module, name, *, after):
    """Deliver in a process of its own, which kills itself when it comes to ``name`` (or when it has done it)."""
    connection.close()
    child = os.fork()
    if child == 0:
        step = getattr(module, name)

        def dying(*args, **options):
            if after:
                step(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, name, dying)
        try:
            work.deliver(job.pk)
        finally:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


STEPS = {
    "the copy is begun": (staging.Staged, "prepare", False),
    "the copy is built, not named": (staging.Staged, "complete", False),
    "the copy is named": (staging.Staged, "complete", True),
    # After the swap, before its row says so.
    "the row is about to be closed": (work, "_end", False),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_rebuild_happens_once_wherever_its_worker_is_killed(step, ordered, stopped):  # noqa: F811
    module, name, after = STEPS[step]
    assert deliver_and_die(ordered, module, name, after=after), "the worker was killed there"
    ordered.refresh_from_db()
    assert ordered.state == "running", "nobody has closed the row of a killed worker"
    assert work.deliver(ordered.pk) is False, "its lease still lives"
    Job.objects.filter(pk=ordered.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.reap()
    assert [work.deliver(ordered.pk) for _ in range(3)] == [True, False, False]

    ordered.refresh_from_db()
    assert (ordered.state, ordered.attempts) == ("succeeded", 2)
    assert (stopped.directory / "CURRENT").read_text() == "g00000002\n"
    assert names(stopped.directory) == ["CURRENT", "g00000001", "g00000002"]
    assert len([order for order in stopped.orders if order[0] == "swap"]) == 1
