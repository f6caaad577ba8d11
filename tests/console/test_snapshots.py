"""The store as it was: built from a real changelog up to an offset or a time, read through the engine's reader, deleted."""

import json
import uuid
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from console.browse import past
from console.jobs import commands, delivery, lease, presence, rebuild, snapshot, tasks, work
from console.models import AuditEntry, Job, Snapshot
from engine.query.refusal import Refusal
from engine.query.snapshots import Snapshots
from tests.console import reports
from tests.console.killing import killed_and_delivered_three_times
from tests.query.fakes import COUNTS

pytestmark = pytest.mark.django_db(transaction=True)
HOST = django_settings.HOST_NAME
ENTRIES = "/api/v1/applications/shop/stores/counts/snapshots/{}/entries"


class Shop:
    """A changelog of ``counts``/0: a=1@1000, b=2@2000, a=3@3000, b deleted@4000; and a reader as the engine has one."""

    def __init__(self, store):
        for key, value, timestamp in ((b"a", 1, 1_000), (b"b", 2, 2_000), (b"a", 3, 3_000), (b"b", None, 4_000)):
            store.write(key, value, timestamp)
        self.report, self.application = store.report, store.application
        self.reading = Snapshots(
            self.application, "engine-1", lambda: {"counts": COUNTS}, lambda _: None, lambda _: 1_000
        )
        self._answer, store.engine.answer = store.engine.answer, self.answer
        self.cleared, self.sent = [], []

    def answer(self, method, path, query, body):
        if not path.startswith("/v1/snapshots/"):
            return self._answer(method, path, query, body)
        try:
            return 200, self.reading._page(path.split("/")[3], [(name, values[0]) for name, values in query.items()])
        except Refusal as refusal:
            return refusal.status, refusal.body()

    def files(self):
        folder = self.application / "snapshots"
        return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def shop_on_kafka(store_on_kafka, monkeypatch):
    made = Shop(store_on_kafka)
    monkeypatch.setattr(tasks.run, "apply_async", lambda args, **_: made.sent.append(args[0]))
    monkeypatch.setattr(tasks.clear, "apply_async", lambda args, queue, **_: made.cleared.append((args[0], queue)))
    yield made
    made.reading.close()


@pytest.fixture
def take(shop_on_kafka, account):
    def run(*, deliver=True, **arguments):
        shop_on_kafka.report()
        job = commands.create(
            account("operator"), kind="snapshot", application="shop", store="counts", partitions=[0], why="to look",
            via="page", arguments=arguments,
        )  # fmt: skip
        if deliver:
            delivery.deliver(job.pk)
        job.refresh_from_db()
        return job

    return run


def content(job, **params):
    found = past.page("shop", "counts", str(job.pk), {name: str(value) for name, value in params.items()})
    return {entry["key"]: (entry["value"], entry["timestamp"]) for entry in found["entries"]}


def test_as_of_an_offset_and_as_of_a_time(take, shop_on_kafka):
    by_offset = take(as_of_offset=2)
    assert (by_offset.state, by_offset.reason) == ("succeeded", "")
    assert content(by_offset) == {"a": (1, 1_000), "b": (2, 2_000)}
    by_time = take(as_of_time=4_000)
    assert content(by_time) == {"a": (3, 3_000), "b": (2, 2_000)}
    everything = take(as_of_time=9_000)
    assert content(everything) == {"a": (3, 3_000)}
    assert content(take(as_of_time=500)) == {}
    assert len(shop_on_kafka.files()) == 4
    assert content(by_offset, key="a", partition=0) == {"a": (1, 1_000)}


def test_it_says_what_it_is_and_what_compaction_may_have_taken(take):
    job = take(as_of_offset=3, keep_hours=2)

    shown = past.described(past.find("shop", "counts", str(job.pk)))
    assert (shown["as_of"], shown["records"], shown["offsets"]) == ({"offset": 3}, 3, 3)
    assert shown["partitions"][0] | {"bytes": 0} == {
        "partition": 0,
        "begin": 0,
        "position": 3,
        "records": 3,
        "bytes": 0,
    }
    assert (shown["facts"]["cleanup_policy"], shown["facts"]["min_compaction_lag_ms"]) == ("compact", 3_600_000)
    assert "nothing had been compacted away" in shown["limits"][0]
    assert shown["expires_at"] - shown["created_at"] == 2 * 3_600_000
    row = Snapshot.objects.get()
    row.partitions[0]["records"] = 1
    words = " ".join(past.described(row)["limits"])
    assert "2 of its offsets held no record" in words
    assert "missing altogether" in words
    assert "1 hour" in words


