"""Keys and values in Avro through a schema registry: decoded where they can be, bytes with a reason where not, clear without one."""

import base64
import json

import pytest

from console.browse import avro, decoding, entries, filtered
from engine import serdes
from engine.query.refusal import Refusal
from tests.console.test_commands import run_as  # noqa: F401 - a fixture
from tests.serdes.small_registry import SmallRegistry

SCHEMA = '{"type": "record", "name": "Flight", "fields": [{"name": "tail", "type": "string"}, {"name": "seats", "type": "long"}]}'
KEY = '{"type": "record", "name": "Plane", "fields": [{"name": "tail", "type": "string"}]}'
CHANGELOG = "shop-counts-changelog"


@pytest.fixture
def registry(settings):
    running = SmallRegistry()
    settings.SCHEMA_REGISTRY_URL = running.url
    avro._clients.cache_clear()
    yield running
    running.close()
    avro._clients.cache_clear()


@pytest.fixture
def value_of(registry):
    return serdes.avro(SCHEMA, registry=registry.url).for_topic("flights", is_key=False).serialize


@pytest.fixture
def written(value_of):
    return value_of({"tail": "N1", "seats": 2**60})


@pytest.fixture
def key_of(registry):
    return serdes.avro(KEY, registry=registry.url).for_topic(CHANGELOG, is_key=True).serialize


class Engines:
    """What they say to any question: the next ``limit`` of ``rows`` behind the cursor; ``asked`` are the questions."""

    def __init__(self):
        self.rows, self.asked = [], []

    def ask(self, _app, _store, call):
        given = dict(call.parameters)
        self.asked.append(given)
        first, limit = int(given.get("cursor", 0)), int(given.get("limit", 100))
        more = str(first + limit) if len(self.rows) > first + limit else None
        source = {"instance": "engine-1", "partition": 0, "role": "active", "position": 9, "lag": 0, "error": None}
        rows = [dict(row) for row in self.rows[first : first + limit]]
        return {"entries": rows, "sources": [source], "cursor": more}


@pytest.fixture
def engines(monkeypatch):
    found = Engines()
    monkeypatch.setattr(entries, "ask", found.ask)
    monkeypatch.setattr(entries, "_changelog", lambda *_: CHANGELOG)
    return found


def shown(raw):
    return None if raw is None else {"base64": base64.b64encode(raw).decode()}


def entry(raw, key="a"):
    return {"key": shown(key) if isinstance(key, bytes) else key, "value": shown(raw), "size": 3, "partition": 0}


def test_values_are_asked_for_as_bytes_and_decoded_by_the_schema_that_they_name(written, engines):
    engines.rows = [entry(written), entry(b"plain"), entry(None), entry(written[:5] + b"\xff")]
    found = entries.page("shop", "counts", {"value_format": "avro", "key": "a"})["entries"]
    assert engines.asked == [{"value_format": "base64", "key": "a"}]
    # An integer that a browser would round travels as text, as everywhere.
    assert found[0]["value"] == {"tail": "N1", "seats": str(2**60)}
    assert found[0]["key"] == "a"
    assert "zero byte" in found[1]["value"]["undecodable"]
    assert base64.b64decode(found[1]["value"]["base64"]) == b"plain"
    assert found[2]["value"] is None
    assert "undecodable" in found[3]["value"]


def test_keys_are_decoded_and_say_by_which_bytes_they_can_be_asked_for(key_of, engines):
    raw = key_of({"tail": "N1"})
    engines.rows = [entry(b"v", raw), entry(b"v", b"plain")]
    found = entries.page("shop", "counts", {"key_format": "avro"})["entries"]
    assert engines.asked == [{"key_format": "base64"}]
    assert found[0]["key"] == {"tail": "N1"}
    assert base64.b64decode(found[0]["key_bytes"]) == raw
    assert found[0]["value"] == shown(b"v"), "the engine reads values: they stay as it shows them"
    assert "zero byte" in found[1]["key"]["undecodable"]
    assert base64.b64decode(found[1]["key_bytes"]) == b"plain"


