import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from console.api.routes import ROUTES
from console.models import AuditEntry, Restore
from engine.control import status
from tests.console import reports

pytestmark = pytest.mark.django_db

READS = [
    "/api/v1/applications",
    "/api/v1/applications/shop",
    "/api/v1/applications/shop/stores",
    "/api/v1/applications/shop/stores/counts",
    "/api/v1/applications/shop/lag",
    "/api/v1/applications/shop/lag?kind=input&name=orders",
    "/api/v1/applications/shop/restores",
    "/api/v1/applications/shop/events",
    "/api/v1/jobs",
    "/api/v1/openapi.json",
    "/metrics",
]
SOME_ID = "6e4f6f0e-0000-4000-8000-000000000000"
NEW_JOB = {"kind": "compact", "application": "shop", "store": "counts", "partitions": [0], "dry_run": False}


def filled(route):
    return route.path.format(
        app="shop", store="counts", job=SOME_ID, snapshot=SOME_ID, schedule=SOME_ID, restore=1, rule=1
    )


def error_of(answer):
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "retryable", "state"}
    return body["error"]["code"]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", READS)
def test_it_works_with_a_token(with_token, path):
    answer = with_token("viewer").get(path)

    assert answer.status_code == 200


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("path", READS)
def test_it_works_with_a_session(as_role, path):
    assert as_role("viewer").get(path).status_code == 200


@pytest.mark.usefixtures("shop")
def test_shapes(with_token):
    client = with_token("viewer")

    applications = client.get("/api/v1/applications").json()["applications"]
    assert [each["id"] for each in applications] == ["shop"]
    stores = client.get("/api/v1/applications/shop/stores").json()["stores"]
    assert [(each["name"], each["kind"]) for each in stores] == [("counts", "key-value")]
    application = client.get("/api/v1/applications/shop").json()
    assert {(task["task"], task["instance"], task["state"]) for task in application["tasks"]} == {
        ("0_0", "engine-1", "running"),
        ("0_1", "engine-2", "running"),
    }
    lag = client.get("/api/v1/applications/shop/lag?kind=input&name=orders").json()
    assert [(row["topic"], row["partition"], row["lag"]) for row in lag["inputs"]] == [
        ("orders", 0, 0),
        ("orders", 1, 0),
    ]
    assert lag["history"]["series"][0]["lag"] == [0] * len(lag["history"]["at"])


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "head"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.usefixtures("db")
def test_a_stranger_is_refused_everywhere(client, route, method):
    assert getattr(client, method)(filled(route)).status_code == 401


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "header", ["Bearer wrong-token-0123456789", "Bearer ", "Basic YTpi", "token-of-the-viewer-for-tests"]
)
def test_a_wrong_token_is_refused_even_beside_a_good_session(as_role, header):
    answer = as_role("admin").get("/api/v1/jobs", headers={"authorization": header})

    assert (answer.status_code, error_of(answer)) == (401, "unauthorized")


def test_health_is_open_and_says_nothing_else(client):
    answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert client.post("/healthz").status_code == 405


@pytest.mark.usefixtures("shop")
def test_a_viewer_may_not_make_or_cancel_jobs(with_token):
    client = with_token("viewer")

    for body in (NEW_JOB, NEW_JOB | {"dry_run": True}, NEW_JOB | {"kind": "export"}):
        answer = client.post("/api/v1/jobs", json.dumps(body), content_type="application/json")
        assert (answer.status_code, error_of(answer)) == (403, "forbidden")
    answer = client.post("/api/v1/jobs/6e4f6f0e-0000-4000-8000-000000000000/cancel")
    assert (answer.status_code, error_of(answer)) == (403, "forbidden")
    assert list(AuditEntry.objects.values_list("result", flat=True)) == ["denied", "denied"]