@pytest.mark.usefixtures("shop_on_kafka")
def test_the_dry_run_says_up_to_where_and_refuses_what_is_not_there(with_token):
    client = with_token("operator")
    asked = {"kind": "snapshot", "application": "shop", "store": "counts", "partitions": [0], "dry_run": True}

    def post(**more):
        return client.post("/api/v1/jobs", json.dumps(asked | more), content_type="application/json")

    shown = post(as_of_time=3_000).json()["dry_run"]
    assert (shown["can_run"], shown["partitions"][0]["until"], shown["partitions"][0]["end"]) == (True, 2, 4)
    assert shown["facts"]["cleanup_policy"] == "compact"
    assert any("missing altogether" in each for each in shown["effects"])
    beyond = post(as_of_offset=99).json()["dry_run"]
    assert not beyond["can_run"]
    assert "0 to 4" in beyond["problems"][0]
    several = post(as_of_offset=1, partitions=[0, 1]).json()["dry_run"]
    assert any("choose one partition" in each for each in several["problems"])
    for wrong in (
        {},
        {"as_of_offset": 1, "as_of_time": 1},
        {"as_of_offset": -1},
        {"as_of_time": "now"},
        {"arguments": {"until": 1}},
    ):
        assert post(**wrong).status_code == 400, wrong
    assert Job.objects.count() == 0


def test_through_the_api_with_a_cursor(take, with_token):
    job = take(as_of_offset=2)
    client = with_token("viewer")

    listed = client.get("/api/v1/applications/shop/stores/counts/snapshots").json()["snapshots"]
    assert [each["id"] for each in listed] == [str(job.pk)]
    first = client.get(ENTRIES.format(job.pk), {"limit": 1}).json()
    second = client.get(ENTRIES.format(job.pk), {"limit": 1, "cursor": first["cursor"]}).json()
    assert [each["key"] for each in first["entries"] + second["entries"]] == ["a", "b"]
    assert first["snapshot"]["id"] == str(job.pk)
    assert first["sources"][0]["role"] == "snapshot"
    assert client.get(ENTRIES.format(job.pk), {"max_lag": 1}).status_code == 400
    assert client.get(ENTRIES.format(uuid.uuid4())).status_code == 404
    assert client.get(ENTRIES.format("nothing")).status_code == 404
    assert client.delete(ENTRIES.format(job.pk).removesuffix("/entries")).status_code == 403


def test_deleting_one_takes_its_files_and_is_audited(take, shop_on_kafka, with_token):
    job = take(as_of_offset=2)
    path = ENTRIES.format(job.pk).removesuffix("/entries")
    client = with_token("operator")

    assert client.delete(path).json() == {"deleted": str(job.pk)}
    assert client.delete(path).status_code == 404
    assert client.get(path + "/entries").status_code == 404
    assert shop_on_kafka.cleared == [(str(job.pk), f"host.{HOST}")]
    tasks.clear(str(job.pk))
    assert shop_on_kafka.files() == []
    assert Snapshot.objects.get().removed_at is not None
    assert AuditEntry.objects.filter(action="delete-snapshot", store="counts").count() == 1


def test_an_expired_one_is_not_found_and_swept(take, shop_on_kafka, monkeypatch):
    job = take(as_of_offset=2)
    monkeypatch.setattr(tasks.export, "sweep", lambda: 0)
    tasks.thin()
    assert shop_on_kafka.cleared == []
    tasks.clear(str(job.pk))
    assert len(shop_on_kafka.files()) == 1, "one that lives is left alone"

    Snapshot.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(past.Unavailable):
        past.find("shop", "counts", str(job.pk))
    tasks.thin()
    assert shop_on_kafka.cleared == [], "its host has no worker, so nobody would read that"
    presence.say()
    tasks.thin()
    assert len(shop_on_kafka.cleared) == 1
    tasks.clear(str(job.pk))
    tasks.thin()
    assert (shop_on_kafka.files(), len(shop_on_kafka.cleared)) == ([], 1)


