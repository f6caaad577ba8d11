"""Reads while partitions move: the owner, then a standby within `max_lag`, else an error that names the state."""

import signal

import httpx
import pytest

from tests.runtime import programs
from tests.runtime.harness import EngineProcess, config, create, eventually, produce, run_to_the_end, running

pytestmark = pytest.mark.kafka
KEYS = 40
TOKEN = "a-token-of-the-tests"  # noqa: S105 - opens nothing


@pytest.fixture
def pair(kafka, tmp_path):
    """An engine in a process of its own, one in this, two tasks each, and standbys of the other's here."""
    application = kafka.unique("moving")
    create(kafka, programs.input_topic(application), partitions=4)
    (tmp_path / "token").write_text(TOKEN)
    one = config(
        kafka,
        application,
        tmp_path / "one",
        instance_id="one",
        listen="127.0.0.1:0",
        token_file=tmp_path / "token",
        num_standby_replicas=1,
    )
    fill(kafka, application)
    two = one.with_(instance_id="two", state_dir=tmp_path / "two")
    with EngineProcess("quiet_counts", one) as process, running(programs.quiet_counts(application), two) as engine:
        eventually(lambda: hasattr(engine, "report"), "its parts")
        eventually(lambda: len(running_at(engine)) == len(standing_by(engine)) == 2, "two tasks each, with standbys")
        eventually(lambda: lags(engine) == {0}, "they have caught up")
        eventually(lambda: engine.metadata.member("one") is not None, "one's report")
        yield application, process, engine, int(standing_by(engine)[0][2:])


def fill(kafka, application):
    produce(kafka, programs.input_topic(application), [(f"k{i % KEYS}".encode(), b"v") for i in range(KEYS * 5)])


def running_at(engine):
    return [t.id for t in engine.tasks.running()]


def standing_by(engine):
    return sorted(s.task for s in engine.tasks.standbys if s.caught_up)


def lags(engine):
    return {h.lag for h in engine.view.handles()} if hasattr(engine, "view") else None


def ask(address, partition, **parameters):
    return httpx.get(
        f"{address}/v1/stores/counts/entries",
        params={"partition": partition, "limit": 1_000, **parameters},
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=20,
    ).json()


def values(body):
    return {entry["value"] for entry in body.get("entries", ())}


def test_a_dead_owners_partition_is_read_from_its_standby_until_it_runs_again(pair):
    _, process, engine, partition = pair
    body = eventually(lambda: complete(ask(engine.address, partition)), "the owner's answer")
    assert (body["sources"][0]["instance"], body["sources"][0]["role"]) == ("one", "active")
    eventually(lambda: engine.view.handle("counts", partition).position > 0, "the standby follows")
    eventually(lambda: engine.view.handle("counts", partition).lag == 0, "to the end")
    process.kill()
    refused = ask(engine.address, partition)["error"]
    assert refused["code"] in {"no-owner", "store-moving"}
    assert refused["retryable"]
    body = ask(engine.address, partition, max_lag=0)
    source = body["sources"][0]
    assert (source["instance"], source["role"], source["lag"], source["error"]) == ("two", "standby", 0, None)
    assert source["position"] > 0
    assert values(body) == {5}
    body = eventually(lambda: complete(ask(engine.address, partition)), "the new owner's answer")
    assert (body["sources"][0]["instance"], body["sources"][0]["role"]) == ("two", "active")


def test_an_instance_that_was_paused_past_its_session_never_shows_what_it_lost(pair, kafka):
    application, process, engine, partition = pair
    address = engine.metadata.member("one").address
    process.process.send_signal(signal.SIGSTOP)
    eventually(lambda: len(engine.tasks.running()) == 4, "two has all tasks")
    fill(kafka, application)
    eventually(lambda: values(ask(engine.address, partition)) == {10}, "the new values")
    process.process.send_signal(signal.SIGCONT)
    seen = []

    def back():
        seen.append(ask(address, partition, local="true"))
        return len(engine.tasks.running()) == 2

    eventually(back, "one is back")
    stale = [body for body in seen if values(body) - {10}]
    assert not stale
    # Whoever allows a lag is told of it, and reads what it allowed.
    assert any("error" in body or body["sources"][0]["error"] for body in seen)


def test_a_partition_that_restores_says_how_far_it_is(kafka, tmp_path):
    name = kafka.unique("restoring")
    create(kafka, programs.input_topic(name))
    produce(kafka, programs.input_topic(name), [(f"k{i}".encode(), b"v") for i in range(4_000)])
    (tmp_path / "token").write_text(TOKEN)
    settings = config(
        kafka, name, tmp_path / "first", listen="127.0.0.1:0", token_file=tmp_path / "token", instance_id="one"
    )
    run_to_the_end(programs.quiet_counts(name), settings)
    lost = settings.with_(state_dir=tmp_path / "second", restore_bytes_per_second_max=4_000)
    with running(programs.quiet_counts(name), lost) as engine:
        restoring = eventually(
            lambda: hasattr(engine, "report") and [h for h in engine.view.handles() if h.position], "a restore"
        )[0].restoring
        refused = ask(engine.address, 0)["error"]
        assert (refused["code"], refused["retryable"]) == ("store-restoring", True)
        state = refused["state"]
        assert 0 < state["percent"] < 100
        assert 0 < state["position"] < state["end"]
        assert restoring.asked_at > 0
        too_far = ask(engine.address, 0, max_lag=1)["error"]
        assert (too_far["code"], too_far["retryable"]) == ("too-far-behind", True)
        source = ask(engine.address, 0, max_lag=10_000)["sources"][0]
        assert (source["role"], source["error"]) == ("active", None)
        assert 0 < source["position"] < state["end"]
        assert 0 < source["lag"] < state["end"]


def complete(body):
    return body if values(body) == {5} else None
