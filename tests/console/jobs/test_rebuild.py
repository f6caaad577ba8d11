"""A rebuild builds beside the live store and swaps, whatever dies in between."""

import pytest
from django.db import connection

from console.jobs import commands, delivery, lease, work
from console.models import Job
from console.observe import snapshot
from engine.changelog import restore
from tests.console.jobs.made import expire, names

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rebuild_builds_beside_and_swaps(ordered, stopped):
    assert delivery.deliver(ordered.pk) is True

    ordered.refresh_from_db()
    assert (ordered.state, ordered.attempts, ordered.reason) == ("succeeded", 1, "")
    assert stopped.built == [("counts", True, "shop-counts-changelog", 0, "g00000002.staging")]
    assert stopped.orders == [("swap", f"{ordered.pk}:0", "g00000002")]
    assert (stopped.directory / "CURRENT").read_text() == "g00000002\n"
    assert ordered.result["records"] == 1_000
    shown = snapshot.job(str(ordered.pk))
    assert (shown["percent"], shown["progress"]["0"]["phase"], shown["can_cancel"]) == (100.0, "done", False)


def test_three_deliveries_are_one_effect(ordered, stopped):
    assert [delivery.deliver(ordered.pk) for _ in range(3)] == [True, False, False]

    assert (len(stopped.built), len(stopped.orders)) == (1, 1)


def test_a_delivery_while_the_lease_lives_does_nothing(ordered, stopped):
    assert lease.acquire(ordered.pk, "another")

    assert delivery.deliver(ordered.pk) is False
    assert stopped.built == []


def test_the_second_attempt_starts_over_what_a_dead_worker_had_half_built(ordered, stopped):
    job = lease.acquire(ordered.pk, "dead")
    Job.objects.filter(pk=job.pk).update(
        result={"generations": {"0": {"directory": str(stopped.directory.resolve()), "generation": "g00000002"}}}
    )
    (stopped.directory / "g00000002.staging").mkdir()
    (stopped.directory / "g00000002.staging" / "half").write_text("x")
    expire(job)

    assert delivery.deliver(ordered.pk) is True

    ordered.refresh_from_db()
    assert (ordered.state, ordered.attempts) == ("succeeded", 2)
    assert names(stopped.directory) == ["CURRENT", "g00000001", "g00000002"]
    assert names(stopped.directory / "g00000002") == ["data"]


def test_the_second_attempt_uses_what_a_dead_worker_had_finished(ordered, stopped):
    job = lease.acquire(ordered.pk, "dead")
    Job.objects.filter(pk=job.pk).update(
        result={"generations": {"0": {"directory": str(stopped.directory.resolve()), "generation": "g00000002"}}}
    )
    (stopped.directory / "g00000002").mkdir()
    expire(job)

    assert delivery.deliver(ordered.pk) is True

    assert stopped.built == []
    assert stopped.orders == [("swap", f"{ordered.pk}:0", "g00000002")]


def test_the_second_attempt_finds_that_the_swap_has_happened(ordered, stopped):
    job = lease.acquire(ordered.pk, "dead")
    Job.objects.filter(pk=job.pk).update(
        result={"generations": {"0": {"directory": str(stopped.directory.resolve()), "generation": "g00000002"}}}
    )
    (stopped.directory / "g00000002").mkdir()
    (stopped.directory / "CURRENT").write_text("g00000002\n")
    expire(job)

    assert delivery.deliver(ordered.pk) is True

    ordered.refresh_from_db()
    assert (ordered.state, stopped.built, stopped.orders) == ("succeeded", [], [])


def test_an_engine_that_restarts_is_given_the_order_again(ordered, stopped):
    stopped.phases = ["replaying", "replaying", "replaying", "swapped"]
    forgot = []
    answer = stopped.answer

    def forgetful(method, path, query, body):
        if method == "GET" and "/swap/" in path and not forgot:
            forgot.append(path)
            stopped.forget()
        return answer(method, path, query, body)

    stopped.answer = forgetful
    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert (ordered.state, len(stopped.orders)) == ("succeeded", 2)


