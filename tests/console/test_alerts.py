import ipaddress
import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from console.alerts import deliver, evaluate, rules, webhook
from console.models import Alert, AlertDelivery, AlertRule, AuditEntry
from console.observe.board import Board, State
from engine.control import status
from tests.console import reports
from tests.console.receivers import mail_server
from tests.console.receivers import webhook as hook_server

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(settings):
    settings.ALERT_WEBHOOK_HOSTS = ["127.0.0.1"]
    with hook_server() as found:
        yield found


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def rule(**fields):
    fields = {"name": "behind", "condition": "lag-records", "threshold": 1_000, "for_seconds": 60, "emails": ["ada@example.com"]} | fields  # fmt: skip
    return AlertRule.objects.create(**fields)


def board(*, lag=0, lag_ms=0, verdict="OK", stale=False, restoring_since=None, unreachable=(), app="shop"):
    state = State(app)
    state.tasks = {"0_0": [reports.task("0_0", app=app, lag=lag)]}
    state.instances = {name: reports.instance(name, app) for name in ("engine-1", "engine-2")}
    state.unreachable = {name: {"since": int(NOW.timestamp() * 1000), "reason": "refuses connections"} for name in unreachable}  # fmt: skip
    restoring = {} if restoring_since is None else {"phase": "applying", "restore_started_at": restoring_since}
    state.stores = {"counts": {0: [reports.store(app=app, **restoring)]}}
    state.lag = {("input", "orders", 0): (verdict, "words of it", 0.0, 0.0, lag_ms, "measured")}
    return Board({app: state}, {"stale": stale})


def states():
    return [(alert.name, alert.state) for alert in Alert.objects.order_by("id")]


def transitions():
    return sorted(AlertDelivery.objects.values_list("transition", flat=True))


def test_a_rule_fires_after_its_time_and_resolves_when_it_no_longer_holds():
    rule()

    evaluate.evaluate(board(lag=5_000), at(0))
    evaluate.evaluate(board(lag=5_000), at(50))
    assert states() == [("orders", "pending")]
    assert transitions() == []

    assert evaluate.evaluate(board(lag=6_000), at(60)) == 1
    assert states() == [("orders", "firing")]
    assert evaluate.evaluate(board(lag=7_000), at(65)) == 0
    assert transitions() == ["firing"]

    assert evaluate.evaluate(board(lag=10), at(70)) == 1
    assert transitions() == ["firing", "resolved"]
    ended = Alert.objects.get()
    assert (ended.state, ended.words, ended.ending) == ("resolved", "7,000 records wait", "10 records wait")


def test_a_short_spell_leaves_no_trace_and_tells_nobody():
    rule()

    evaluate.evaluate(board(lag=5_000), at(0))
    evaluate.evaluate(board(lag=0), at(30))
    evaluate.evaluate(board(lag=5_000), at(61))

    assert states() == [("orders", "pending")]
    assert transitions() == []


def test_it_can_fire_again_after_it_was_resolved():
    rule(for_seconds=0)

    for step, lag in enumerate([5_000, 0, 5_000]):
        evaluate.evaluate(board(lag=lag), at(step))

    assert [state for _, state in states()] == ["resolved", "firing"]
    assert transitions() == ["firing", "firing", "resolved"]


def test_while_nobody_observes_nothing_fires_and_nothing_is_resolved():
    rule(for_seconds=0)
    evaluate.evaluate(board(lag=5_000), at(0))

    assert evaluate.evaluate(board(lag=0, stale=True), at(10)) == 0
    assert states() == [("orders", "firing")]


def test_what_is_not_known_neither_fires_nor_resolves():
    rule(for_seconds=0, condition="lag-time", threshold=60_000)
    evaluate.evaluate(board(lag_ms=None), at(0))
    assert states() == []
    evaluate.evaluate(board(lag_ms=61_000), at(1))
    evaluate.evaluate(board(lag_ms=None), at(2))
    assert states() == [("orders", "firing")]


def test_what_is_not_reported_any_more_is_resolved():
    rule(for_seconds=0)
    evaluate.evaluate(board(lag=5_000), at(0))
    evaluate.evaluate(Board({}, {"stale": False}), at(1))

    assert Alert.objects.get().ending == "it is not reported any more"


