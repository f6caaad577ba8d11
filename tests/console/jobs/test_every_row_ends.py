"""Whatever becomes of its worker, its host or its messages, a job ends."""

import os
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from console import limits
from console.jobs import control, delivery, lease, presence, rebuild, tasks, work
from console.models import Job
from engine.changelog import restore
from tests.console.jobs.made import expire, expire_if_running, make, names

pytestmark = pytest.mark.django_db(transaction=True)

HOST = django_settings.HOST_NAME


def test_a_job_whose_worker_died_is_sent_again_and_then_given_up(ordered, sent):
    for attempt in range(limits.ATTEMPTS_MAX):
        assert lease.acquire(ordered.pk, f"dead-{attempt}")
        expire(ordered)
        tasks.reap()
    ordered.refresh_from_db()

    assert ordered.state == "failed"
    assert "Given up after 3 attempts" in ordered.reason
    assert len(sent) == limits.ATTEMPTS_MAX


@pytest.mark.parametrize(("state", "ends_as"), [("running", "failed"), ("cancelling", "cancelled")])
def test_a_job_whose_host_never_comes_back_ends(ordered, operator, sent, state, ends_as):
    lease.acquire(ordered.pk, "dead")
    long_ago = timezone.now() - timedelta(hours=7)
    Job.objects.filter(pk=ordered.pk).update(state=state, lease_until=long_ago)

    tasks.reap()
    tasks.reap()

    ordered.refresh_from_db()
    assert ordered.state == ends_as
    assert f"no worker on {HOST} has taken it up for 6 hours" in ordered.reason
    assert len(sent) == 1, "the one of its making"
    assert make(operator).state == "queued", "the partition is free again"


def test_a_job_whose_worker_died_is_sent_again_once_a_minute(ordered, sent):
    lease.acquire(ordered.pk, "dead")
    expire(ordered)

    tasks.reap()
    tasks.reap()
    assert len(sent) == 2
    Job.objects.update(sent_at=timezone.now() - timedelta(seconds=limits.QUEUED_RESEND_SECONDS + 1))
    tasks.reap()
    assert len(sent) == 3


def test_messages_expire(ordered, monkeypatch):
    kept = []
    for task in (tasks.run, tasks.clear):
        monkeypatch.setattr(task, "apply_async", lambda **options: kept.append(options["expires"]))

    tasks.send(ordered)
    tasks.send_clear(ordered)

    assert kept == [limits.JOB_SECONDS_MAX] * 2


def test_a_worker_that_shuts_down_hands_its_jobs_back(ordered, stopped, sent, monkeypatch):
    build = restore.build_generation

    def shutting_down(*args, **options):
        if not stopped.built:
            Job.objects.filter(pk=ordered.pk).update(
                lease_owner=lease.new_owner().replace(f"{os.getppid()}/", f"{os.getpid()}/")
            )
            tasks.stop_working()
        return build(*args, **options)

    monkeypatch.setattr(restore, "build_generation", shutting_down)
    delivery.deliver(ordered.pk)
    ordered.refresh_from_db()
    assert (ordered.state, ordered.attempts, stopped.orders) == ("running", 0, [])

    tasks.reap()
    assert len(sent) == 2
    delivery.deliver(ordered.pk)
    ordered.refresh_from_db()
    assert (ordered.state, ordered.attempts) == ("succeeded", 1)


def test_a_live_lease_is_left_alone(ordered, sent):
    lease.acquire(ordered.pk, "alive")

    tasks.reap()

    assert len(sent) == 1


@pytest.mark.usefixtures("ordered")
def test_a_message_that_was_lost_is_sent_again(sent):
    Job.objects.update(sent_at=timezone.now() - timedelta(minutes=5))

    tasks.reap()
    tasks.reap()

    assert len(sent) == 2


def test_a_job_that_no_worker_takes_ends(ordered):
    long_ago = timezone.now() - timedelta(seconds=limits.JOB_SECONDS_MAX + 10)
    Job.objects.update(sent_at=long_ago, created_at=long_ago)

    tasks.reap()

    ordered.refresh_from_db()
    assert ordered.state == "failed"
    assert "No worker took it" in ordered.reason


def test_a_cancelled_job_whose_worker_died_ends_as_cancelled(ordered, stopped):
    job = lease.acquire(ordered.pk, "dead")
    Job.objects.filter(pk=job.pk).update(
        state="cancelling",
        result={"generations": {"0": {"directory": str(stopped.directory.resolve()), "generation": "g00000002"}}},
    )
    (stopped.directory / "g00000002.staging").mkdir()
    expire(job)

    assert delivery.deliver(ordered.pk) is True

    ordered.refresh_from_db()
    assert ordered.state == "cancelled"
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_an_unexpected_error_ends_the_row(ordered, monkeypatch):
    monkeypatch.setattr(rebuild.staging, "locate", lambda *_: 1 / 0)

    delivery.deliver(ordered.pk, rebuild.run)

    ordered.refresh_from_db()
    assert ordered.state == "failed"
    assert "ZeroDivisionError" in ordered.reason


