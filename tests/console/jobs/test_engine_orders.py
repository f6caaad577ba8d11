"""A swap that the engine may still have is ended before its copy goes."""

import pytest

from console import limits
from console.jobs import control, delivery, lease, tasks, work
from console.models import Job
from tests.console.jobs.made import expire, names
from tests.console.killing import deliver_and_die

pytestmark = pytest.mark.django_db(transaction=True)


def copies_seen_by(engine):
    """Keep, for each answer about an order, its phase and whether the generation's directory stood."""
    seen = []
    answer = engine.answer

    def watching(method, path, query, body):
        said = answer(method, path, query, body)
        if "/swap" in path:
            seen.append((said[1].get("phase"), (engine.directory / "g00000002").is_dir()))
        return said

    engine.answer = watching
    return seen


def test_a_cancelled_swap_is_ended_in_the_engine_before_its_copy_is_removed(left_in_the_engine, stopped):
    stopped.phases_of_cancel = ["replaying", "replaying", "cancelled"]
    Job.objects.filter(pk=left_in_the_engine.pk).update(state="cancelling")
    seen = copies_seen_by(stopped)

    assert delivery.deliver(left_in_the_engine.pk) is True

    left_in_the_engine.refresh_from_db()
    assert left_in_the_engine.state == "cancelled"
    assert stopped.cancelled == [f"{left_in_the_engine.pk}:0"]
    assert seen == [("replaying", True)] * 3 + [("cancelled", True)]
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_a_swap_that_was_faster_than_its_cancel_is_kept(left_in_the_engine, stopped):
    stopped.phases_of_cancel = ["replaying", "swapped"]
    Job.objects.filter(pk=left_in_the_engine.pk).update(state="cancelling")

    delivery.deliver(left_in_the_engine.pk)

    left_in_the_engine.refresh_from_db()
    assert (left_in_the_engine.state, left_in_the_engine.result["done"]["0"]["generation"]) == (
        "succeeded",
        "g00000002",
    )
    assert names(stopped.directory) == ["CURRENT", "g00000001", "g00000002"]


def test_a_copy_stays_while_the_engine_does_not_end_its_swap(left_in_the_engine, stopped, monkeypatch):
    monkeypatch.setattr(control, "_AWAY_S", 0.1)
    stopped.phases_of_cancel = ["replaying"]
    Job.objects.filter(pk=left_in_the_engine.pk).update(state="cancelling")

    delivery.deliver(left_in_the_engine.pk)

    left_in_the_engine.refresh_from_db()
    assert left_in_the_engine.state == "cancelling"
    assert "could not be ended in the engine" in left_in_the_engine.reason
    assert names(stopped.directory) == ["CURRENT", "g00000001", "g00000002"]


@pytest.mark.parametrize(
    ("ended_as", "left", "words"),
    [
        ("cancelled", ["CURRENT", "g00000001"], ""),
        (
            "swapped",
            ["CURRENT", "g00000001", "g00000002"],
            "When it was cleared up: 1 of 1 partitions had been swapped",
        ),
    ],
)
def test_clearing_up_after_a_dead_worker_ends_its_swap_first(left_in_the_engine, stopped, ended_as, left, words):
    stopped.phases_of_cancel = ["replaying", ended_as]
    Job.objects.filter(pk=left_in_the_engine.pk).update(attempts=limits.ATTEMPTS_MAX)
    tasks.reap()
    seen = copies_seen_by(stopped)

    tasks.clear(str(left_in_the_engine.pk))

    left_in_the_engine.refresh_from_db()
    assert left_in_the_engine.state == "failed"
    assert words in left_in_the_engine.reason
    assert stopped.cancelled == [f"{left_in_the_engine.pk}:0"]
    assert all(stood for _, stood in seen)
    assert names(stopped.directory) == left


def test_a_swap_whose_orders_answer_was_lost_is_ended_too(ordered, stopped, monkeypatch):
    stopped.phases = ["replaying"]
    call = control.Owner.call

    def losing(owner, method, path, body=None):
        answer = call(owner, method, path, body)
        if path.endswith("/swap"):
            Job.objects.filter(pk=ordered.pk).update(state="cancelling")
            beats[-1].renew()
            raise work.TryAgain("the answer was lost")
        return answer

    beats = []
    enter = lease.Heartbeat.__enter__
    monkeypatch.setattr(lease.Heartbeat, "__enter__", lambda self: beats.append(self) or enter(self))
    monkeypatch.setattr(control.Owner, "call", losing)
    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == "cancelled"
    assert (len(stopped.orders), stopped.cancelled) == (1, [f"{ordered.pk}:0"])
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


@pytest.mark.parametrize(
    ("ended_as", "state", "left"),
    [
        ("cancelled", "failed", ["CURRENT", "g00000001"]),
        ("swapped", "succeeded", ["CURRENT", "g00000001", "g00000002"]),
    ],
)
def test_a_swap_that_takes_too_long_is_ended_before_its_copy_is_removed(
    ordered, stopped, monkeypatch, ended_as, state, left
):
    monkeypatch.setattr(limits, "SWAP_SECONDS_MAX", 0.05)
    stopped.phases = ["replaying"]
    stopped.phases_of_cancel = ["waiting-for-commit", "waiting-for-commit", ended_as]
    seen = copies_seen_by(stopped)

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert ordered.state == state
    assert stopped.cancelled == [f"{ordered.pk}:0"]
    assert seen[-1] == (ended_as, True)
    assert all(stood for _, stood in seen)
    assert names(stopped.directory) == left


def test_a_refused_question_ends_the_swap_before_its_copy_is_removed(ordered, stopped):
    stopped.phases = ["replaying"]
    answer = stopped.answer
    refused = []

    def refusing(method, path, query, body):
        if method == "GET" and "/swap/" in path and not refused:
            refused.append(path)
            return 503, {"error": {"code": "internal", "message": "busy", "retryable": True, "state": None}}
        return answer(method, path, query, body)

    stopped.answer = refusing
    seen = copies_seen_by(stopped)
    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert (ordered.state, stopped.cancelled) == ("failed", [f"{ordered.pk}:0"])
    assert all(stood for _, stood in seen)
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_an_order_that_an_earlier_attempt_gave_up_fails_the_job(left_in_the_engine, stopped):
    stopped.known[f"{left_in_the_engine.pk}:0"] = ["cancelled"]

    delivery.deliver(left_in_the_engine.pk)

    left_in_the_engine.refresh_from_db()
    assert left_in_the_engine.state == "failed"
    assert names(stopped.directory) == ["CURRENT", "g00000001"]


def test_a_rebuild_inside_the_engine_is_ended_after_its_worker_died(ordered, stopped):
    stopped.tasks[0]["stores"]["counts"]["backend"] = "memory"
    stopped.phases = ["replaying"]
    deliver_and_die(ordered, control._Following, "step", after=True)
    expire(ordered)
    Job.objects.filter(pk=ordered.pk).update(state="cancelling")

    delivery.deliver(ordered.pk)

    ordered.refresh_from_db()
    assert (ordered.state, stopped.cancelled) == ("cancelled", [f"{ordered.pk}:0"])