@pytest.mark.usefixtures("shop")
def test_a_session_needs_a_csrf_token_to_change_something(as_role):
    client = as_role("operator", enforce_csrf_checks=True)

    answer = client.post("/api/v1/jobs", json.dumps(NEW_JOB | {"dry_run": True}), content_type="application/json")
    assert (answer.status_code, error_of(answer)) == (403, "csrf")

    client.cookies["statehouse_csrf"] = "a" * 32
    answer = client.post(
        "/api/v1/jobs",
        json.dumps(NEW_JOB | {"dry_run": True}),
        content_type="application/json",
        headers={"x-csrftoken": "a" * 32},
    )
    assert answer.status_code == 200


@pytest.mark.usefixtures("shop")
def test_a_foreign_origin_is_refused_despite_the_csrf_token(as_role):
    client = as_role("operator", enforce_csrf_checks=True)
    client.cookies["statehouse_csrf"] = "a" * 32

    answer = client.post(
        "/api/v1/jobs",
        json.dumps(NEW_JOB | {"dry_run": True}),
        content_type="application/json",
        headers={"x-csrftoken": "a" * 32, "origin": "http://evil.example"},
    )

    assert (answer.status_code, error_of(answer)) == (403, "csrf")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("change", "code", "status_code"),
    [
        ({"kind": "explode"}, "bad-request", 400),
        ({"kind": "snapshot"}, "bad-request", 400),
        ({"dry_run": "no"}, "bad-request", 400),
        ({"partitions": []}, "bad-request", 400),
        ({"partitions": [0, 0]}, "bad-request", 400),
        ({"partitions": [-1]}, "bad-request", 400),
        ({"partitions": [True]}, "bad-request", 400),
        ({"partitions": "0"}, "bad-request", 400),
        ({"partitions": [7]}, "not-found", 404),
        ({"store": "unheard-of"}, "not-found", 404),
        ({"application": "unheard-of"}, "not-found", 404),
        ({"application": "../../etc"}, "bad-request", 400),
        ({"extra": 1}, "bad-request", 400),
        ({"id": "not-a-uuid"}, "not-found", 404),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(with_token, change, code, status_code):
    answer = with_token("operator").post("/api/v1/jobs", json.dumps(NEW_JOB | change), content_type="application/json")

    assert (answer.status_code, error_of(answer)) == (status_code, code)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("body", ["", "[]", "nonsense", "[" * 20_000, '{"kind": '])
def test_a_body_that_is_no_object_is_refused(with_token, body):
    answer = with_token("operator").post("/api/v1/jobs", body, content_type="application/json")

    assert (answer.status_code, error_of(answer)) == (400, "bad-request")


@pytest.mark.usefixtures("db")
def test_a_body_that_is_too_large_is_refused(with_token):
    answer = with_token("operator").post("/api/v1/jobs", "x" * 1_100_000, content_type="application/json")

    assert (answer.status_code, error_of(answer)) == (413, "too-large")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/applications/none",
        "/api/v1/applications/shop/stores/none",
        "/api/v1/applications/none/lag",
        "/api/v1/applications/none/restores",
        "/api/v1/applications/none/events",
        "/api/v1/jobs/none",
        "/api/v1/none",
        "/api/v2",
    ],
)
def test_what_there_is_not_is_not_found(with_token, path):
    answer = with_token("admin").get(path)

    assert (answer.status_code, error_of(answer)) == (404, "not-found")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "query", ["limit=0x10", "limit=-1", "limit=5000", "kind=input", "kind=no&name=orders", "since=1&since=2"]
)
def test_bad_parameters_are_refused(with_token, query):
    client = with_token("viewer")
    path = "events" if query.startswith("limit") else "lag"

    answer = client.get(f"/api/v1/applications/shop/{path}?{query}")

    assert (answer.status_code, error_of(answer)) == (400, "bad-request")


@pytest.mark.usefixtures("shop")
def test_a_method_that_is_not_there_says_which_are(with_token):
    answer = with_token("admin").delete("/api/v1/jobs")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


