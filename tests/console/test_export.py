"""Writing a store to a file, and handing it out."""

import csv
import io
import json
import os
import stat
import time
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from console import limits
from console.jobs import commands, delivery, export, states, tasks, work
from console.models import AuditEntry, Job
from tests.console import reports
from tests.console.killing import deliver_and_die, delivered_three_times

pytestmark = pytest.mark.django_db(transaction=True)


def entry(key, value, partition=0, **more):
    return {
        "key": key, "value": value, "timestamp": 1_000, "partition": partition, "window": None, "session": None, "size": 8, **more
    }  # fmt: skip


@pytest.fixture
def shop_with_entries(observed, engine, settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path / "data"
    monkeypatch.setattr(tasks.run, "apply_async", lambda **_: None)
    monkeypatch.setattr(states.pinger, "send", lambda *_: None)
    monkeypatch.setattr(export, "_RETRY_S", 0.01)
    observed.report(
        *reports.shop(),
        reports.instance("engine-1", sequence=2, tasks=["0_0"], address=engine.address),
        # Another host: an export does not care.
        reports.instance("engine-2", sequence=2, tasks=["0_1"], address=engine.address, host="h2"),
    )
    pages = {
        ("0", None): ([entry("UA", 1), entry("=1+1", {"a": "é"})], "more"),
        ("0", "more"): ([entry("-x", None, window={"start": 5, "end": 10})], None),
        ("1", None): ([entry("B6", -2, 1)], None),
    }
    engine.refusals = []

    def answer(method, path, query, body):
        del method, path, body
        if engine.refusals:
            return engine.refusals.pop()
        found, cursor = pages[query["partition"][0], query.get("cursor", [None])[0]]
        source = {"instance": "engine-1", "partition": int(query["partition"][0]), "role": "active", "error": None}
        return 200, {"entries": found, "cursor": cursor, "sources": [source | {"position": 4, "lag": 0}]}

    engine.answer = answer
    return engine


def make(user, form="jsonl", partitions=(0, 1), **changes):
    asked = {"kind": "export", "application": "shop", "store": "counts", "partitions": list(partitions), "via": "page"}
    return commands.create(user, arguments={"format": form}, **asked | changes)


def exported(user, **asked):
    job = make(user, **asked)
    delivery.deliver(job.pk)
    job.refresh_from_db()
    return job


@pytest.fixture
def operator(shop_with_entries, account):  # noqa: ARG001 - fixtures ask for fixtures by argument
    return account("operator")


def test_json_lines_hold_every_entry_once(operator):
    job = exported(operator)

    assert (job.state, job.reason, job.result["entries"]) == ("succeeded", "", 4)
    path = export.path_of(job)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(each["key"], each["value"], each["partition"]) for each in lines] == [
        ("UA", 1, 0),
        ("=1+1", {"a": "é"}, 0),
        ("-x", None, 0),
        ("B6", -2, 1),
    ]
    assert lines[2]["window"] == {"start": 5, "end": 10}
    assert job.result["bytes"] == path.stat().st_size
    assert job.progress["0"]["entries"] == 3


KILLS = {
    "the part is made": (export, "_write", False),
    "the part is written": (export, "_write", True),
    "the file is about to be named": (Path, "rename", False),
    "the file is named": (Path, "rename", True),
    "the row is about to be closed": (delivery, "_end", False),
}


@pytest.mark.parametrize("step", KILLS)
def test_one_whole_file_is_written_wherever_the_worker_is_killed(step, operator):
    job = make(operator)
    module, name, after = KILLS[step]
    deliver_and_die(job, module, name, after=after)
    delivered_three_times(job)
    path = export.path_of(job)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [each["key"] for each in lines] == ["UA", "=1+1", "-x", "B6"]
    assert job.result["bytes"] == path.stat().st_size


def test_csv_keeps_text_from_being_taken_for_a_formula(operator):
    job = exported(operator, form="csv")

    rows = list(csv.reader(io.StringIO(export.path_of(job).read_text(encoding="utf-8"))))
    assert rows == [
        ["partition", "key", "value", "timestamp", "start", "end"],
        ["0", "UA", "1", "1000", "", ""],
        ["0", "'=1+1", '{"a": "é"}', "1000", "", ""],
        ["0", "'-x", "null", "1000", "5", "10"],
        ["1", "B6", "-2", "1000", "", ""],
    ]


def test_a_moment_without_an_owner_is_waited_out(operator, shop_with_entries):
    error = {"code": "store-moving", "message": "moving", "retryable": True, "state": None}
    shop_with_entries.refusals = [(503, {"error": error})] * 3

    assert exported(operator).result["entries"] == 4


