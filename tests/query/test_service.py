"""The service around the reads: the gate, the describing routes, its life."""

import socket
import threading

import httpx
import pytest

from engine.errors import ConfigError
from engine.query.metadata import Metadata
from engine.query.service import QueryService, listen
from tests.query.fakes import COUNTS, PATIENCE_SECONDS, TOKEN, FakeHandle, FakeInstance, store_of
from tests.query.test_entries import instance_with, refused


@pytest.fixture
def served(serve):
    return serve(instance_with([("UA", 1)]))


@pytest.fixture(scope="module")
def locked(serve_all):
    return serve_all(instance_with([("UA", 1)]))


PATHS = [
    "/v1/instance",
    "/v1/topology",
    "/v1/stores",
    "/v1/stores/counts/entries",
    "/v1/control/tasks",
    "/nothing",
    "/",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer"},
        {"authorization": b"Bearer \xff"},
    ],
)
def test_nothing_is_told_without_the_token(locked, path, header):
    reply = httpx.get(locked.address + path, headers=header, timeout=PATIENCE_SECONDS, trust_env=False)
    assert refused(reply, 401, "unauthorized")["retryable"] is False
    assert reply.headers["www-authenticate"] == "Bearer"


def test_health_is_open_and_says_nothing_else(served):
    assert httpx.get(served.address + "/healthz", trust_env=False).json() == {"status": "ok", "state": "running"}


def test_a_route_that_does_not_exist_has_the_one_error_shape(served):
    refused(served.get("/v1/nothing"), 404, "not-found")
    refused(served.get("/v1/stores/counts/entries/"), 404, "not-found")
    refused(served.http.delete("/v1/stores/counts/entries"), 405, "method-not-allowed")


def test_an_unforeseen_failure_keeps_its_trace_to_itself(served, caplog):
    served.instance.topology = lambda: 1 / 0
    error = refused(served.get("/v1/topology"), 500, "internal")
    assert "division" not in error["message"]
    assert "ZeroDivisionError" in caplog.text


def test_the_describing_routes_answer(served):
    assert served.get("/v1/instance").json() == {"instance": {"instance": "i-1"}, "tasks": [], "stores": []}
    assert served.get("/v1/topology").json()["hash"] == "abc"
    (store,) = served.get("/v1/stores").json()["stores"]
    assert {name: store[name] for name in ("name", "kind", "backend", "key_serde", "value_serde")} == {
        "name": "counts",
        "kind": "key-value",
        "backend": "memory",
        "key_serde": "string",
        "value_serde": "int64",
    }
    assert [each["partition"] for each in store["partitions"]] == [0, 1, 2, 3]


def test_the_token_appears_in_no_repr(served):
    assert TOKEN not in repr(served.service)


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in it all", "ünprintable-in-ascii", "line\nbreak-in-a-token"]
)
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(token):
    with listen("127.0.0.1", 0) as bound, pytest.raises(ConfigError, match="token"):
        QueryService(FakeInstance(), Metadata(), token, bound)


def test_an_address_in_use_is_refused_with_a_remedy(served):
    port = int(served.address.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match="--listen"):
        listen("127.0.0.1", port)


def test_a_stopped_service_frees_its_port_and_its_threads(serve):
    before = set(threading.enumerate())
    served = serve(FakeInstance())
    port = int(served.address.rsplit(":", 1)[1])
    served.get("/v1/stores")
    served.stop()
    assert set(threading.enumerate()) <= before
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_queries_are_counted_by_key(served):
    served.entries("counts", key="UA")
    served.http.post("/v1/stores/counts/multi-get", json={"keys": ["a", "b"]})
    assert served.service.queries.total == 3


def test_a_store_closed_under_a_read_says_moving(serve, tmp_path):
    instance = FakeInstance()
    spec = COUNTS.with_(backend="rocksdb")
    handle = instance.hold(FakeHandle(spec, 0, store_of(spec, [("UA", 1)], tmp_path / "counts")), partitions=1)
    served = serve(instance)
    assert served.entries("counts", key="UA").json()["entries"][0]["value"] == 1
    handle.store.close()
    assert refused(served.entries("counts", key="UA"), 503, "store-moving")["retryable"] is True
    assert refused(served.entries("counts"), 503, "store-moving")["retryable"] is True


def test_a_partition_lost_during_a_read_says_moving_not_absent(serve):
    instance = FakeInstance()
    handle = instance.hold(FakeHandle(COUNTS, 0, store_of(COUNTS, [])), partitions=1)
    served = serve(instance)
    answers = iter([handle, None])
    instance.handle = lambda *_place: next(answers)
    assert refused(served.entries("counts", key="UA"), 503, "store-moving")["retryable"] is True