@pytest.mark.usefixtures("stopped")
def test_an_engine_that_is_away_is_another_attempts_business(ordered, monkeypatch):
    monkeypatch.setattr(rebuild.staging, "locate", lambda *_: (_ for _ in ()).throw(work.TryAgain("away")))

    for _ in range(limits.ATTEMPTS_MAX):
        assert delivery.deliver(ordered.pk, rebuild.run)
        expire_if_running(ordered)

    ordered.refresh_from_db()
    assert (ordered.state, ordered.attempts) == ("failed", 3)
    assert "away" in ordered.reason


def test_a_copy_that_three_attempts_could_not_swap_in_is_removed(ordered, stopped, monkeypatch):
    def away(*_args, **_options):
        raise work.TryAgain("away")

    monkeypatch.setattr(control, "carry_through", away)
    for _ in range(limits.ATTEMPTS_MAX):
        assert names(stopped.directory) in (["CURRENT", "g00000001"], ["CURRENT", "g00000001", "g00000002"])
        assert delivery.deliver(ordered.pk)
        expire_if_running(ordered)

    ordered.refresh_from_db()
    assert (ordered.state, len(stopped.built)) == ("failed", 1)
    assert "left" not in ordered.result
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_an_unexpected_error_leaves_no_copy(ordered, stopped, monkeypatch):
    monkeypatch.setattr(control, "carry_through", lambda *_args, **_options: 1 / 0)

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == "failed"
    assert len(stopped.built) == 1
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_a_copy_that_an_engine_may_still_have_goes_once_it_answers(left_in_the_engine, stopped, monkeypatch):
    monkeypatch.setattr(control, "_AWAY_S", 0.1)
    cleared = []
    monkeypatch.setattr(tasks.clear, "apply_async", lambda args, **_: cleared.append(args[0]))
    monkeypatch.setattr(tasks.export, "sweep", lambda: 0)
    Job.objects.filter(pk=left_in_the_engine.pk).update(state="cancelling", attempts=limits.ATTEMPTS_MAX - 1)
    answer = stopped.answer
    stopped.answer = lambda method, path, query, body: (
        (503, {}) if "/swap/" in path else answer(method, path, query, body)
    )

    delivery.deliver(left_in_the_engine.pk)
    left_in_the_engine.refresh_from_db()
    assert (left_in_the_engine.state, left_in_the_engine.result["left"]) == ("failed", True)
    assert names(stopped.directory) == ["CURRENT", "g00000001", "g00000002"]

    stopped.answer = answer
    tasks.thin()
    assert cleared == [], "its host has no worker"
    presence.say()
    tasks.thin()
    assert cleared == [str(left_in_the_engine.pk)]
    tasks.clear(cleared[0])
    assert names(stopped.directory) == ["CURRENT", "g00000001"]
    tasks.thin()
    assert len(cleared) == 1


def test_a_delivery_too_many_leaves_the_end_to_the_reaper(ordered, monkeypatch):
    cleared = []
    monkeypatch.setattr(tasks.clear, "apply_async", lambda args, **_: cleared.append(args[0]))
    lease.acquire(ordered.pk, "dead")
    Job.objects.filter(pk=ordered.pk).update(attempts=limits.ATTEMPTS_MAX)
    expire(ordered)

    assert delivery.deliver(ordered.pk) is False
    tasks.reap()

    ordered.refresh_from_db()
    assert (ordered.state, cleared) == ("failed", [str(ordered.pk)])


def test_a_copy_beside_an_instance_that_the_partition_has_left_is_removed_too(ordered, stopped, tmp_path, monkeypatch):
    elsewhere = tmp_path / "of-another-instance" / "shop" / "0_0" / "counts"
    (elsewhere / "g00000001").mkdir(parents=True)
    (elsewhere / "CURRENT").write_text("g00000001\n")

    def away(*_args, **_options):
        raise work.TryAgain("away")

    monkeypatch.setattr(control, "carry_through", away)
    for directory in (stopped.directory, elsewhere, elsewhere):
        stopped.tasks[0]["stores"]["counts"]["directory"] = str(directory)
        assert delivery.deliver(ordered.pk)
        expire_if_running(ordered)

    ordered.refresh_from_db()
    assert (ordered.state, len(stopped.built)) == ("failed", 2)
    assert names(stopped.directory) == ["CURRENT", "g00000001"]
    assert names(elsewhere) == ["CURRENT", "g00000001"]