def test_a_key_is_written_by_its_subjects_newest_schema_or_given_as_bytes(key_of, engines):
    raw = base64.b64encode(key_of({"tail": "N1"})).decode()
    entries.page("shop", "counts", {"key_format": "avro", "key": '{"tail": "N1"}'})
    entries.page("shop", "counts", {"key_format": "avro", "key": json.dumps({"base64": raw})})
    entries.page("shop", "counts", {"key_format": "avro", "from": '{"tail": "N1"}', "to": '{"tail": "N1"}'})
    assert [each.get("key") for each in engines.asked] == [raw, raw, None]
    assert (engines.asked[2]["from"], engines.asked[2]["to"]) == (raw, raw)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"key": "N1"}, "is not JSON"),
        ({"key": '{"wing": 2}'}, "cannot be written by 'shop-counts-changelog-key'"),
        ({"prefix": "N"}, "a prefix means nothing"),
    ],
)
def test_a_key_that_cannot_be_written_is_refused_with_what_to_do(params, words, key_of, engines):
    key_of({"tail": "N1"})
    with pytest.raises(entries.Unavailable, match=words) as raised:
        entries.page("shop", "counts", {"key_format": "avro"} | params)
    assert (raised.value.code, raised.value.status) == ("bad-request", 400)
    assert engines.asked == []


@pytest.mark.parametrize(("topic", "words"), [(CHANGELOG, "has no schema"), (None, "has no changelog")])
def test_without_a_schema_for_keys_they_are_given_as_bytes(topic, words, registry, engines, monkeypatch):
    assert registry
    monkeypatch.setattr(entries, "_changelog", lambda *_: topic)
    with pytest.raises(entries.Unavailable, match=f"{words}.*key_format=base64"):
        entries.page("shop", "counts", {"key_format": "avro", "key": '{"tail": "N1"}'})
    entries.page("shop", "counts", {"key_format": "avro", "key": '{"base64": "AQ=="}'})
    assert [each["key"] for each in engines.asked] == ["AQ=="]


def test_a_filter_looks_into_what_was_decoded(value_of, engines):
    engines.rows = [entry(value_of({"tail": f"N{number}", "seats": 2**60 + number})) for number in range(10)]
    engines.rows.append(entry(b"plain"))
    found = entries.page("shop", "counts", {"value_format": "avro", "where": f"value.seats >= {2**60 + 8}"})
    assert [each["value"]["tail"] for each in found["entries"]] == ["N8", "N9"]
    assert (found["scanned"], found["cursor"]) == (11, None)
    assert all("where" not in each for each in engines.asked), "engines cannot read it"
    bad = entries.page("shop", "counts", {"value_format": "avro", "where": "value.undecodable exists"})
    assert len(bad["entries"]) == 1


def test_a_filters_pages_follow_each_other_without_gap_or_repetition(value_of, engines):
    engines.rows = [entry(value_of({"tail": f"N{number}", "seats": number})) for number in range(1_300)]
    params = {"value_format": "avro", "where": "value.seats >= 490 and value.seats < 510", "limit": "7"}
    seen, scanned, cursor = [], 0, {}
    for _ in range(4):
        found = filtered.page("shop", "counts", params | cursor)
        seen += [int(each["value"]["tail"][1:]) for each in found["entries"]]
        scanned += found["scanned"]
        if found["cursor"] is None:
            break
        cursor = {"cursor": found["cursor"]}
    assert seen == list(range(490, 510))
    assert scanned == 1_300


def test_a_filter_looks_at_no_more_than_an_engine_would_in_a_page(value_of, engines, monkeypatch):
    monkeypatch.setattr("console.browse.translated.FILTER_ROWS_MAX", 1_000)
    monkeypatch.setattr("console.browse.translated.FILTER_SECONDS_MAX", 60.0)  # a busy machine reaches that bound first
    engines.rows = [entry(value_of({"tail": "N1", "seats": 1}))] * 1_600
    found = entries.page("shop", "counts", {"value_format": "avro", "where": "value.seats = 2"})
    assert (found["entries"], found["scanned"]) == ([], 1_000)
    assert found["cursor"] == "1000"


def test_a_bad_filter_says_where_it_could_not_be_read_on(registry, engines):
    assert registry
    with pytest.raises(entries.Unavailable, match="where=") as raised:
        entries.page("shop", "counts", {"value_format": "avro", "where": "value.seats >"})
    assert raised.value.state == {"position": 13}
    assert engines.asked == []


