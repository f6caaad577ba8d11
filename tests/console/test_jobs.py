import json
import os
import threading
import uuid
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection
from django.utils import timezone

from console import limits
from console.access import audit
from console.jobs import commands, control, delivery, lease, presence, rebuild, states, tasks, work
from console.models import AuditEntry, Job
from console.observe import snapshot
from engine.changelog import restore
from engine.changelog.restore import Built
from tests.console import reports
from tests.console.killing import deliver_and_die

pytestmark = pytest.mark.django_db(transaction=True)

HOST = django_settings.HOST_NAME


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    """Messages are kept, not sent; and nothing waits."""
    found = []
    monkeypatch.setattr(tasks.run, "apply_async", lambda args, queue, **_options: found.append((args[0], queue)))
    monkeypatch.setattr(tasks.clear, "apply_async", lambda **_: None)
    monkeypatch.setattr(states.pinger, "send", lambda *_: None)
    monkeypatch.setattr("console.jobs.control._POLL_S", 0.01)
    return found


@pytest.fixture
def stopped(observed, engine, tmp_path, monkeypatch):
    """The shop on an engine double, with a store directory on disk and a changelog of 1,000 records."""
    directory = tmp_path / "shop" / "0_0" / "counts"
    (directory / "g00000001").mkdir(parents=True)
    (directory / "CURRENT").write_text("g00000001\n")
    engine.directory = directory
    engine.tasks = [
        {
            "task": "0_0",
            "partition": 0,
            "role": "active",
            "stores": {
                "counts": {
                    "generation": "g00000001",
                    "directory": str(directory),
                    "changelog": "shop-counts-changelog",
                    "backend": "rocksdb",
                    "spec": {"kind": "key-value", "timestamped": True},
                }
            },
        }
    ]
    engine.on_done = lambda _job: (directory / "CURRENT").write_text((engine.orders[-1][2] or "g00000001") + "\n")
    observed.report(
        *reports.shop(),
        reports.instance("engine-1", sequence=2, tasks=["0_0"], host=HOST, address=engine.address),
        reports.instance("engine-2", sequence=2, tasks=["0_1"], host=HOST, address=engine.address),
    )
    monkeypatch.setattr(
        "console.jobs.survey.offsets", lambda _changelog, partitions: dict.fromkeys(partitions, (0, 1_000))
    )
    engine.built = []

    def build(spec, changelog, partition, place, *, progress, cancelled, **_options):
        engine.built.append((spec.name, spec.timestamped, changelog, partition, place.name))
        place.mkdir()
        (place / "data").write_text("x")
        restoring = restore.Restoring("", spec.name, changelog, partition, None, 0, 1_000, "operator")
        for position in (250, 500, 1_000):
            if cancelled():
                raise restore.Cancelled("cancelled")
            restoring.position = restoring.records = position
            progress(restoring)
        return Built(1_000, 1_000, 9_000)

    monkeypatch.setattr(restore, "build_generation", build)
    return engine


@pytest.fixture
def operator(account):
    return account("operator")


@pytest.fixture
def ordered(stopped, operator):  # noqa: ARG001 - fixtures ask for fixtures by argument
    return make(operator)


def make(user, **changes):
    asked = {
        "kind": "rebuild",
        "application": "shop",
        "store": "counts",
        "partitions": [0],
        "why": "a test",
        "via": "page",
    } | changes
    return commands.create(user, **asked)


def names(directory):
    return sorted(each.name for each in directory.iterdir())


def expire(job):
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


# -- asking


def test_a_dry_run_says_what_it_costs_and_changes_nothing(stopped, sent):
    shown = commands.preview("rebuild", "shop", "counts", [0])

    assert shown["can_run"] is True
    assert shown["host"] == HOST
    assert shown["totals"] == {"records_estimate": 1_000, "seconds_estimate": None, "disk_bytes": 1_000}
    assert shown["partitions"][0]["how"] == "worker"
    assert (Job.objects.count(), AuditEntry.objects.count(), sent, stopped.orders) == (0, 0, [], [])


def test_a_job_is_audited_then_sent_to_its_host(ordered, sent):
    assert sent == [(str(ordered.pk), f"host.{HOST}")]
    assert (ordered.state, ordered.number) == ("queued", 1)
    entry = AuditEntry.objects.get()
    assert (entry.username, entry.action, entry.store, entry.parameters["job"]) == (
        "operator-user",
        "rebuild",
        "counts",
        str(ordered.pk),
    )


@pytest.mark.usefixtures("stopped")
def test_without_the_audit_nothing_happens(operator, sent, monkeypatch):
    def fail(*_args, **_options):
        raise DatabaseError("disk full")

    monkeypatch.setattr(audit, "write", fail)
    with pytest.raises(DatabaseError):
        make(operator)

    assert (Job.objects.count(), sent) == (0, [])


