"""One restore in full: its phases as they were seen, the task's other stores, what was said meanwhile, who asked for it."""

import json
from datetime import timedelta

import msgspec
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from console.models import Job, Restore
from console.observe import board, copy_tables, problems, restore_detail, snapshot
from console.observe.board import State
from console.observe.choice import Choice
from console.observe.lives import Writer
from tests.console import reports
from tests.console.test_commands import run, run_as  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db


def restoring(phase, sequence, began, **more):
    fields = {
        "start": 0, "position": 500, "end": 1_000, "snapshot_end": 1_000, "lag": 500, "cause": "new owner", "restored_records": 400, "rate_per_second": 100.0,
        "restore_started_at": began,
    } | more  # fmt: skip
    return reports.store("counts", "0_0", sequence=sequence, phase=phase, **fields)


def test_phases_are_recorded_when_they_are_first_seen_and_outlive_an_observer(shop):
    began = reports.now_ms() - 10_000
    for sequence, phase in enumerate(("queued", "fetching", "fetching", "applying"), 2):
        shop.report(restoring(phase, sequence, began, at=began + 1_000 * sequence))
    # An observer that starts anew reads everything again and goes on with what is known.
    shop.observer.history._writer = Writer()
    shop.report(restoring("done", 9, began, position=1_000, lag=0, restore_ended_at=began + 9_000))

    found = restore_detail.of(Restore.objects.get().pk)
    assert [(each["phase"], each["at"] - began, each["lasted_ms"]) for each in found["phases"]] == [
        ("queued", 2_000, 1_000),
        ("fetching", 3_000, 2_000),
        ("applying", 5_000, 4_000),
        ("done", 9_000, None),
    ]
    assert (found["restore"]["outcome"], found["job"]) == ("done", None)


def test_the_tasks_other_stores_and_events_of_that_time_stand_beside_it(shop):
    began = reports.now_ms() - 10_000
    shop.report(
        restoring("applying", 2, began),
        reports.store("others", "0_0", sequence=3, phase="applying", start=0, position=1, end=9, snapshot_end=9, restore_started_at=began + 500),
        reports.event(4, "restore-started", task="0_0", store="counts", at=began),
        reports.event(5, "of-another-task", task="0_1", store="counts", at=began),
    )  # fmt: skip
    found = restore_detail.of(Restore.objects.get(store="counts").pk, "shop")
    assert [each["store"] for each in found["stores"]] == ["counts", "others"]
    assert [each["event"] for each in found["events"]] == ["restore-started"]
    assert restore_detail.of(found["restore"]["id"], "another") is None


def test_who_asked_is_the_rebuild_that_was_under_way(shop):
    ada = User.objects.create(username="ada")
    now = timezone.now()
    common = {"kind": "rebuild", "application": "shop", "store": "counts", "queue": "host.h1", "created_by": ada}
    Job.objects.create(number=1, partitions=[0], state="succeeded", ended_at=now - timedelta(hours=1), **common)
    Job.objects.create(number=2, partitions=[0], state="running", **common)
    Job.objects.create(number=3, partitions=[1], state="running", **common)
    shop.report(restoring("applying", 2, reports.now_ms(), cause="operator"))
    found = restore_detail.of(Restore.objects.get().pk)
    assert (found["job"]["number"], found["job"]["created_by"]) == (2, "ada")


def test_it_is_in_the_api_and_on_the_command_line(shop, with_token, run):  # noqa: F811 - the fixture
    # With a report of its instance: on a slow machine the first one may be old by now.
    shop.report(reports.instance("engine-1", sequence=9), restoring("applying", 2, reports.now_ms() - 2_000))
    number = Restore.objects.get().pk
    client = with_token("viewer")
    assert client.get(f"/api/v1/applications/shop/restores/{number}").json()["restore"]["id"] == number
    for wrong in ("999999", "none", "1" * 40):
        assert client.get(f"/api/v1/applications/shop/restores/{wrong}").status_code == 404
    assert f"#{number}" in run("restores", "list", "shop")
    shown = run("restores", "show", "shop", str(number))
    assert "cause: new owner" in shown
    assert "applying" in shown
    assert json.loads(run("restores", "show", "shop", str(number), "--json"))["phases"][0]["phase"] == "applying"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"phase": "done", "lag": 0}, "OK", "Caught up."),
        ({"phase": "done", "lag": 1_200}, "OK", "1,200 records behind, and following."),
        ({"phase": "applying", "lag": 90_000}, "WARN", "Still being built: 90,000 records behind."),
        ({"phase": "applying", "lag": None}, "UNKNOWN", "cannot be told"),
    ],
)
def test_a_standby_is_judged_by_its_own_report(shop, fields, status, words):
    shop.report(reports.store("counts", "0_0", "engine-2", role="standby", sequence=4, **fields))
    row = next(
        each for each in snapshot.rows(snapshot.store("shop", "counts")["positions"]) if each["role"] == "standby"
    )
    assert row["verdict"] == status
    assert words in row["reason"]
    lags = snapshot.rows(snapshot.lag("shop")["stores"])
    assert next(each["reason"] for each in lags if each["role"] == "standby") == row["reason"]