def test_a_registry_that_is_down_is_asked_once_a_page_and_told(registry, written, engines):
    avro._clients.cache_clear()
    registry.down = True
    registry.requests.clear()
    engines.rows = [entry(written) for _ in range(20)]
    found = entries.page("shop", "counts", {"value_format": "avro"})["entries"]
    assert all("does not answer well (503)" in each["value"]["undecodable"] for each in found[1:])
    assert len(registry.requests) == 1


def test_a_registry_that_is_gone_is_told_too(written, engines, settings):
    settings.SCHEMA_REGISTRY_URL = "http://127.0.0.1:9"
    engines.rows = [entry(written), entry(written)]
    found = entries.page("shop", "counts", {"value_format": "avro"})["entries"]
    assert all("does not answer" in each["value"]["undecodable"] for each in found)
    with pytest.raises(entries.Unavailable, match="does not answer"):
        entries.page("shop", "counts", {"key_format": "avro", "key": "{}"})


def test_without_a_registry_it_says_what_to_do(settings, engines):
    settings.SCHEMA_REGISTRY_URL = ""
    for name in ("key_format", "value_format"):
        with pytest.raises(entries.Unavailable, match="SCHEMA_REGISTRY_URL") as raised:
            entries.page("shop", "counts", {name: "avro"})
        assert (raised.value.code, raised.value.status) == ("bad-request", 400)
    assert engines.asked == []


def test_a_keys_history_is_decoded_the_same_way(registry, written, key_of):
    assert registry
    assert decoding.decoder("bytes", "avro", "value_format").shown(written) == {"tail": "N1", "seats": str(2**60)}
    raw = key_of({"tail": "N1"})
    keys = decoding.decoder("bytes", "avro", "key_format", CHANGELOG)
    assert keys.codec.from_text('{"tail": "N1"}', "key") == raw


def test_a_keys_history_without_a_registry_is_refused(settings):
    settings.SCHEMA_REGISTRY_URL = ""
    with pytest.raises(Refusal, match="SCHEMA_REGISTRY_URL"):
        decoding.decoder("bytes", "avro", "value_format")


@pytest.mark.usefixtures("engines")
def test_the_present_of_entries_is_asked_for_by_their_bytes(key_of, monkeypatch):
    asked = []
    monkeypatch.setattr(entries.questions, "multi_get", lambda _store, keys, **given: asked.append((keys, given)))
    monkeypatch.setattr(entries, "ask", lambda *_: {"entries": [entry(None, key_of({"tail": "N1"}))]})
    raw = base64.b64encode(key_of({"tail": "N1"})).decode()
    found = entries.several("shop", "counts", [{"key": {"tail": "N1"}, "key_bytes": raw}], {"key_format": "avro"})
    assert asked == [([{"base64": raw}], {"key_format": "base64"})]
    assert found["entries"][0]["key"] == {"tail": "N1"}


@pytest.mark.django_db
@pytest.mark.usefixtures("shop")
def test_through_the_api_and_on_a_terminal(run_as, with_token, value_of, key_of, engines):  # noqa: F811 - the fixture
    for number in range(3):
        engines.rows.append(
            entry(value_of({"tail": f"N{number}", "seats": 100 + number}), key_of({"tail": f"N{number}"}))
        )
    asked = {"key_format": "avro", "value_format": "avro", "where": 'value.seats > 100 and key.tail != "N2"'}
    answer = with_token("viewer").get("/api/v1/applications/shop/stores/counts/entries", asked).json()
    assert [(each["key"], each["value"]) for each in answer["entries"]] == [
        ({"tail": "N1"}, {"tail": "N1", "seats": 101})
    ]

    run = run_as("viewer")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    table = run("entries", "shop", "counts", *words)
    assert '{"tail": "N1"}' in table
    assert "1 entry" in table
    found = json.loads(
        run("entries", "shop", "counts", "--limit", "2", "--value-format=avro", "--key-format=avro", "--json")
    )
    assert [each["value"]["seats"] for each in found] == [100, 101]
