"""The control routes over real HTTP, on a service of the tests."""

import pytest

from engine.control import routes
from engine.control.commands import Commands
from tests.control.test_commands import Runner
from tests.query.conftest import serve  # noqa: F401 (a fixture)
from tests.query.fakes import FakeInstance
from tests.query.test_entries import refused

SWAP = "/v1/control/stores/counts/partitions/3/swap"


@pytest.fixture
def commands():
    return Commands(Runner())


@pytest.fixture
def http(serve, commands):  # noqa: F811
    return serve(FakeInstance(), more_routes=routes.routes(commands)).http


def test_a_swap_is_accepted_followed_and_done_once(http, commands):
    body = {"job": "job-1", "generation": "g00000002"}
    accepted = http.post(SWAP, json=body)
    assert (accepted.status_code, accepted.json()["phase"]) == (202, "queued")
    commands.get("swap", "counts", 3, "job-1").move("replaying", position=5, end=9)
    assert http.get(f"{SWAP}/job-1").json() == {
        "job": "job-1",
        "phase": "replaying",
        "cancelling": False,
        "position": 5,
        "end": 9,
        "error": None,
    }
    assert http.post(SWAP, json=body).json()["phase"] == "replaying"
    assert len(commands.runner.begun) == 1


def test_a_cancel_is_passed_on_and_refused_when_it_is_too_late(http, commands):
    http.post(SWAP, json={"job": "job-1", "generation": "g00000002"})
    command = commands.get("swap", "counts", 3, "job-1")
    command.move("replaying")
    assert http.post(f"{SWAP}/job-1/cancel").json()["cancelling"] is True
    command.move("waiting-for-commit")
    command.move("swapped")
    refused(http.post(f"{SWAP}/job-1/cancel"), 409, "conflict")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"job": "j"}',
        b'{"job": "", "generation": "g00000002"}',
        b'{"job": "a/../b", "generation": "g00000002"}',
        b'{"job": "j", "generation": "../../etc"}',
        b'{"job": "j", "generation": "g00000002.staging"}',
        b'{"job": "j", "generation": "g00000002\\n"}',
        b'{"job": "j", "generation": "g00000002", "extra": 1}',
        b'{"job": 7, "generation": "g00000002"}',
    ],
)
def test_an_order_that_is_none_is_refused(http, commands, body):
    refused(http.post(SWAP, content=body), 400, "bad-request")
    assert commands.runner.begun == []


def test_a_generation_belongs_to_swaps_only(http):
    refused(
        http.post(SWAP.replace("swap", "compact"), json={"job": "j", "generation": "g00000002"}), 400, "bad-request"
    )


def test_conflicts_and_unknown_jobs_have_their_codes(http, commands):
    http.post(SWAP, json={"job": "job-1", "generation": "g00000002"})
    refused(http.post(SWAP, json={"job": "job-2", "generation": "g00000002"}), 409, "conflict")
    refused(http.get(f"{SWAP}/job-9"), 404, "not-found")
    refused(http.get(SWAP.replace("/3/", "/4/") + "/job-1"), 404, "not-found")
    refused(http.get(SWAP.replace("/3/", "/x/") + "/job-1"), 404, "not-found")
    refused(http.post(f"{SWAP}/job-9/cancel"), 404, "not-found")
    commands.runner.refuse = LookupError("partition 5 of store counts is not here")
    refused(http.post(SWAP.replace("/3/", "/5/"), json={"job": "j", "generation": "g00000002"}), 404, "not-found")


def test_the_tasks_are_listed(http):
    assert http.get("/v1/control/tasks").json() == {"tasks": [{"task": "0_3", "stores": []}]}


def test_control_needs_the_token(http):
    http.headers.pop("authorization")
    refused(http.post(SWAP, json={"job": "job-1", "generation": "g00000002"}), 401, "unauthorized")
