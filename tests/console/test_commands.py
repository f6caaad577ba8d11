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


@pytest.mark.usefixtures("shop")
def test_a_schedule_is_made_paused_resumed_and_deleted(run_as):
    run = run_as("operator")
    assert run("schedules", "list") == "No schedule yet.\n"
    asked = ("schedules", "create", "compact", "shop", "counts", "--cron", "15 4 * * *", "--why", "nightly")
    assert "the content stays what it is" in run(*asked, "--dry-run")
    assert run("schedules", "list") == "No schedule yet.\n"
    made = json.loads(run(*asked, "--partition", "1", "--json"))["schedule"]
    assert (made["cron"], made["partitions"], made["why"], made["paused"]) == ("15 4 * * *", [1], "nightly", False)

    listed = run("schedules", "list", "shop")
    assert made["id"][:8] in listed
    assert "04:15:00 UTC" in listed
    assert json.loads(run("schedules", "list", "none", "--json"))["schedules"] == []
    assert "paused" in run("schedules", "pause", made["id"][:8])
    assert "04:15:00 UTC" in run("schedules", "resume", made["id"])
    assert json.loads(run("schedules", "delete", made["id"], "--json")) == {"deleted": made["id"]}
    with pytest.raises(CommandError, match="no such schedule") as raised:
        run("schedules", "pause", made["id"])
    assert raised.value.returncode == 3


@pytest.mark.usefixtures("shop")
def test_a_schedule_that_makes_no_sense_or_may_not_be_is_refused_in_words(run_as):
    run = run_as("operator")
    with pytest.raises(CommandError, match="five fields"):
        run("schedules", "create", "compact", "shop", "counts", "--cron", "often")
    for _ in range(2):
        run("schedules", "create", "compact", "shop", "counts", "--cron", "@daily")
    with pytest.raises(CommandError, match="2 schedules have an id that begins so"):
        run("schedules", "delete", "")
    with pytest.raises(CommandError, match="forbidden"):
        run_as("viewer")("schedules", "create", "compact", "shop", "counts", "--cron", "@daily")


def test_alerts_are_listed_with_an_exit_code_and_a_rule_is_tested_and_deleted(run_as, monkeypatch):
    from django.utils import timezone

    from console.models import Alert, AlertDelivery, AlertRule

    monkeypatch.setattr("console.alerts.tasks.look.apply_async", lambda **_: None)
    run = run_as("operator")
    assert run("alerts", "list") == "No rule yet.\n"
    rule = AlertRule.objects.create(
        name="behind", condition="lag-records", threshold=1, for_seconds=0, emails=["ada@example.com"]
    )
    shown = run("alerts", "list")
    assert "behind" in shown
    assert "ada@example.com" in shown
    assert "1 test message under way" in run("alerts", "test", "behind")
    assert AlertDelivery.objects.get().transition == "test"

    Alert.objects.create(rule=rule, rule_name="behind", application="shop", kind="input", name="orders", state=Alert.FIRING, words="5 behind", since=timezone.now())  # fmt: skip
    with pytest.raises(CommandError, match="1 alert firing"):
        run("alerts", "list")
    assert json.loads(run("alerts", "delete", str(rule.pk), "--json")) == {"deleted": rule.pk}
    with pytest.raises(CommandError, match="no alert rule"):
        run("alerts", "test", "behind")


def test_an_alert_rule_is_made_and_changed_with_its_webhook_from_a_file(run_as, tmp_path):
    from console.models import AlertRule

    run = run_as("operator")
    hook = tmp_path / "hook"
    hook.write_text("https://hooks.example.com/s3cret\n")
    made = json.loads(
        run("alerts", "create", "behind", "--condition", "lag-time", "--threshold", "90", "--webhook-url-file", str(hook), "--json")
    )["rule"]  # fmt: skip
    assert (made["name"], made["threshold"], made["enabled"]) == ("behind", 90_000, True)
    assert AlertRule.objects.get().webhook_url == "https://hooks.example.com/s3cret"
    assert "off" in run("alerts", "change", "behind", "--no-enabled", "--for-seconds", "5", "--name", "late")
    kept = AlertRule.objects.get()
    assert (kept.name, kept.enabled, kept.for_seconds, kept.threshold) == ("late", False, 5, 90_000)
    with pytest.raises(CommandError, match="nothing to change"):
        run("alerts", "change", "late")
    with pytest.raises(CommandError, match="Choose a condition"):
        run("alerts", "change", "late", "--condition", "mood")
    with pytest.raises(CommandError, match="forbidden"):
        run_as("viewer")("alerts", "change", "late", "--enabled")


def test_snapshots_are_listed_and_deleted(run_as, monkeypatch):
    from datetime import timedelta

    from django.utils import timezone

    from console.models import Job, Snapshot

    run = run_as("operator")
    assert run("snapshots", "list", "shop", "counts") == "No snapshot.\n"
    monkeypatch.setattr("console.jobs.tasks.clear.apply_async", lambda **_: None)
    job = Job.objects.create(number=11, kind="snapshot", application="shop", store="counts", queue="host.h1")
    Snapshot.objects.create(
        id=job.pk, number=11, application="shop", store="counts", instance="engine-1", host="h1", directory="/nowhere", bytes=412_000,
        partitions=[{"partition": 0, "begin": 0, "position": 58_000, "records": 16_400, "bytes": 412_000}], as_of={"offset": 58_000},
        expires_at=timezone.now() + timedelta(days=3),
    )  # fmt: skip
    shown = run("snapshots", "list", "shop", "counts")
    assert all(words in shown for words in ("#11", "offset 58,000", "16,400", "412.0 kB"))
    with pytest.raises(CommandError, match="give --yes"):
        run("snapshots", "delete", "shop", "counts", "11")
    with pytest.raises(CommandError, match="forbidden"):
        run_as("viewer")("snapshots", "delete", "shop", "counts", "11", "--yes")
    run = run_as("operator")
    assert json.loads(run("snapshots", "delete", "shop", "counts", "#11", "--yes", "--json")) == {
        "deleted": str(job.pk)
    }
    with pytest.raises(CommandError, match="no snapshot"):
        run("snapshots", "delete", "shop", "counts", str(job.pk), "--yes")
