"""Values in Avro through a schema registry: decoded where they can be, bytes with a reason where not, clear without one."""

import base64

import pytest

from console.browse import avro, decoding, entries
from engine import serdes
from engine.query.refusal import Refusal
from tests.serdes.small_registry import SmallRegistry

SCHEMA = '{"type": "record", "name": "Flight", "fields": [{"name": "tail", "type": "string"}, {"name": "seats", "type": "long"}]}'


@pytest.fixture
def registry(settings):
    running = SmallRegistry()
    settings.SCHEMA_REGISTRY_URL = running.url
    avro._deserializer.cache_clear()
    yield running
    running.close()
    avro._deserializer.cache_clear()


@pytest.fixture
def written(registry):
    serde = serdes.avro(SCHEMA, registry=registry.url).for_topic("flights", is_key=False)
    return serde.serialize({"tail": "N1", "seats": 2**60})


@pytest.fixture
def answer(monkeypatch):
    """What the engine says; `asked` are the parameters that it was asked with."""
    found = {"entries": [], "sources": [], "cursor": None, "asked": []}

    def ask(_app, _store, call):
        found["asked"].append(dict(call.parameters))
        return found

    monkeypatch.setattr(entries, "ask", ask)
    return found


def entry(raw):
    return {"key": "a", "value": None if raw is None else {"base64": base64.b64encode(raw).decode()}}


def test_values_are_asked_for_as_bytes_and_decoded_by_the_schema_that_they_name(written, answer):
    answer["entries"] = [entry(written), entry(b"plain"), entry(None), entry(written[:5] + b"\xff")]
    found = entries.page("shop", "counts", {"value_format": "avro", "key": "a"})["entries"]
    assert answer["asked"] == [{"value_format": "base64", "key": "a"}]
    # An integer that a browser would round travels as text, as everywhere.
    assert found[0]["value"] == {"tail": "N1", "seats": str(2**60)}
    assert "zero byte" in found[1]["value"]["undecodable"]
    assert base64.b64decode(found[1]["value"]["base64"]) == b"plain"
    assert found[2]["value"] is None
    assert "undecodable" in found[3]["value"]


def test_a_registry_that_is_down_is_asked_once_a_page_and_told(registry, written, answer):
    avro._deserializer.cache_clear()
    registry.down = True
    registry.requests.clear()
    answer["entries"] = [entry(written) for _ in range(20)]
    found = entries.page("shop", "counts", {"value_format": "avro"})["entries"]
    assert all("does not answer well (503)" in each["value"]["undecodable"] for each in found[1:])
    assert len(registry.requests) == 1


def test_a_registry_that_is_gone_is_told_too(written, answer, settings):
    settings.SCHEMA_REGISTRY_URL = "http://127.0.0.1:9"
    answer["entries"] = [entry(written), entry(written)]
    found = entries.page("shop", "counts", {"value_format": "avro"})["entries"]
    assert all("does not answer" in each["value"]["undecodable"] for each in found)


def test_without_a_registry_or_with_a_filter_it_says_what_to_do(settings, answer):
    settings.SCHEMA_REGISTRY_URL = ""
    with pytest.raises(entries.Unavailable, match="SCHEMA_REGISTRY_URL") as raised:
        entries.page("shop", "counts", {"value_format": "avro"})
    assert (raised.value.code, raised.value.status) == ("bad-request", 400)
    settings.SCHEMA_REGISTRY_URL = "http://127.0.0.1:9"
    with pytest.raises(entries.Unavailable, match="where="):
        entries.page("shop", "counts", {"value_format": "avro", "where": "value.a = 1"})
    assert answer["asked"] == []


def test_a_keys_history_is_decoded_the_same_way(registry, written):
    assert registry
    found = decoding.decoder("bytes", "avro", "value_format")
    assert found.shown(written) == {"tail": "N1", "seats": str(2**60)}


def test_a_keys_history_without_a_registry_is_refused(settings):
    settings.SCHEMA_REGISTRY_URL = ""
    with pytest.raises(Refusal, match="SCHEMA_REGISTRY_URL"):
        decoding.decoder("bytes", "avro", "value_format")