def test_a_refusal_fails_it_and_leaves_no_part(operator, shop_with_entries):
    error = {"code": "bad-request", "message": "no", "retryable": False, "state": None}
    shop_with_entries.refusals = [(400, {"error": error})]

    job = exported(operator)

    assert job.state == "failed"
    assert list(export.path_of(job).parent.iterdir()) == []


def test_a_file_that_grows_too_large_is_given_up(operator, monkeypatch):
    monkeypatch.setattr(limits, "EXPORT_BYTES_MAX", 10)

    job = exported(operator)

    assert job.state == "failed"
    assert "Export fewer partitions" in job.reason
    assert list(export.path_of(job).parent.iterdir()) == []


def test_a_cancelled_one_leaves_nothing(operator, monkeypatch):
    job = make(operator)
    reported = work.Work.report

    def cancel(self, partition, **facts):
        Job.objects.filter(pk=job.pk).update(state="cancelling")
        monkeypatch.setattr(work.Work, "is_cancelled", lambda _self: True)
        reported(self, partition, **facts)

    monkeypatch.setattr(work.Work, "report", cancel)
    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert (job.state, list(export.path_of(job).parent.iterdir())) == ("cancelled", [])


@pytest.mark.parametrize("arguments", [{}, {"format": "exe"}, {"format": "../../x"}, {"format": "csv", "path": "/etc"}])
def test_other_arguments_are_refused(operator, arguments):
    with pytest.raises(commands.Refused) as caught:
        commands.create(
            operator, kind="export", application="shop", store="counts", partitions=[0], via="api", arguments=arguments
        )
    assert caught.value.code == "bad-request"


def test_old_files_go(operator):
    job = exported(operator)
    path = export.path_of(job)
    assert export.sweep() == 0
    long_ago = time.time() - limits.EXPORT_KEEP_SECONDS - 1
    os.utime(path, (long_ago, long_ago))

    assert (export.sweep(), path.exists()) == (1, False)


def test_the_file_is_handed_out_and_audited(operator, as_role):
    job = exported(operator, partitions=[1])

    answer = as_role("operator").get(f"/jobs/{job.pk}/file/")

    assert answer.status_code == 200
    assert answer["Content-Disposition"] == 'attachment; filename="shop-counts-1.jsonl"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert json.loads(b"".join(answer.streaming_content))["key"] == "B6"
    answer.close()
    assert AuditEntry.objects.last().parameters == {"job": str(job.pk), "download": True}


def test_it_streams_under_asgi(operator):
    job = exported(operator, partitions=[1])

    async def fetch():
        client = AsyncClient()
        await client.aforce_login(operator)
        answer = await client.get(f"/jobs/{job.pk}/file/")
        return answer.status_code, b"".join([chunk async for chunk in answer.streaming_content])

    status, body = async_to_sync(fetch)()
    assert (status, json.loads(body)["value"]) == (200, -2)


def test_a_viewer_may_not_have_it(operator, as_role, with_token):
    job = exported(operator)

    assert as_role("viewer").get(f"/jobs/{job.pk}/file/").status_code == 403
    assert with_token("viewer").get(f"/api/v1/jobs/{job.pk}/file").status_code == 403


def test_through_the_api(operator, with_token):
    job = exported(operator)
    client = with_token("operator")

    answer = client.get(f"/api/v1/jobs/{job.pk}/file")
    assert (answer.status_code, len(b"".join(answer.streaming_content).splitlines())) == (200, 4)
    answer.close()
    export.path_of(job).unlink()
    gone = client.get(f"/api/v1/jobs/{job.pk}/file")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not-found")
    assert client.get("/api/v1/jobs/none/file").status_code == 404
    Job.objects.filter(pk=job.pk).update(kind="compact")
    assert client.get(f"/api/v1/jobs/{job.pk}/file").status_code == 404


def test_parquet_has_a_type_a_column_and_every_entry_once(operator):
    import pyarrow.parquet as pq

    job = exported(operator, form="parquet")

    table = pq.read_table(export.path_of(job))
    assert table.schema.names == ["partition", "key", "value", "timestamp", "start", "end"]
    assert str(table.schema.field("timestamp").type) == "timestamp[ms, tz=UTC]"
    rows = [(row["partition"], row["key"], row["value"]) for row in table.to_pylist()]
    assert rows == [(0, "UA", "1"), (0, "=1+1", '{"a": "é"}'), (0, "-x", "null"), (1, "B6", "-2")]
    assert job.result["entries"] == 4
