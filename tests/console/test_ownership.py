from datetime import UTC, datetime, timedelta

import pytest

from console.models import Application, Event, Instance, Observed, Ownership
from console.observe import ownership, rebalances, snapshot
from tests.console import reports

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
MINUTE = 60_000


@pytest.fixture
def known(db):  # noqa: ARG001 - fixtures ask for fixtures by argument
    return Application.objects.create(id="shop")


def owned(task, instance, since, until=None, *, role="active", reason=""):
    """Minutes before now."""
    return Ownership.objects.create(
        application_id="shop", task=task, instance=instance, incarnation=1, role=role, reason=reason,
        since=NOW - timedelta(minutes=since), until=None if until is None else NOW - timedelta(minutes=until),
    )  # fmt: skip


def spells(minutes=60):
    return ownership.spells("shop", NOW_MS - minutes * MINUTE, NOW_MS)


@pytest.mark.usefixtures("known")
def test_who_owned_it_an_hour_ago_and_why_it_moved():
    owned("0_0", "engine-1", 300, 32, reason="the instance fell silent")
    owned("0_0", "engine-2", 30)

    found = spells(90)
    assert ownership.owner_at(found, "0_0", NOW_MS - 60 * MINUTE)["instance"] == "engine-1"
    assert ownership.owner_at(found, "0_0", NOW_MS - 31 * MINUTE) is None
    (move,) = ownership.moves(found)
    assert move == {"task": "0_0", "from": "engine-1", "to": "engine-2", "at": NOW_MS - 30 * MINUTE, "pause_ms": 2 * MINUTE, "why": "the instance fell silent"}  # fmt: skip


@pytest.mark.usefixtures("known")
def test_standbys_and_a_restart_in_place_are_no_moves():
    owned("0_0", "engine-1", 50, 20)
    owned("0_0", "engine-2", 50, role="standby")
    owned("0_0", "engine-1", 19)

    assert ownership.moves(spells()) == []


@pytest.mark.usefixtures("known")
def test_moves_that_belong_together_are_one_rebalance_with_its_cause_and_duration():
    Instance.objects.create(
        application_id="shop", name="engine-3", incarnation=5, started_at=NOW - timedelta(minutes=10, seconds=8), last_seen=NOW
    )  # fmt: skip
    for number in range(3):
        owned(f"0_{number}", "engine-1", 60, 10)
        owned(f"0_{number}", "engine-3", 10 - number / 30)
        Event.objects.create(
            application_id="shop", instance="engine-3", incarnation=5, sequence=number, event="task-assigned", task=f"0_{number}",
            at=NOW - timedelta(minutes=9, seconds=30 - number),
        )  # fmt: skip

    (found,) = rebalances.of_moves("shop", ownership.moves(spells()))

    assert (found["cause"], found["tasks"], found["duration_ms"]) == ("engine-3 joined", 3, 32_000)
    assert found["pause_ms"] == 4_000


@pytest.mark.usefixtures("known")
def test_what_was_not_recorded_is_not_known_rather_than_invented():
    owned("0_0", "engine-1", 40, 39)
    owned("0_0", "engine-2", 39)

    (found,) = rebalances.of_moves("shop", ownership.moves(spells()))
    assert (found["cause"], found["duration_ms"]) == (None, None)


def test_time_in_which_nobody_observed_is_a_gap():
    start = NOW_MS - 60 * MINUTE
    for second in (0, 5, 10, 600, 605):
        ownership.note_observed(start + second * 1_000)

    assert Observed.objects.count() == 2
    assert ownership.gaps(start, start + 610_000) == [(start + 10_000, start + 600_000)]
    assert ownership.gaps(start - MINUTE, start)[0] == (start - MINUTE, start)
    assert ownership.gaps(start + 700_000, start + 800_000) == [(start + 700_000, start + 800_000)]


@pytest.mark.usefixtures("known")
def test_old_ownership_thins_and_then_goes():
    day = 24 * 60
    owned("0_0", "a", 100 * day, 91 * day)
    owned("0_1", "short", 8 * day, 8 * day - 0.5)
    owned("0_2", "long", 8 * day, 8 * day - 5)
    owned("0_3", "new", 0.4, 0.2)
    owned("0_4", "open", 200 * day)

    ownership.thin(NOW)

    assert sorted(Ownership.objects.values_list("instance", flat=True)) == ["long", "new", "open"]


def test_a_task_that_keeps_moving_is_called_out(shop, as_role):
    for step in range(4):
        instance = ("engine-2", "engine-1")[step % 2]
        other = ("engine-1", "engine-2")[step % 2]
        shop.topic.tombstone(reports.task("0_0", other))
        shop.report(reports.task("0_0", instance, sequence=20 + step))

    problems = [each for each in snapshot.overview()["problems"] if each["page"] == "ownership"]
    assert problems[0]["status"] == "WARN"
    assert "up to 4 moves in 10 minutes: 0_0" in problems[0]["words"]
    page = as_role("viewer").get("/applications/shop/ownership/").content.decode()
    assert "0_0 is flapping" in page
    assert "between engine-1 and engine-2" in page


@pytest.mark.usefixtures("shop")
def test_the_page_says_what_was_not_recorded(as_role):
    page = as_role("viewer").get("/applications/shop/ownership/?span=24h").content.decode()
    assert page.count("bar-gap") >= 2
    assert "not recorded" in page
    assert as_role("viewer").get("/applications/none/ownership/").status_code == 404