@pytest.mark.parametrize(
    ("fields", "quiet", "loud", "about"),
    [
        ({"condition": "lag-time", "threshold": 5_000}, {"lag_ms": 5_000}, {"lag_ms": 5_001}, ("input", "orders")),
        ({"condition": "verdict", "verdict": "STALL"}, {"verdict": "WARN"}, {"verdict": "STOP"}, ("input", "orders")),
        ({"condition": "unreachable"}, {}, {"unreachable": ["engine-2"]}, ("instance", "engine-2")),
        ({"condition": "restore", "threshold": 60_000}, {"restoring_since": 1_772_366_390_000}, {"restoring_since": 1_772_366_339_000}, ("store", "counts")),
        ({"subject": "orders"}, {"lag": 1_000}, {"lag": 1_001}, ("input", "orders")),
    ],
)  # fmt: skip
def test_each_condition(fields, quiet, loud, about):
    rule(**{"for_seconds": 0} | fields)

    evaluate.evaluate(board(**quiet), at(0))
    assert states() == []
    evaluate.evaluate(board(**loud), at(0))
    (found,) = Alert.objects.all()
    assert (found.kind, found.name, found.state) == (*about, "firing")


@pytest.mark.parametrize("fields", [{"application": "other"}, {"subject": "parcels"}, {"enabled": False}])
def test_a_rule_about_something_else_is_quiet(fields):
    rule(for_seconds=0, **fields)

    evaluate.evaluate(board(lag=5_000), at(0))

    assert states() == []


def test_deliveries_reach_a_webhook_once_a_transition_with_what_happened(hook):
    rule(for_seconds=0, webhook_url=hook.url, emails=[])
    evaluate.evaluate(board(lag=5_000), at(0))
    for _ in range(3):
        deliver.send_due(at(1))
    evaluate.evaluate(board(lag=0), at(10))
    deliver.send_due(at(11))
    deliver.send_due(at(12))

    assert [(path, body["transition"]) for path, _, body in hook.got] == [
        ("/hook?key=secret", "firing"),
        ("/hook?key=secret", "resolved"),
    ]
    _, headers, body = hook.got[0]
    assert headers["x-statehouse-delivery"] == body["delivery"]
    assert (body["rule"], body["application"], body["kind"], body["name"], body["value"]) == ("behind", "shop", "input", "orders", 5_000)  # fmt: skip
    assert body["words"] == "5,000 records wait"
    assert body["url"].endswith("/lag/shop/")
    assert body["fired_at"] == int(NOW.timestamp() * 1000)


def test_a_failed_delivery_is_tried_again_later_under_the_same_id_and_then_given_up(hook):
    hook.answers = [(503, {})] * 10
    rule(for_seconds=0, webhook_url=hook.url, emails=[])
    evaluate.evaluate(board(lag=5_000), at(0))

    deliver.send_due(at(1))
    deliver.send_due(at(2))
    assert len(hook.got) == 1, "not before its pause is over"
    for seconds in (20, 60, 300, 1_500, 5_000, 9_000):
        deliver.send_due(at(seconds))

    (kept,) = AlertDelivery.objects.all()
    assert (kept.state, kept.attempts, kept.error) == ("failed", 6, "it answered 503")
    assert len({body["delivery"] for _, _, body in hook.got}) == 1


def test_a_redirect_is_not_followed(hook):
    hook.answers = [(302, {"location": f"http://127.0.0.1:{hook.port}/elsewhere"})]
    rule(for_seconds=0, webhook_url=hook.url, emails=[])
    evaluate.evaluate(board(lag=5_000), at(0))
    deliver.send_due(at(1))

    assert len(hook.got) == 1
    assert AlertDelivery.objects.get().state == "failed"


