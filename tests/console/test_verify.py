"""The job that compares a store with its changelog: on a real changelog, with an engine's double that serves the rows."""

import base64
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from console import limits
from console.jobs import commands, delivery, live_rows, rebuild, tasks, verify, work
from console.models import AuditEntry, Difference, Job
from console.observe import recorded, snapshot
from tests.console import reports
from tests.console.killing import killed_and_delivered_three_times
from tests.console.store_on_kafka import int64

pytestmark = pytest.mark.django_db(transaction=True)


def raw(data):
    return {"base64": base64.b64encode(data).decode()}


class Shop:
    """A changelog of ``counts``/0 with the keys a, b and c, and a live store that tests choose."""

    def __init__(self, store):
        self.topic, self.engine, self.directory = store.topic, store.engine, store.directory
        self.report, self.write, self.names = store.report, store.write, store.names
        self.rows = {b"a": (1, 1_000), b"b": (2, 1_000), b"c": (3, 1_000)}
        self.position = 4
        self.pages = 0
        self.on_page = lambda: None
        self.write(b"a", 0)
        for key, (value, timestamp) in self.rows.items():
            self.write(key, value, timestamp)
        self._answer, self.engine.answer = self.engine.answer, self.answer

    def answer(self, method, path, query, body):
        if not path.endswith("/entries"):
            return self._answer(method, path, query, body)
        assert (query["partition"], query["local"], query["key_format"]) == (["0"], ["true"], ["base64"])
        self.pages += 1
        self.on_page()
        keys = sorted(self.rows)
        first = int(query.get("cursor", ["0"])[0])
        taken = keys[first : first + 2]
        entries = [
            {
                "key": raw(key), "value": raw(int64(self.rows[key][0])), "timestamp": self.rows[key][1], "partition": 0,
                "window": None, "session": None, "size": 8,
            }
            for key in taken
        ]  # fmt: skip
        source = {"instance": "engine-1", "partition": 0, "role": "active", "position": self.position, "lag": 0}
        more = first + 2 < len(keys)
        return 200, {
            "entries": entries,
            "cursor": str(first + 2) if more else None,
            "sources": [{**source, "error": None}],
        }


@pytest.fixture
def shop_on_kafka(store_on_kafka, monkeypatch):
    monkeypatch.setattr(tasks.run, "apply_async", lambda **_: None)
    return Shop(store_on_kafka)


@pytest.fixture
def verified(shop_on_kafka, account):
    """Verify and return the job's row."""

    def run(**changes):
        asked = {"kind": "verify", "application": "shop", "store": "counts", "partitions": [0], "via": "page"} | changes
        job = commands.create(account("operator"), **asked)
        delivery.deliver(job.pk)
        job.refresh_from_db()
        assert shop_on_kafka.names() == ["CURRENT", "g00000001"], "the copy has been removed"
        return job

    return run


def test_a_store_that_is_its_changelog_is_the_same(verified, shop_on_kafka):
    job = verified()

    assert (job.state, job.reason) == ("succeeded", "")
    assert (job.result["same"], job.result["differences"], job.result["kept"]) == (3, 0, 0)
    assert job.result["partitions"]["0"]["position"] == 4
    assert "They are the same." in job.result["words"]
    assert shop_on_kafka.pages == 2


def test_what_differs_is_counted_and_kept_decoded(verified, shop_on_kafka):
    shop_on_kafka.rows = {b"a": (1, 1_000), b"b": (20, 1_000), b"d": (4, 1_000)}

    job = verified()

    found = {(each["what"], each["key"]["text"]): each for each in recorded.differences(job.pk)}
    assert set(found) == {("different", "b"), ("missing", "c"), ("extra", "d")}
    different = found["different", "b"]
    assert (different["in_store"]["text"], different["in_other"]["text"]) == ("20", "2")
    assert found["missing", "c"]["in_store"] is None
    assert (job.result["missing"], job.result["extra"], job.result["different"]) == (1, 1, 1)
    assert "3 differ" in job.result["words"]


def test_a_store_that_moves_on_while_it_is_read_does_not_differ(verified, shop_on_kafka):
    def move_on():
        if shop_on_kafka.pages == 1:
            shop_on_kafka.write(b"b", 7, 2_000)
            shop_on_kafka.write(b"c", None)
            shop_on_kafka.rows = {b"a": (1, 1_000), b"b": (7, 2_000), b"e": (5, 2_000)}
            shop_on_kafka.write(b"e", 5, 2_000)

    shop_on_kafka.on_page = move_on

    job = verified()

    assert (job.state, job.result["differences"], job.result["moved_on"]) == ("succeeded", 0, 3)


