"""The table of states: only its transitions happen, and a race has one winner."""

import threading

import pytest
from django.db import connection

from console.jobs import lease, states
from console.models import Job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("old", states.TRANSITIONS)
@pytest.mark.parametrize("new", states.TRANSITIONS)
def test_only_the_tables_transitions_happen(old, new):
    job = Job.objects.create(number=1, kind="compact", application="a", store="s", state=old, queue="q")

    if new in states.TRANSITIONS[old]:
        assert states.move(job.pk, old, new)
        job.refresh_from_db()
        assert job.state == new
        assert (job.ended_at is not None) == (new in states.ENDED)
        assert not states.move(job.pk, old, new), "a second one is too late"
    else:
        with pytest.raises(ValueError, match="does not go"):
            states.move(job.pk, old, new)


def test_the_race_for_a_queued_job_has_one_winner(ordered):
    won = []

    def race():
        won.append(lease.acquire(ordered.pk, lease.new_owner()))
        connection.close()

    racers = [threading.Thread(target=race) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert sum(job is not None for job in won) == 1
