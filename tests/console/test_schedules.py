"""Jobs that come again: when they are due, made once however often a run is delivered, skipped when their store is busy."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from console.jobs import commands, cron, schedules, states, tasks
from console.models import AuditEntry, Job, Schedule
from tests.console import reports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    found = []
    monkeypatch.setattr(tasks.run, "apply_async", lambda args, queue, **_: found.append((args[0], queue)))
    monkeypatch.setattr(states.pinger, "send", lambda *_: None)
    return found


@pytest.fixture
def operator(account):
    return account("operator")


@pytest.fixture
def due(shop, operator):  # noqa: ARG001 - fixtures ask for fixtures by argument
    """A nightly compaction of all partitions that is due now."""
    made = schedules.create(
        operator,
        kind="compact",
        application="shop",
        store="counts",
        partitions=[],
        when="@daily",
        why="nightly",
        via="page",
    )
    return make_due(made)


def make_due(schedule, seconds=5):
    schedule.next_at = timezone.now() - timedelta(seconds=seconds)
    schedule.save()
    return schedule


@pytest.mark.parametrize(
    ("line", "after", "expected"),
    [
        ("30 2 * * mon", "2026-11-25 02:30", "2026-11-30 02:30"),
        ("30 2 * * *", "2026-11-25 02:29", "2026-11-25 02:30"),
        ("30 2 * * *", "2026-11-25 02:30", "2026-11-26 02:30"),
        ("*/20 8-9 * * *", "2026-11-25 09:40", "2026-11-26 08:00"),
        ("0 0 29 2 *", "2026-03-01 00:00", "2028-02-29 00:00"),
        ("0 3 13 * fri", "2026-11-25 00:00", "2027-08-13 03:00"),
        ("@weekly", "2026-11-25 00:00", "2026-11-29 03:00"),
        ("@monthly", "2026-12-31 23:59", "2027-01-01 03:00"),
        ("0 0 * dec sun,sat", "2026-11-25 00:00", "2026-12-05 00:00"),
    ],
)
def test_the_next_time(line, after, expected):
    def moment(text):
        return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)

    assert cron.parse(line).after(moment(after)) == moment(expected)


@pytest.mark.parametrize(
    "line", ["", "* * * *", "61 * * * *", "0 25 * * *", "0 0 30 2 *", "often", "0 0 * * * ; rm", "@reboot"]
)
def test_what_is_no_schedule_is_said(line):
    with pytest.raises(cron.BadCron):
        cron.parse(line)


def test_a_run_makes_one_job_however_often_it_is_delivered(due, sent):
    at = due.next_at
    assert schedules.run_due() == 1
    assert schedules.run_due() == 0
    Schedule.objects.filter(pk=due.pk).update(next_at=at)
    assert schedules.run_due() == 1

    job = Job.objects.get()
    assert (job.kind, job.partitions, job.why, len(sent)) == ("compact", [0, 1], "nightly", 1)
    due.refresh_from_db()
    assert due.next_at.hour == 3
    assert (due.last_outcome, due.last_jobs) == ("started", [str(job.pk)])
    assert AuditEntry.objects.filter(via="schedule", action="compact").count() == 1


@pytest.mark.usefixtures("due")
def test_a_run_that_died_after_making_its_job_makes_no_second_one(monkeypatch):
    def die(_schedule):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(schedules, "_next", die)
        with pytest.raises(RuntimeError):
            schedules.run_due()

    assert schedules.run_due() == 1
    assert Job.objects.count() == 1


def test_a_busy_store_is_skipped_and_said(due, operator):
    commands.create(operator, kind="compact", application="shop", store="counts", partitions=[1], via="page")

    schedules.run_due()

    due.refresh_from_db()
    assert Job.objects.count() == 1
    assert due.last_outcome.startswith("skipped: Job #1 (compact) works on partition 1")
    assert due.next_at > timezone.now()


@pytest.mark.usefixtures("due")
def test_partitions_on_two_hosts_are_two_jobs(shop, sent):
    shop.report(reports.instance("engine-2", sequence=2, tasks=["0_1"], host="h2"))

    schedules.run_due()

    assert sorted(queue for _, queue in sent) == ["host.h1", "host.h2"]
    assert {tuple(job.partitions) for job in Job.objects.all()} == {(0,), (1,)}


def test_its_makers_rights_are_looked_at_each_time(due, operator):
    operator.groups.clear()

    schedules.run_due()

    due.refresh_from_db()
    assert Job.objects.count() == 0
    assert due.last_outcome.startswith("refused: Your role")


def test_a_run_that_is_hours_late_is_left_out(due):
    make_due(due, seconds=7_200)

    schedules.run_due()

    due.refresh_from_db()
    assert (Job.objects.count(), due.last_outcome[:15]) == (0, "skipped: it was")


def test_a_paused_one_does_not_run(due, operator):
    schedules.pause(operator, str(due.pk), via="page")
    assert schedules.run_due() == 0

    resumed = schedules.resume(operator, str(due.pk), via="page")
    assert resumed.next_at > timezone.now()


@pytest.mark.usefixtures("shop")
def test_through_the_api(with_token):
    client = with_token("operator")
    body = {"kind": "verify", "application": "shop", "store": "counts", "cron": "0 4 * * sun", "partitions": [1]}

    def post(path, sent_body=None):
        return client.post(f"/api/v1/schedules{path}", json.dumps(sent_body or {}), content_type="application/json")

    made = post("", body)
    assert made.status_code == 201
    schedule = made.json()["schedule"]
    assert (schedule["paused"], schedule["partitions"], schedule["last_at"]) == (False, [1], None)
    assert [each["id"] for each in client.get("/api/v1/schedules").json()["schedules"]] == [schedule["id"]]
    assert post(f"/{schedule['id']}/pause").json()["schedule"]["paused"] is True
    assert post(f"/{schedule['id']}/resume").json()["schedule"]["paused"] is False
    for wrong, status in (
        ({"cron": "often"}, 400), ({"kind": "snapshot"}, 400), ({"partitions": [9]}, 404), ({"store": "none"}, 404),
        ({"partitions": "0"}, 400), ({"kind": "export", "arguments": {"format": "xml"}}, 400), ({"odd": 1}, 400),
    ):  # fmt: skip
        assert post("", body | wrong).status_code == status, wrong
    assert client.delete(f"/api/v1/schedules/{schedule['id']}").status_code == 200
    assert client.delete(f"/api/v1/schedules/{schedule['id']}").status_code == 404
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions == {"create-schedule", "pause-schedule", "resume-schedule", "delete-schedule"}
    assert (
        with_token("viewer").post("/api/v1/schedules", json.dumps(body), content_type="application/json").status_code
        == 403
    )


def test_beat_runs_them(settings):
    assert settings.CELERY_BEAT_SCHEDULE["run-schedules"]["task"] == schedules.run_due.name