def test_a_standby_of_a_lost_instance_is_not_called_caught_up():
    record = reports.store("counts", "0_0", "engine-2", role="standby", phase="done", lag=0)
    state = State("shop")
    state.unreachable["engine-2"] = {"since": 1, "reason": "silent"}
    assert copy_tables.beside(state, record)[0] == "UNKNOWN"


def test_copies_stand_in_one_order_wherever_they_are_listed(shop):
    now = reports.now_ms()
    shop.report(
        reports.store("counts", "0_0", "engine-1", role="standby", phase="done", lag=0, sequence=5, at=now),
        reports.store("counts", "0_0", "engine-2", phase="done", lag=0, sequence=5, at=now - 1_000),
        reports.store("counts", "0_0", "engine-3", phase="done", lag=0, sequence=5, at=now),
    )
    listed = [snapshot.store("shop", "counts")["positions"], snapshot.lag("shop")["stores"]]
    for table in listed:
        copies = [(row["instance"], row["role"]) for row in snapshot.rows(table) if row["partition"] == 0]
        assert copies == [("engine-3", "active"), ("engine-2", "active"), ("engine-1", "standby")]


def test_an_end_is_never_shown_before_the_position_that_was_read(shop):
    read = reports.task("0_0", lag=0, sequence=9)
    (each,) = read.inputs
    shop.report(
        msgspec.structs.replace(read, inputs=[msgspec.structs.replace(each, position=120, end=110)]),
        reports.store("counts", "0_0", sequence=9, position=64, end=60, lag=0),
    )
    lag = snapshot.lag("shop")
    inputs = [(row["position"], row["end"]) for row in snapshot.rows(lag["inputs"]) if row["partition"] == 0]
    stores = [(row["position"], row["end"]) for row in snapshot.rows(lag["stores"]) if row["partition"] == 0]
    copies = snapshot.rows(snapshot.store("shop", "counts")["positions"])
    assert (inputs, stores) == ([(120, 120)], [(64, 64)])
    assert [(row["position"], row["end"]) for row in copies if row["partition"] == 0] == [(64, 64)]


def test_a_restore_of_nothing_says_so_on_the_command_line(shop, run):  # noqa: F811 - the fixture
    began = reports.now_ms() - 1_000
    none = {"cause": None, "restored_records": 0, "start": 0, "position": 0, "end": 0, "snapshot_end": 0, "lag": 0}
    shop.report(restoring("applying", 8, began, **none))
    shop.report(restoring("done", 9, began, **none, restore_ended_at=began + 500))
    (line,) = [line for line in run("restores", "list", "shop").splitlines() if "nothing to read" in line]
    assert "0.0/s" not in line


def test_an_application_that_restores_does_not_say_that_all_of_it_keeps_up(shop, monkeypatch):
    monkeypatch.setattr("console.observe.problems.behind", lambda _state: {})
    state = reader_of()
    assert problems.verdict(state, [], stale=False)["reason"] == "All 2 input and 2 store partitions keep up."
    shop.report(restoring("applying", 8, reports.now_ms()))
    words = problems.verdict(reader_of(), [], stale=False)["reason"]
    assert words == "1 of 2 store partitions is restoring; the others keep up."


def reader_of():
    return board.reader.read().applications["shop"]


def test_of_many_running_restores_a_page_is_made_and_the_slowest_is_that_of_all(shop):
    shop.report(
        *(
            reports.store("counts", f"0_{number}", "engine-1", phase="applying", start=0, position=10, snapshot_end=110, rate_per_second=1.0 if number == 59 else 10.0, sequence=5)
            for number in range(60)
        )
    )  # fmt: skip
    seen = snapshot.restores("shop", Choice(page=0, size=50))
    assert [each["partition"] for each in seen["running"]] == list(range(50))
    assert seen["chosen"] == {"total": 60, "matching": 60, "page": 0, "pages": 2}
    assert seen["slowest"] == {"store": "counts", "partition": 59, "eta": 100.0}
    assert len(snapshot.restores("shop")["running"]) == 60
