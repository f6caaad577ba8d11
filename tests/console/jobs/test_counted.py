"""A job that ends early says how many of its partitions were done."""

import pytest

from console import limits
from console.jobs import delivery, tasks
from tests.console.jobs.made import begun

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("kind", "done", "words"),
    [
        ("rebuild", "done", "Cancelled. 1 of 2 partitions had been swapped already."),
        ("compact", "partitions", "Cancelled. 1 of 2 partitions had been compacted already."),
        ("rebuild", "nothing", "Cancelled. The live store was not touched."),
    ],
)
def test_a_cancelled_job_says_how_many_partitions_were_done(operator, kind, done, words):
    job = begun(operator, kind, done, state="cancelling")

    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", words)


@pytest.mark.usefixtures("stopped")
def test_a_job_that_is_given_up_says_how_many_partitions_were_done(operator):
    job = begun(operator, "rebuild", "done", attempts=limits.ATTEMPTS_MAX)

    tasks.reap()

    job.refresh_from_db()
    assert job.reason == (
        "Given up after 3 attempts: its worker ended without a word. 1 of 2 partitions had been swapped already."
    )


def test_a_job_whose_second_partition_fails_says_that_the_first_was_swapped(stopped, operator):
    job = begun(operator, "rebuild", "done")
    stopped.tasks[0] |= {"task": "0_1", "partition": 1}
    stopped.phases = ["failed"]

    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert job.reason == (
        "The swap of partition 1 failed in the engine: it broke. 1 of 2 partitions had been swapped already."
    )