KILLS = {
    "a copy is about to be built": (snapshot, "_build", False),
    "a copy is built": (snapshot, "_build", True),
    "all copies are built": (snapshot, "_name", False),
    "it is named": (snapshot, "_name", True),
    "its row is made": (snapshot, "_made", True),
    "the job's row is about to be closed": (delivery, "_end", False),
}


@pytest.mark.parametrize("step", KILLS)
def test_one_snapshot_is_made_wherever_the_worker_is_killed(step, take, shop_on_kafka):
    job = take(deliver=False, as_of_offset=2)
    killed_and_delivered_three_times(job, KILLS[step], shop_on_kafka.report)
    assert shop_on_kafka.files() == [str(job.pk)]
    assert Snapshot.objects.count() == 1
    assert content(job) == {"a": (1, 1_000), "b": (2, 2_000)}


def test_an_attempt_after_a_dead_worker_goes_up_to_the_same_offset(take, shop_on_kafka, monkeypatch):
    job = take(deliver=False, as_of_time=3_000)

    class Killed(BaseException):
        pass

    def die(*_args, **_options):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(rebuild.restore, "build_generation", die)
        with pytest.raises(Killed):
            delivery.deliver(job.pk)
    monkeypatch.setattr(snapshot, "_settled", lambda *_: 1 / 0)
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))

    assert delivery.deliver(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("succeeded", 2)
    assert content(job) == {"a": (1, 1_000), "b": (2, 2_000)}
    assert delivery.deliver(job.pk) is False
    assert shop_on_kafka.files() == [str(job.pk)]


def test_what_a_given_up_job_has_left_is_cleared(take, shop_on_kafka):
    job = take(deliver=False, as_of_offset=2)
    directory = shop_on_kafka.application / "snapshots" / f"{job.pk}.staging"
    directory.mkdir(parents=True)
    for attempt in range(3):
        assert lease.acquire(job.pk, f"dead-{attempt}")
        whole = str(directory).removesuffix(".staging")
        Job.objects.filter(pk=job.pk).update(
            lease_until=timezone.now() - timedelta(seconds=1), result={"directory": whole}
        )
    tasks.reap()

    job.refresh_from_db()
    assert (job.state, shop_on_kafka.cleared) == ("failed", [(str(job.pk), f"host.{HOST}")])
    tasks.clear(str(job.pk))
    assert shop_on_kafka.files() == []


def test_what_three_attempts_have_built_in_vain_is_removed(take, shop_on_kafka, monkeypatch):
    job = take(deliver=False, as_of_offset=2)

    def away(*_args):
        raise work.TryAgain("away")

    monkeypatch.setattr(snapshot, "_name", away)
    seen = []
    for _ in range(3):
        shop_on_kafka.report()
        assert delivery.deliver(job.pk)
        seen.append(shop_on_kafka.files())
        Job.objects.filter(pk=job.pk, state="running").update(lease_until=timezone.now() - timedelta(seconds=1))

    job.refresh_from_db()
    assert job.state == "failed"
    assert seen == [[f"{job.pk}.staging"], [f"{job.pk}.staging"], []]


def test_a_directory_of_somebody_else_is_never_removed(tmp_path):
    for path in (tmp_path / "shop" / "0_0" / "x", tmp_path / "other" / "snapshots" / "x"):
        path.mkdir(parents=True)
        snapshot.remove(path, "shop", "x")
        assert path.is_dir()


def test_a_cancelled_one_leaves_nothing(take, shop_on_kafka, monkeypatch):
    job = take(deliver=False, as_of_offset=2)
    monkeypatch.setattr(work.Work, "is_cancelled", lambda _self: True)
    Job.objects.filter(pk=job.pk).update(state="cancelling")
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))

    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert (job.state, shop_on_kafka.files(), Snapshot.objects.count()) == ("cancelled", [], 0)


def test_an_instance_that_is_away_is_named(take, observed):
    job = take(as_of_offset=2)
    observed.topic.tombstone(reports.instance("engine-1", sequence=9))
    observed.settle()

    with pytest.raises(past.Unavailable) as caught:
        past.page("shop", "counts", str(job.pk), {})
    assert "engine-1" in caught.value.words
    assert caught.value.retryable
