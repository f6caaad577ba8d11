"""`manage.py apps` and `lag` over the real API: tables for people, JSON for programs, errors that say what to do."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from tests.console import reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(with_token, monkeypatch, tmp_path):
    """Run a command; its HTTP requests are answered by Django itself, with a viewer's token."""
    import httpx

    client = with_token("viewer")

    def request(method, url, *, headers, params=None, **_):
        path = url.removeprefix("http://console.test")
        answer = client.generic(method, path, headers=headers, query_params=params or {})
        return httpx.Response(answer.status_code, content=answer.content)

    monkeypatch.setattr("console.management.rest.httpx.request", request)
    token = "token-of-the-viewer-for-tests"  # noqa: S105 - a test's own
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