def test_a_swap_that_fails_leaves_the_live_store_and_no_copy(ordered, stopped):
    stopped.phases = ["failed"]

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == "failed"
    assert "it broke" in ordered.reason
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_a_cancelled_build_leaves_nothing(ordered, stopped, operator, monkeypatch):
    build = restore.build_generation

    def cancelling(*args, progress, cancelled, **options):
        def then(restoring):
            progress(restoring)
            if restoring.position == 500:
                commands.cancel(operator, str(ordered.pk), via="page")
                heartbeat_now(ordered)

        return build(*args, progress=then, cancelled=cancelled, **options)

    beats = []
    monkeypatch.setattr(lease.Heartbeat, "__enter__", lambda self: beats.append(self) or self)
    monkeypatch.setattr(lease.Heartbeat, "__exit__", lambda *_: None)

    def heartbeat_now(_job):
        beats[-1].renew()

    monkeypatch.setattr(restore, "build_generation", cancelling)
    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == "cancelled"
    assert names(stopped.directory) == ["CURRENT", "g00000001"]
    assert stopped.orders == []


def test_a_queued_job_is_cancelled_at_once(ordered, operator, stopped):
    commands.cancel(operator, str(ordered.pk), via="page")

    assert delivery.deliver(ordered.pk) is False
    ordered.refresh_from_db()
    assert (ordered.state, stopped.built) == ("cancelled", [])
    with pytest.raises(commands.Refused):
        commands.cancel(operator, str(ordered.pk), via="page")


def test_a_cancel_while_the_engine_swaps_is_passed_on(ordered, stopped):
    stopped.phases = ["replaying"]
    answer = stopped.answer

    def cancelling(method, path, query, body):
        if method == "POST" and path.endswith("/swap"):
            Job.objects.filter(pk=ordered.pk).update(state="cancelling")
            connection.close()
        return answer(method, path, query, body)

    stopped.answer = cancelling
    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == "cancelled"
    assert stopped.cancelled == [f"{ordered.pk}:0"]
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_a_worker_that_lost_its_lease_touches_nothing_any_more(ordered, stopped, monkeypatch):
    build = restore.build_generation

    def stolen(*args, **options):
        built = build(*args, **options)
        Job.objects.filter(pk=ordered.pk).update(lease_owner="another")
        return built

    monkeypatch.setattr(restore, "build_generation", stolen)
    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert (ordered.state, ordered.lease_owner, stopped.orders) == ("running", "another", [])


@pytest.mark.parametrize(
    "directory", ["/etc", "/var/shop/0_0/other", "relative/shop/0_0/counts", "/nowhere/shop/0_0/counts"]
)
def test_a_directory_that_is_not_the_stores_is_not_touched(ordered, stopped, directory):
    stopped.tasks[0]["stores"]["counts"]["directory"] = directory

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert (ordered.state, stopped.built) == ("failed", [])


def test_a_store_in_memory_is_rebuilt_by_the_engine(ordered, stopped):
    stopped.tasks[0]["stores"]["counts"]["backend"] = "memory"

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == "succeeded"
    assert stopped.orders == [("rebuild", f"{ordered.pk}:0", None)]


def test_a_layout_that_is_not_known_is_not_guessed(ordered, stopped):
    del stopped.tasks[0]["stores"]["counts"]["spec"]

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert (ordered.state, stopped.built) == ("failed", [])
    assert "laid out" in ordered.reason


def test_progress_is_in_offset_slots(ordered, monkeypatch):
    seen = []
    report = work.Work.report
    monkeypatch.setattr(
        work.Work, "report", lambda self, partition, **facts: (seen.append(facts), report(self, partition, **facts))
    )

    delivery.deliver(ordered.pk)

    slots = [(each["start"], each["position"], each["end"]) for each in seen if "start" in each]
    assert slots == [(0, 250, 1_000), (0, 500, 1_000), (0, 1_000, 1_000)]