def test_only_the_first_differences_are_kept(verified, shop_on_kafka, monkeypatch):
    monkeypatch.setattr(limits, "DIFF_ROWS_MAX", 1)
    shop_on_kafka.rows = {}

    job = verified()

    assert (job.result["missing"], job.result["kept"], Difference.objects.count()) == (3, 1, 1)


def test_a_second_delivery_does_nothing(verified, shop_on_kafka):
    job = verified()
    pages = shop_on_kafka.pages

    assert delivery.deliver(job.pk) is False
    assert shop_on_kafka.pages == pages


KILLS = {
    "the copy is about to be built": (rebuild, "build_copy", False),
    "the copy is built": (rebuild, "build_copy", True),
    "it is compared": (verify, "_keep", False),
    "the rows are kept": (verify, "_keep", True),
    "the copy is removed": (verify, "clear", True),
    "the row is about to be closed": (delivery, "_end", False),
}


@pytest.mark.parametrize("step", KILLS)
def test_the_rows_that_differ_are_kept_once_wherever_the_worker_is_killed(step, shop_on_kafka, account):
    shop_on_kafka.rows = {b"a": (1, 1_000), b"b": (20, 1_000), b"d": (4, 1_000)}
    job = commands.create(
        account("operator"), kind="verify", application="shop", store="counts", partitions=[0], via="page"
    )
    killed_and_delivered_three_times(job, KILLS[step], shop_on_kafka.report)
    found = sorted((each["what"], each["key"]["text"]) for each in recorded.differences(job.pk))
    assert found == [("different", "b"), ("extra", "d"), ("missing", "c")]
    assert (job.result["same"], job.result["differences"], job.result["kept"]) == (1, 3, 3)
    assert shop_on_kafka.names() == ["CURRENT", "g00000001"], "the copy has been removed"


def test_an_attempt_after_a_dead_worker_starts_over(shop_on_kafka, account):
    job = commands.create(
        account("operator"), kind="verify", application="shop", store="counts", partitions=[0], via="page"
    )
    kept = {"directory": str(shop_on_kafka.directory.resolve()), "generation": "g00000002"}
    Job.objects.filter(pk=job.pk).update(result={"generations": {"0": kept}})
    (shop_on_kafka.directory / "g00000002.staging").mkdir()
    (shop_on_kafka.directory / "g00000002.staging" / "half").write_text("x")

    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["same"]) == ("succeeded", 3)
    assert shop_on_kafka.names() == ["CURRENT", "g00000001"]


def test_a_cancelled_one_leaves_no_copy(verified, shop_on_kafka, monkeypatch):
    def cancel():
        Job.objects.update(state="cancelling")
        monkeypatch.setattr(work.Work, "is_cancelled", lambda _self: True)

    shop_on_kafka.on_page = cancel

    assert verified().state == "cancelled"


def test_an_engine_that_refuses_to_be_read_fails_it(verified, shop_on_kafka):
    error = {"code": "bad-request", "message": "no such format", "retryable": False, "state": None}
    answer = shop_on_kafka.engine.answer
    shop_on_kafka.engine.answer = lambda method, path, query, body: (
        (400, {"error": error}) if path.endswith("/entries") else answer(method, path, query, body)
    )

    job = verified()

    assert job.state == "failed"
    assert "no such format" in job.reason


def test_an_engine_that_restores_is_waited_for(verified, shop_on_kafka, monkeypatch):
    monkeypatch.setattr(live_rows, "_RETRY_S", 0.01)
    error = {"code": "store-restoring", "message": "not yet", "retryable": True, "state": None}
    answer = shop_on_kafka.engine.answer
    refused = []

    def restoring(method, path, query, body):
        if path.endswith("/entries") and len(refused) < 3:
            refused.append(path)
            return 503, {"error": error}
        return answer(method, path, query, body)

    shop_on_kafka.engine.answer = restoring

    assert (verified().state, len(refused)) == ("succeeded", 3)


def test_a_store_in_memory_is_compared_through_a_copy_on_disk(verified, shop_on_kafka, observed, settings, tmp_path):
    settings.DATA_DIR = str(tmp_path / "data")
    shop_on_kafka.engine.tasks[0]["stores"]["counts"] |= {"backend": "memory", "directory": None, "generation": None}
    shop_on_kafka.engine.tasks[0]["stores"]["counts"]["spec"] |= {"backend": "memory", "max_bytes": 1}
    observed.report(reports.store("counts", "0_0", sequence=9, backend="memory", changelog=shop_on_kafka.topic))
    shop_on_kafka.rows[b"b"] = (20, 1_000)

    job = verified()

    assert (job.state, job.result["same"], job.result["different"]) == ("succeeded", 2, 1)
    assert list((tmp_path / "data" / "verify").iterdir()) == []