def test_a_receiver_that_hangs_is_left_after_the_timeout(settings, monkeypatch):
    settings.ALERT_WEBHOOK_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr("console.limits.WEBHOOK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(webhook.Undeliverable) as raised:
            webhook.send(f"http://127.0.0.1:{silent.getsockname()[1]}/", "id", {})
        assert not raised.value.final


def test_a_claim_of_a_dead_worker_lapses_and_a_live_one_is_not_sent_twice(hook):
    rule(for_seconds=0, webhook_url=hook.url, emails=[])
    evaluate.evaluate(board(lag=5_000), at(0))
    (taken,) = deliver.due(at(1))
    AlertDelivery.objects.update(state="sending", attempts=1, due_at=at(91))

    assert deliver.attempt(taken, at(2)) is False, "somebody else has it"
    assert deliver.send_due(at(30)) == 0
    assert deliver.send_due(at(92)) == 1
    assert len(hook.got) == 1


@pytest.mark.django_db(transaction=True)
def test_evaluations_and_deliveries_at_the_same_time_tell_once(hook):
    rule(for_seconds=0, webhook_url=hook.url, emails=[])
    seen = board(lag=5_000)
    failures = []
    barrier = threading.Barrier(4)

    def look():
        try:
            barrier.wait()
            evaluate.evaluate(seen, at(0))
            evaluate.evaluate(seen, at(1))
            deliver.send_due(at(2))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    deliver.send_due(at(3))

    assert failures == []
    assert Alert.objects.count() == 1
    assert [body["transition"] for _, _, body in hook.got] == ["firing"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://127.0.0.1:6379/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://user:secret@example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://exa mple.com/",
        "http:///nothing",
        "gopher://127.0.0.1",
        "",
    ],
)
def test_webhooks_do_not_go_where_secrets_are_kept(url):
    assert webhook.check(url) != ""


@pytest.mark.parametrize("name", ["2130706433", "0x7f.1", "localhost", "127.1"])
def test_a_name_is_judged_by_the_addresses_that_it_has(name):
    with pytest.raises(webhook.Undeliverable, match="refused"):
        webhook.send(f"http://{name}:6379/", "id", {})


def test_a_name_with_one_bad_address_among_good_ones_is_refused(monkeypatch):
    answers = [(socket.AF_INET, 1, 6, "", (each, 80)) for each in ("93.184.216.34", "169.254.169.254")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: answers)

    with pytest.raises(webhook.Undeliverable, match="refused"):
        webhook.send("http://hooks.example.com/", "id", {})


def test_the_connection_goes_to_the_address_that_was_judged(hook, settings, monkeypatch):
    settings.ALERT_WEBHOOK_HOSTS = ["hooks.example.com"]
    asked = []
    real = socket.getaddrinfo

    def resolve(host, *args, **options):
        asked.append(host)
        return real("127.0.0.1" if host == "hooks.example.com" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    webhook.send(f"http://hooks.example.com:{hook.port}/x", "id", {"a": 1})

    assert asked.count("hooks.example.com") == 1
    assert hook.got[0][1]["host"] == f"hooks.example.com:{hook.port}"


def test_with_a_list_of_hosts_nothing_else_is_allowed(settings):
    settings.ALERT_WEBHOOK_HOSTS = ["hooks.example.com"]
    assert webhook.check("https://hooks.example.com/x") == ""
    assert "only to hooks.example.com" in webhook.check("https://other.example.com/x")


def test_private_networks_are_allowed_since_that_is_where_receivers_are():
    assert webhook.refusal(ipaddress.ip_address("10.1.2.3"), "10.1.2.3") == ""


def test_mail_goes_through_a_real_server_and_a_refused_address_is_final(settings):
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_CONFIGURED = "127.0.0.1", box.port, True
        box.refused = {"gone@example.com"}
        rule(for_seconds=0, emails=["ada@example.com", "gone@example.com"])
        evaluate.evaluate(board(lag=5_000), at(0))
        deliver.send_due(at(1))
        deliver.send_due(at(2))

    ((receivers, text),) = box.got
    assert receivers == ["ada@example.com"]
    assert "Subject: [Statehouse] behind fires: shop / orders" in text
    assert "5,000 records wait" in text
    assert dict(AlertDelivery.objects.values_list("target", "state")) == {"ada@example.com": "sent", "gone@example.com": "failed"}  # fmt: skip


def test_without_a_mail_server_a_mail_fails_and_says_what_to_set(settings):
    settings.EMAIL_CONFIGURED = False
    rule(for_seconds=0)
    evaluate.evaluate(board(lag=5_000), at(0))
    deliver.send_due(at(1))

    assert "EMAIL_HOST" in AlertDelivery.objects.get().error


GOOD = {
    "name": "late orders", "application": "shop", "condition": "lag-time", "subject": "orders", "threshold": "90",
    "verdict": "STALL", "for_seconds": "30", "webhook_url": "https://hooks.example.com/s3cret", "emails": "a@example.com, b@example.com", "enabled": "on",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "two\r\nBcc: x@example.com"}, "name"),
        ({"application": "../etc"}, "application"),
        ({"condition": "none"}, "condition"),
        ({"threshold": "-1"}, "threshold"),
        ({"condition": "verdict", "verdict": "FINE"}, "verdict"),
        ({"for_seconds": "soon"}, "for_seconds"),
        ({"webhook_url": "http://169.254.169.254/"}, "webhook_url"),
        ({"emails": "nobody"}, "emails"),
        ({"emails": "", "webhook_url": ""}, "webhook_url"),
    ],
)
def test_what_cannot_be_a_rule_is_refused_with_its_field(change, field):
    with pytest.raises(rules.Invalid) as raised:
        rules.parse(GOOD | change)
    assert list(raised.value.problems) == [field]


