"""What one round of history makes of records and of ends that came together."""

import pytest

from console.models import Ownership, Restore
from console.observe.history import History
from console.observe.lives import when
from tests.console import reports

pytestmark = pytest.mark.django_db
AT = 1_700_000_000_000


@pytest.fixture
def history():
    return History()


def rows():
    return [(row.incarnation, row.role, row.until is None) for row in Ownership.objects.order_by("id")]


def test_the_end_of_an_earlier_life_closes_nothing_of_a_later_one(history):
    history.note(reports.task("0_0", incarnation=2))
    history.write()

    # As an observer reads it that starts: what the earlier life had left in the topic, and then the later one.
    again = History()
    again.note(reports.task("0_0", incarnation=1))
    again.end(reports.task("0_0", incarnation=1), "replaced", AT)
    again.note(reports.task("0_0", incarnation=2, sequence=2))
    again.write()

    assert rows() == [(2, "active", True)]


def test_two_observers_that_write_the_same_write_it_once(history):
    spare = History()
    for incarnation in (1, 2):
        for each in (history, spare):
            each.note(reports.task("0_0", incarnation=incarnation))
            each.write()

    assert rows() == [(1, "active", False), (2, "active", True)]


def test_two_observers_that_see_a_first_owner_both_write_on(history):
    spare = History()
    for each in (history, spare):
        each.note(reports.task("0_0"))
        each.write()
    for each in (history, spare):
        each.note(reports.task("0_1"))
        each.write()

    assert Ownership.objects.filter(until__isnull=True).count() == 2


def test_a_later_life_follows_an_earlier_one_in_one_round(history):
    history.note(reports.task("0_0", incarnation=1))
    history.write()
    history.end(reports.task("0_0", incarnation=1), "replaced", AT)
    history.note(reports.task("0_0", incarnation=2, at=AT - 50))
    history.write()

    assert rows() == [(1, "active", False), (2, "active", True)]
    # An observer that starts learns of the end late; the spells of one instance do not overlap for that.
    assert Ownership.objects.get(incarnation=1).until == when(AT - 50)


def test_a_task_that_is_had_again_in_the_round_of_its_end_is_had(history):
    history.note(reports.task("0_0"))
    history.write()
    history.end(reports.task("0_0"), "stopped", AT)
    history.note(reports.task("0_0", sequence=2, at=AT + 100))
    history.write()

    assert rows() == [(1, "active", False), (1, "active", True)]
    assert Ownership.objects.get(until__isnull=True).since == when(AT + 100)


def test_a_standby_that_took_over_and_ended_in_one_round_is_open_in_no_role(history):
    history.note(reports.task("0_0", role="standby"))
    history.write()
    history.note(reports.task("0_0", role="active", sequence=2))
    history.end(reports.task("0_0", role="active", sequence=2), "stopped", AT)
    history.write()

    assert rows() == [(1, "standby", False)]


def test_a_restore_that_was_done_when_its_store_went_is_done(history):
    running = {"phase": "applying", "position": 500, "lag": 500, "end": 1_000, "snapshot_end": 1_000}
    history.note(reports.store(restore_started_at=AT, **running))
    history.write()
    done = reports.store(sequence=2, restore_started_at=AT, restore_ended_at=AT + 9_000)
    history.note(done)
    history.end(done, "stopped", AT + 9_100)
    history.write()

    row = Restore.objects.get()
    assert (row.outcome, row.ended_at) == ("done", when(AT + 9_000))


def test_a_restore_that_ran_when_its_store_went_was_interrupted(history):
    running = reports.store(restore_started_at=AT, phase="applying", position=500, lag=500, end=1_000)
    history.note(running)
    history.write()
    history.end(running, "stopped", AT + 9_100)
    history.write()

    row = Restore.objects.get()
    assert (row.outcome, row.ended_at) == ("interrupted", when(AT + 9_100))