def test_events_page_back(shop, with_token):
    shop.report(*(reports.event(number, at=1_700_000_000_000 + number) for number in range(1, 8)))
    client = with_token("viewer")

    first = client.get("/api/v1/applications/shop/events?limit=5").json()
    second = client.get(f"/api/v1/applications/shop/events?limit=5&before={first['next_before']}").json()

    assert [each["sequence"] for each in first["events"] + second["events"]] == [7, 6, 5, 4, 3, 2, 1]
    assert second["next_before"] is None


@pytest.mark.usefixtures("db")
def test_the_openapi_document_has_every_route(with_token):
    document = with_token("viewer").get("/api/v1/openapi.json").json()

    assert {(path, method.upper()) for path, methods in document["paths"].items() for method in methods} == {
        (route.path, route.method) for route in ROUTES
    } | {("/healthz", "GET")}
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert names <= set(document["components"]["schemas"])


@pytest.mark.usefixtures("shop")
def test_metrics_are_in_prometheus_format(with_token):
    answer = with_token("viewer").get("/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.content.decode().splitlines()
    assert 'statehouse_input_lag_records{application="shop",topic="orders",partition="0"} 0' in lines
    assert "statehouse_observer_stale 0" in lines
    assert all(
        re.fullmatch(r'(# (HELP|TYPE) .+)|([a-z0-9_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+)', line)
        for line in lines
    )


def test_a_lag_that_is_not_known_has_no_metric(shop, with_token):
    shop.report(reports.task("0_0", sequence=2, inputs=[status.Input(topic="orders", partition=0)]))

    text = with_token("viewer").get("/metrics").content.decode()

    assert 'statehouse_input_lag_records{application="shop",topic="orders",partition="0"}' not in text


@pytest.mark.usefixtures("shop")
def test_entries_without_a_reachable_instance_say_so(with_token, settings, tmp_path):
    settings.ENGINE_TOKEN_FILE = str(tmp_path / "token")
    (tmp_path / "token").write_text("canary-token-of-the-engines")

    answer = with_token("viewer").get("/api/v1/applications/shop/stores/counts/entries")

    assert (answer.status_code, error_of(answer)) == (503, "no-owner")
    assert answer.json()["error"]["retryable"] is True


@pytest.mark.usefixtures("shop")
def test_entries_without_a_token_say_what_to_do(with_token, settings):
    settings.ENGINE_TOKEN_FILE = ""

    answer = with_token("viewer").get("/api/v1/applications/shop/stores/counts/entries")

    assert "ENGINE_TOKEN_FILE" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("db")
def test_answers_carry_the_security_headers(client):
    answer = client.get("/healthz")

    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("shop")
def test_the_history_of_restores_is_searched_and_paged(with_token):
    at = timezone.now()
    common = {
        "application_id": "shop",
        "store": "counts",
        "task": "0_0",
        "partition": 0,
        "incarnation": 1,
        "role": "active",
    }
    for number, cause in enumerate(("new owner", "lost disk", "corruption: block checksum")):
        Restore.objects.create(
            **common, instance=f"engine-{number}", cause=cause, started_at=at - timedelta(minutes=number), outcome="done",
            start_offset=0, position=10, snapshot_end=10,
        )  # fmt: skip
    client = with_token("viewer")

    def found(**params):
        return client.get("/api/v1/applications/shop/restores", params).json()

    assert [each["cause"] for each in found(q="CHECKSUM")["history"]] == ["corruption: block checksum"]
    assert [each["instance"] for each in found(q="engine-1")["history"]] == ["engine-1"]
    first = found(limit=2)
    assert len(first["history"]) == 2
    assert [each["cause"][:10] for each in found(limit=2, before=first["next_before"])["history"]] == ["corruption"]
    assert found(outcome="interrupted")["history"] == []
    assert {each["percent"] for each in found()["history"]} == {100.0}
    assert client.get("/api/v1/applications/shop/restores?outcome=odd").status_code == 400
