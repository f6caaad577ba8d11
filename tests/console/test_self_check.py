"""The self-check on real parts, and on parts that are away: what is wrong, what follows from it, what to do."""

import io
import json
import time

import pytest
from django.core.management import CommandError, call_command

from console.health import checks, self_check
from console.health.finding import Wrong
from console.health.self_check import Check
from console.jobs import presence
from tests.console import reports

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def parts(observed, engine, settings):
    """Everything but Kafka is there; an engine answers."""
    settings.HOST_NAME = "h1"
    observed.report(*reports.shop(), reports.instance("engine-1", sequence=2, tasks=["0_0"], address=engine.address))
    return engine


def fails(check, level="bad"):
    with pytest.raises(Wrong) as raised:
        check()
    assert raised.value.level == level
    assert raised.value.remedy
    return raised.value.words


def test_what_depends_on_something_away_is_not_tried():
    def away():
        raise Wrong("It is away.", "Start it.")

    def broken():
        raise RuntimeError("canary")

    table = (
        Check("a", lambda: "well"),
        Check("b", away, ("a",)),
        Check("c", lambda: "well", ("b",)),
        Check("d", lambda: "well", ("c",)),
        Check("e", broken),
    )
    found = self_check.walk(table)
    assert [each.level for each in found] == ["ok", "bad", "skipped", "skipped", "bad"]
    assert found[2].words == "Not tried: it needs b."
    assert found[2].took_ms is None
    assert "canary" not in found[4].words


@pytest.mark.usefixtures("parts")
def test_database_redis_and_observer_are_well():
    assert "migrations applied" in checks.database()
    assert "answered in" in checks.redis_answers()
    assert checks.observer() == "it measures"
    assert "within" in checks.clocks()


@pytest.mark.usefixtures("fresh_board")
def test_a_stale_observer_is_wrong():
    assert "observer" in fails(checks.observer)


def test_kafka_that_is_away_is_told_with_its_address(settings, monkeypatch):
    settings.KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:9"
    monkeypatch.setattr(checks, "_KAFKA_S", 0.2)
    assert "127.0.0.1:9" in fails(checks.kafka)


@pytest.mark.kafka
def test_kafka_answers_and_a_missing_status_topic_is_a_warning(kafka, settings, monkeypatch):
    settings.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrap_servers
    assert "1 broker" in checks.kafka()
    monkeypatch.setattr(checks, "STATUS_TOPIC", "no-such-topic-of-tests")
    fails(checks.status_topic, "warn")


@pytest.mark.usefixtures("parts")
def test_a_worker_says_that_it_is_there_and_a_host_without_one_is_named():
    assert "h1" in fails(checks.workers)
    presence.say()
    assert checks.workers() == "one on h1"


@pytest.mark.usefixtures("parts")
def test_beat_is_known_by_what_it_has_had_done(redis_client):
    fails(checks.beat, "warn")
    presence.beat()
    assert "0 s ago" in checks.beat()
    redis_client.set("statehouse:beat", int((time.time() - 90) * 1000))
    assert "90 s ago" in fails(checks.beat, "warn")


def test_engines_that_do_not_answer_and_a_token_that_they_refuse(parts, observed, settings, tmp_path):
    assert checks.engines_answer() == "1 answer"
    (tmp_path / "token").chmod(0o644)
    assert "mode 0644" in fails(checks.token, "warn")
    (tmp_path / "token").chmod(0o600)
    assert checks.token() == "engines take it"
    (tmp_path / "token").write_text("another-token-of-tests")
    assert "refuses" in fails(checks.token)
    settings.ENGINE_TOKEN_FILE = ""
    assert "ENGINE_TOKEN_FILE" in fails(checks.token)
    observed.report(reports.instance("engine-2", sequence=3, address="http://127.0.0.1:9"))
    assert "1 of 2 engines do not answer: shop/engine-2" in fails(checks.engines_answer)
    assert parts.asked


def test_a_message_goes_through_the_channel_layer(redis_url, settings):
    from channels.layers import channel_layers

    channel_layers.backends = {}
    assert checks.channel_layer() == "a message went through"
    channel_layers.backends = {}
    assert redis_url in str(settings.CHANNEL_LAYERS)


def test_the_command_and_the_api_tell_the_same(monkeypatch, with_token):
    def away():
        raise Wrong("It is away.", "Start it.")

    table = (Check("Database", lambda: "well"), Check("Redis", away))
    monkeypatch.setattr(self_check, "_last", None)
    monkeypatch.setattr(self_check, "walk", lambda: self_check_walk(table))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    out = io.StringIO()
    with pytest.raises(CommandError, match="It is away"):
        call_command("self_check", stdout=out, no_color=True)
    assert "bad     Redis" in out.getvalue()
    assert "Start it." in out.getvalue()
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("self_check", "--json", stdout=out)
    told = with_token("viewer").get("/api/v1/self-check").json()
    assert json.loads(out.getvalue())["checks"] == told["checks"]
    assert [each["level"] for each in told["checks"]] == ["ok", "bad"]


self_check_walk = self_check.walk