@pytest.mark.usefixtures("fresh_board")
def test_an_operator_writes_changes_tests_and_deletes_a_rule_and_each_is_audited(as_role, monkeypatch):
    monkeypatch.setattr("console.alerts.tasks.ask", lambda: None)
    client = as_role("operator")
    assert client.post("/alerts/new/", GOOD).status_code == 302
    kept = AlertRule.objects.get()
    assert (kept.threshold, kept.for_seconds, kept.emails) == (90_000, 30, ["a@example.com", "b@example.com"])
    assert client.get(f"/alerts/{kept.pk}/").status_code == 200

    assert client.post(f"/alerts/{kept.pk}/", GOOD | {"threshold": "nonsense"}).status_code == 422
    assert client.post(f"/alerts/{kept.pk}/", GOOD | {"threshold": "120"}).status_code == 302
    assert client.post(f"/alerts/{kept.pk}/test/").status_code == 302
    assert transitions() == ["test"] * 3
    assert client.post(f"/alerts/{kept.pk}/delete/").status_code == 302
    assert AlertRule.objects.count() == 0

    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["create-alert-rule", "change-alert-rule", "test-alert-rule", "delete-alert-rule"]
    assert "s3cret" not in str(list(AuditEntry.objects.values_list("parameters", flat=True)))


@pytest.mark.usefixtures("fresh_board")
def test_a_viewer_sees_rules_without_the_secret_path_and_may_not_touch_them(as_role):
    kept = rule(webhook_url="https://hooks.example.com/s3cret")
    client = as_role("viewer")

    page = client.get("/alerts/").content.decode()
    assert "https://hooks.example.com/…" in page
    assert "s3cret" not in page
    for path in ("/alerts/new/", f"/alerts/{kept.pk}/"):
        assert client.get(path).status_code == 403
    for path in (f"/alerts/{kept.pk}/delete/", f"/alerts/{kept.pk}/test/", "/alerts/new/"):
        assert client.post(path).status_code == 403