def test_an_lru_map_cannot_be_compared(verified, shop_on_kafka):
    shop_on_kafka.engine.tasks[0]["stores"]["counts"] |= {"backend": "lru", "directory": None}

    job = verified()

    assert job.state == "failed"
    assert "forgets" in job.reason


def test_the_rows_are_filtered_and_paged(verified, shop_on_kafka):
    shop_on_kafka.rows = {b"a": (1, 1_000), b"b": (20, 1_000), b"d": (4, 1_000)}
    job = verified()

    def found(**by):
        return [each["key"]["text"] for each in recorded.differences(job.pk, **by)]

    assert found(what="extra") == ["d"]
    assert found(key="B") == ["b"]
    assert found(partition=1) == []
    first = recorded.differences(job.pk, limit=2)
    assert [each["ordinal"] for each in first] == [0, 1]
    assert found(after=1) == [each["key"]["text"] for each in recorded.differences(job.pk)][2:]


def test_rows_and_counts_stand_or_fall_together(verified, shop_on_kafka):
    shop_on_kafka.rows = {}
    job = verified()
    Job.objects.filter(pk=job.pk).update(state="running", lease_until=None, result={"generations": {}}, ended_at=None)
    Job.objects.filter(pk=job.pk).update(lease_owner="dead", lease_until=timezone.now() - timedelta(seconds=1))

    assert delivery.deliver(job.pk)

    assert [each["ordinal"] for each in recorded.differences(job.pk)] == [0, 1, 2]


def test_against_a_snapshot_whatever_differs_has_changed_since(verified, shop_on_kafka, account):
    snapshots = shop_on_kafka.directory.parent.parent / "snapshots"
    taken = commands.create(
        account("operator"), kind="snapshot", application="shop", store="counts", partitions=[0], via="page",
        arguments={"as_of_offset": 3},
    )  # fmt: skip
    delivery.deliver(taken.pk)
    shop_on_kafka.rows = {b"b": (20, 1_000), b"c": (3, 1_000)}

    job = verified(arguments={"against": str(taken.pk)})

    assert (job.state, job.reason) == ("succeeded", "")
    found = {each["key"]["text"]: each["what"] for each in recorded.differences(job.pk)}
    assert found == {"a": "missing", "b": "different", "c": "extra"}
    assert "with snapshot #1" in job.result["words"]
    assert "1 have come since" in job.result["words"]
    assert [each.name for each in snapshots.iterdir()] == [str(taken.pk)]
    with pytest.raises(commands.Refused) as caught:
        verified(arguments={"against": "11111111-1111-4111-8111-111111111111"})
    assert "no snapshot" in caught.value.words


def test_the_latest_one_is_found_and_lists_leave_its_rows_out(verified, shop_on_kafka):
    assert snapshot.verifications("shop", "counts") == {"latest": None, "rows": [], "newest": None}
    shop_on_kafka.rows = {}
    job = verified()

    found = snapshot.verifications("shop", "counts")
    assert (found["latest"]["result"]["kept"], len(found["rows"]), found["newest"]["number"]) == (3, 3, job.number)
    assert json.dumps(snapshot.jobs())


def test_the_diff_through_the_api_and_as_a_file(verified, shop_on_kafka, with_token):
    shop_on_kafka.rows = {b"a": (1, 1_000), b"=b": (20, 1_000)}
    job = verified()
    path = f"/api/v1/jobs/{job.pk}/differences"
    client = with_token("operator")

    first = client.get(path, {"limit": 2}).json()
    assert (len(first["differences"]), first["found"], first["kept"]) == (2, 3, 3)
    second = client.get(path, {"limit": 2, "cursor": first["cursor"]}).json()
    assert (len(second["differences"]), second["cursor"]) == (1, None)
    assert [each["key"]["text"] for each in client.get(path, {"what": "extra"}).json()["differences"]] == ["=b"]
    text = client.get(path + "/file", {"what": "extra"}).content.decode()
    assert text.splitlines()[1] == "0,extra,'=b,,,20,1000,,"
    lines = client.get(path + "/file", {"format": "jsonl"}).content.decode().splitlines()
    assert {json.loads(line)["what"] for line in lines} == {"missing", "extra"}
    assert AuditEntry.objects.filter(action="export").count() == 2
    for wrong in ({"what": "odd"}, {"partition": "x"}, {"cursor": "-1"}, {"limit": "0"}, {"other": "1"}):
        assert client.get(path, wrong).status_code == 400, wrong
    assert client.get("/api/v1/jobs/11111111-1111-4111-8111-111111111111/differences").status_code == 404
    assert with_token("viewer").get(path).status_code == 200
    assert with_token("viewer").get(path + "/file").status_code == 403