@pytest.mark.usefixtures("stopped")
def test_a_viewer_may_not(account):
    with pytest.raises(PermissionDenied):
        make(account("viewer"))

    assert Job.objects.count() == 0
    assert AuditEntry.objects.get().result == "denied"


@pytest.mark.usefixtures("stopped")
def test_asking_twice_with_one_id_makes_one_job(operator, sent):
    wanted = str(uuid.uuid4())

    first, second = make(operator, job_id=wanted), make(operator, job_id=wanted)

    assert (first.pk, Job.objects.count(), len(sent)) == (second.pk, 1, 1)


@pytest.mark.usefixtures("ordered")
def test_two_jobs_on_one_partition_are_refused(operator):
    with pytest.raises(commands.Refused) as caught:
        make(operator, kind="compact")

    assert caught.value.code == "conflict"
    assert "#1" in caught.value.words


@pytest.mark.usefixtures("stopped")
def test_a_partition_that_restores_is_refused(observed, operator):
    observed.report(reports.store("counts", "0_0", sequence=3, phase="applying", position=10, snapshot_end=100))

    with pytest.raises(commands.Refused) as caught:
        make(operator)
    assert caught.value.code == "cannot-run"
    assert "Partition 0 is restoring" in caught.value.words


def test_partitions_on_several_hosts_are_refused(stopped, observed, operator):
    observed.report(reports.instance("engine-2", sequence=3, tasks=["0_1"], host="another", address=stopped.address))

    with pytest.raises(commands.Refused) as caught:
        make(operator, partitions=[0, 1])
    assert "several hosts" in caught.value.words


def test_too_little_disk_is_refused(stopped, observed, operator):
    from engine.control import status

    observed.report(
        reports.instance(
            "engine-1", sequence=3, tasks=["0_0"], host=HOST, address=stopped.address, disk=status.Disk(free_bytes=10)
        )
    )

    with pytest.raises(commands.Refused) as caught:
        make(operator)
    assert "make room" in caught.value.words


# -- the table of states


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


# -- rebuild


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


def begun(user, kind, done, **changes):
    """A job on two partitions whose worker died when it had finished the first one."""
    job = lease.acquire(make(user, kind=kind, partitions=[0, 1]).pk, "dead")
    Job.objects.filter(pk=job.pk).update(result={done: {"0": {}}}, **changes)
    expire(job)
    return job


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


# -- an order that the engine still has


@pytest.fixture
def left_in_the_engine(ordered, stopped):
    """A rebuild whose worker died (``kill -9``) once the engine had taken its swap, and was following the changelog."""
    stopped.phases = ["replaying"]
    deliver_and_die(ordered, control._Following, "step", after=True)
    assert stopped.orders == [("swap", f"{ordered.pk}:0", "g00000002")]
    expire(ordered)
    return ordered


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


# -- compact


def test_compact_keeps_the_sizes_before_and_after(stopped, operator):
    stopped.phases = ["queued", "compacting", "done"]
    stopped.facts = {"bytes_before": 900, "bytes_after": 400, "levels_before": [3], "levels_after": [0, 1]}
    job = make(operator, kind="compact", partitions=[0, 1])

    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["bytes_before"], job.result["bytes_after"]) == ("succeeded", 1_800, 800)
    assert [order[0] for order in stopped.orders] == ["compact", "compact"]


# -- every row ends


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


def expire_if_running(job):
    Job.objects.filter(pk=job.pk, state="running").update(lease_until=timezone.now() - timedelta(seconds=1))


def test_the_visibility_timeout_is_longer_than_the_longest_job(settings):
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > limits.JOB_SECONDS_MAX
    assert settings.CELERY_ACCEPT_CONTENT == settings.CELERY_RESULT_ACCEPT_CONTENT == ["json"]


@pytest.mark.usefixtures("ordered")
def test_messages_hold_an_id_and_nothing_else(sent):
    assert "canary" not in json.dumps(sent)
    assert len(sent[0]) == 2


# -- through the API


@pytest.mark.usefixtures("stopped")
def test_a_job_through_the_api(with_token):
    client = with_token("operator")
    body = {
        "kind": "rebuild",
        "application": "shop",
        "store": "counts",
        "partitions": [0],
        "dry_run": True,
        "why": "checksum",
    }

    shown = client.post("/api/v1/jobs", json.dumps(body), content_type="application/json")
    assert (shown.status_code, shown.json()["dry_run"]["can_run"]) == (200, True)
    made = client.post("/api/v1/jobs", json.dumps(body | {"dry_run": False}), content_type="application/json")
    assert made.status_code == 201
    job = made.json()["job"]
    assert (job["state"], job["why"], job["created_by"]) == ("queued", "checksum", "operator-user")
    cancelled = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["job"]["state"]) == (200, "cancelled")
    again = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert client.get("/api/v1/jobs").json()["counts"]["cancelled"] == 1