def test_when_the_audit_cannot_be_written_no_rule_is_made(as_role, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("no audit")

    monkeypatch.setattr("console.access.audit.write", broken)
    with pytest.raises(RuntimeError):
        as_role("operator").post("/alerts/new/", GOOD)
    assert AlertRule.objects.count() == 0


def test_a_changed_rule_ends_what_it_had_found_and_says_so_to_whom_it_told(as_role):
    kept = rule(for_seconds=0)
    evaluate.evaluate(board(lag=5_000), at(0))
    as_role("operator").post(f"/alerts/{kept.pk}/", GOOD)

    assert Alert.objects.get().ending == "the rule was changed"
    assert set(AlertDelivery.objects.values_list("transition", "target")) == {("firing", "ada@example.com"), ("resolved", "ada@example.com")}  # fmt: skip


def test_the_task_looks_at_what_is_observed_and_sends(observed, hook, fresh_board):
    from console.alerts import tasks

    rule(for_seconds=0, webhook_url=hook.url, emails=[])
    observed.observer._beat()
    observed.report(reports.instance(), reports.task("0_0", lag=9_000), reports.topology(), reports.store())

    tasks.look()
    tasks.look()

    assert [body["value"] for _, _, body in hook.got] == [9_000]
    assert isinstance(fresh_board.read().applications["shop"].instances["engine-1"], status.InstanceStatus)


def test_the_api_shows_rules_and_what_is_open_without_secrets_to_a_viewer(with_token):
    rule(for_seconds=0, webhook_url="https://hooks.example.com/s3cret", emails=[])
    evaluate.evaluate(board(lag=5_000), at(0))

    seen = with_token("viewer").get("/api/v1/alerts").json()
    assert [(each["rule"], each["state"], each["value"]) for each in seen["open"]] == [("behind", "firing", 5_000)]
    assert seen["rules"][0]["receivers"] == seen["sent"][:1][0]["target"].split() == ["https://hooks.example.com/…"]
    assert with_token("operator").get("/api/v1/alerts").json()["rules"][0]["receivers"] == [
        "https://hooks.example.com/s3cret"
    ]


def test_a_rule_is_made_changed_tested_and_deleted_through_the_api_and_each_is_audited(with_token, monkeypatch):
    monkeypatch.setattr("console.alerts.tasks.look.apply_async", lambda **_: None)
    client = with_token("operator")

    def send(method, path, body=None):
        return client.generic(
            method, f"/api/v1/alerts/rules{path}", json.dumps(body or {}), content_type="application/json"
        )

    given = {
        "name": "behind",
        "condition": "lag-time",
        "threshold": 90,
        "emails": ["ada@example.com", "bob@example.com"],
    }
    made = send("POST", "", given)
    assert made.status_code == 201
    made = made.json()["rule"]
    assert (made["threshold"], made["enabled"], made["receivers"]) == (
        90_000,
        True,
        ["ada@example.com", "bob@example.com"],
    )
    assert AlertRule.objects.get().created_by.username == "operator-user"
    for wrong, words in (
        ({"odd": 1}, "odd"), ({"condition": "mood"}, "condition"), ({"emails": [1]}, "emails"), ({"threshold": None}, "threshold"), ({}, "this name"),
    ):  # fmt: skip
        answer = send("POST", "", given | wrong)
        assert answer.status_code == 400, wrong
        assert words in answer.json()["error"]["message"]
    # What is not named stays.
    changed = send("PATCH", f"/{made['id']}", {"threshold": 120, "enabled": False}).json()["rule"]
    assert changed == made | {"threshold": 120_000, "enabled": False, "words": changed["words"]}
    for wrong, words in (({"odd": 1}, "odd"), ({"emails": []}, "webhook"), ({"threshold": -1}, "threshold")):
        answer = send("PATCH", f"/{made['id']}", wrong)
        assert answer.status_code == 400, wrong
        assert words in answer.json()["error"]["message"]
    assert AlertRule.objects.get().threshold == 120_000
    assert len(send("POST", f"/{made['id']}/test").json()["queued"]) == 2
    assert transitions() == ["test", "test"]
    assert send("DELETE", f"/{made['id']}").json() == {"deleted": made["id"]}
    for gone in (str(made["id"]), "9" * 30, "-1", "x"):
        assert send("POST", f"/{gone}/test").status_code == 404
        assert send("PATCH", f"/{gone}", {"enabled": True}).status_code == 404
    told = AuditEntry.objects.order_by("id").values_list("action", "via")
    assert list(told) == [(f"{what}-alert-rule", "api") for what in ("create", "change", "test", "delete")]


def test_a_viewer_makes_changes_tests_and_deletes_no_rule_through_the_api(with_token):
    kept, client = rule(), with_token("viewer")
    for method, path in (
        ("POST", ""),
        ("POST", f"/{kept.pk}/test"),
        ("PATCH", f"/{kept.pk}"),
        ("DELETE", f"/{kept.pk}"),
    ):
        answer = client.generic(method, f"/api/v1/alerts/rules{path}", "{}", content_type="application/json")
        assert answer.status_code == 403
    assert AlertRule.objects.filter(pk=kept.pk).exists()
    assert AlertDelivery.objects.count() == 0
