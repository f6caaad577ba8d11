"""`manage.py apps` and `lag` over the real API: tables for people, JSON for programs, errors that say what to do."""

import io
import json
import uuid
from json import dumps

import pytest
from django.core.management import CommandError, call_command

from tests.console import reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(run_as):
    """Run a command with a viewer's token."""
    return run_as("viewer")


@pytest.fixture
def run_as(with_token, monkeypatch, tmp_path):
    """Run a command; its HTTP requests are answered by Django itself."""

    def make(role):
        return _runner(with_token(role), f"token-of-the-{role}-for-tests", monkeypatch, tmp_path)

    return make


def _runner(client, token, monkeypatch, tmp_path):
    import httpx

    def request(method, url, *, headers, params=None, json=None, **_):
        path = url.removeprefix("http://console.test")
        body = b"" if json is None else dumps(json).encode()
        answer = client.generic(
            method, path, body, content_type="application/json", headers=headers, query_params=params or {}
        )
        return httpx.Response(answer.status_code, content=answer.content)

    monkeypatch.setattr("console.management.rest.httpx.request", request)
    (tmp_path / "up.json").write_text(json.dumps({"url": "http://console.test/", "token": token}))

    def call(*words):
        out = io.StringIO()
        call_command(*words, "--data-dir", str(tmp_path), stdout=out)
        return out.getvalue()

    return call


@pytest.mark.usefixtures("shop")
def test_applications_and_stores_as_tables_and_json(run):
    shown = run("apps")
    assert "shop" in shown
    assert "2 of 2" in shown
    assert json.loads(run("apps", "--json"))["applications"][0]["id"] == "shop"
    assert "counts" in run("apps", "shop")
    assert json.loads(run("apps", "shop", "--json"))["stores"][0]["name"] == "counts"


def test_lag_worst_first(run, shop):
    shop.report(reports.task("0_1", "engine-2", lag=4_200, sequence=2))
    lines = run("lag", "shop").splitlines()
    assert "orders" in lines[2]
    assert "4,200" in lines[2]
    behind = run("lag", "--behind").splitlines()
    assert len([line for line in behind if "orders" in line]) == 1
    found = json.loads(run("lag", "--json"))
    assert [row["lag"] for row in found[0]["inputs"]] == [0, 4_200]


def test_an_unknown_lag_is_a_dash_and_not_0(run, shop):
    shop.report(reports.store("counts", "0_1", "engine-2", sequence=2, lag=None, end=None))
    (line,) = [line for line in run("lag", "shop", "--behind").splitlines() if "counts" in line]
    assert "\N{EN DASH}" in line


@pytest.mark.usefixtures("shop")
def test_an_unknown_application_has_a_code_of_its_own(run):
    with pytest.raises(CommandError, match="not-found") as raised:
        run("lag", "none")
    assert raised.value.returncode == 3


def test_what_stands_still_is_an_exit_code(run, shop):
    shop.report(reports.instance("engine-1", sequence=5, state="failed", reason="it broke"))
    with pytest.raises(CommandError, match="shop"):
        run("apps")


def test_without_a_console_it_says_how_to_name_one(tmp_path):
    with pytest.raises(CommandError, match=r"manage\.py up.*--url"):
        call_command("apps", "--data-dir", str(tmp_path))


def test_a_console_that_is_away_is_told_without_the_token(tmp_path):
    (tmp_path / "up.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "token": "canary-of-tests"}))
    with pytest.raises(CommandError, match="no console answers") as raised:
        call_command("lag", "--data-dir", str(tmp_path))
    assert raised.value.returncode == 2
    assert "canary" not in str(raised.value)


@pytest.mark.usefixtures("shop")
def test_a_job_is_previewed_started_shown_and_cancelled(run_as, monkeypatch):
    monkeypatch.setattr("console.jobs.tasks.run.apply_async", lambda **_: None)
    monkeypatch.setattr("console.jobs.states.pinger.send", lambda *_: None)
    run = run_as("operator")
    assert run("jobs", "list") == "No job yet.\n"

    shown = run("jobs", "start", "compact", "shop", "counts", "--partition", "0", "--dry-run")
    assert "the content stays what it is" in shown
    assert json.loads(run("jobs", "list", "--json"))["jobs"] == []
    with pytest.raises(CommandError, match="give --yes"):
        run("jobs", "start", "compact", "shop", "counts", "--partition", "0")
    made = json.loads(run("jobs", "start", "compact", "shop", "counts", "--yes", "--why", "a test", "--json"))
    assert (made["state"], made["partitions"], made["why"]) == ("queued", [0, 1], "a test")
    assert "compact #1 of shop/counts: queued" in run("jobs", "show", "#1")
    assert "a test" in run("jobs", "list", "shop")
    assert "cancelled" in run("jobs", "cancel", made["id"])
    with pytest.raises(CommandError, match="already ended"):
        run("jobs", "cancel", "1")
    with pytest.raises(CommandError, match="the job has cancelled"):
        run("jobs", "show", "1", "--wait")
    with pytest.raises(CommandError, match="not-found"):
        run("jobs", "show", str(uuid.uuid4()))
    with pytest.raises(CommandError, match="no job #99"):
        run("jobs", "show", "99")


@pytest.mark.usefixtures("shop")
def test_a_job_that_may_not_be_or_makes_no_sense_is_refused_in_words(run_as):
    with pytest.raises(CommandError, match="forbidden"):
        run_as("viewer")("jobs", "start", "compact", "shop", "counts", "--yes")
    run = run_as("operator")
    with pytest.raises(CommandError, match="as_of_offset"):
        run("jobs", "start", "snapshot", "shop", "counts", "--partition", "0", "--yes")
    with pytest.raises(CommandError, match="name=value"):
        run("jobs", "start", "export", "shop", "counts", "--argument", "csv", "--yes")
