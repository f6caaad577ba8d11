"""How stores lie on disk, through the console: asked of engines and Kafka, kept for seconds, refused in the contract's words."""

import pytest
from confluent_kafka import Producer

from console.browse import storage
from console.browse.changelog_facts import KafkaAway
from console.pages import levels
from tests.pages.sample_storage import SETTINGS, copy

pytestmark = pytest.mark.django_db
PATH = "/api/v1/applications/shop/stores/counts/"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Nothing that another test asked is still known."""
    monkeypatch.setattr(storage, "_copies", storage.Kept(60))
    monkeypatch.setattr(storage, "_changelogs", storage.Kept(60))


def test_an_answer_is_kept_and_so_is_a_refusal():
    asked = []

    def answer():
        asked.append(1)
        if len(asked) == 2:
            raise KafkaAway("away")
        return len(asked)

    kept = storage.Kept(60)
    assert [kept.of("a", answer, KafkaAway) for _ in range(3)] == [1, 1, 1]
    for _ in range(2):
        with pytest.raises(KafkaAway):
            kept.of("b", answer, KafkaAway)
    assert len(asked) == 2
    assert storage.Kept(0).of("a", answer, KafkaAway) == 3


@pytest.mark.usefixtures("shop")
def test_the_engine_is_asked_through_the_console(with_token, monkeypatch):
    monkeypatch.setattr(
        "console.browse.entries.ask",
        lambda app, store, call: {"copies": [], "sources": [], "next": None, "asked": [app, store, call.path, call.parameters]},
    )  # fmt: skip
    found = with_token("viewer").get(PATH + "rocksdb?partition=1").json()
    assert found["asked"] == ["shop", "counts", "/v1/stores/counts/rocksdb", {"partition": "1"}]
    refused = with_token("viewer").get(PATH + "rocksdb?levels=1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad-request")


@pytest.mark.usefixtures("shop")
def test_a_changelog_is_told_with_what_nobody_tells_as_null(with_token, monkeypatch):
    told = {"settings": SETTINGS, "offsets": {0: (100, 1_000), 1: (0, 0)}}
    monkeypatch.setattr(storage, "changelog", lambda _topic, _partitions: told)
    found = with_token("viewer").get(PATH + "changelog").json()
    assert (found["bytes"], found["last_cleaned_at"], found["settings"]["cleanup_policy"]) == (None, None, "compact")
    first, second = found["partitions"]
    assert (first["slots"], first["keys_estimate"], first["beyond"]) == (900, 16, 884)
    assert (second["slots"], second["beyond"], second["share"]) == (0, 0, None)


@pytest.mark.usefixtures("shop")
def test_a_kafka_that_is_away_is_told(with_token, monkeypatch):
    def away(_topic, _partitions):
        raise KafkaAway("timed out")

    monkeypatch.setattr(storage, "changelog", away)
    answer = with_token("viewer").get(PATH + "changelog")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "kafka-unavailable")


@pytest.mark.parametrize(
    ("begin", "end", "keys", "beyond", "share"),
    [(0, 100, 25, 75, 0.75), (0, 20, 25, 0, 0.0), (None, 100, 25, None, None), (0, 100, None, None, None), (7, 7, 0, 0, None)],
)  # fmt: skip
def test_what_is_not_known_is_not_estimated(begin, end, keys, beyond, share):
    found = storage.cleanable(begin, end, keys)
    assert (found["beyond"], found["share"]) == (beyond, share)


def test_sums_of_which_a_part_is_unknown_are_unknown_and_warnings_are_words():
    rows = [levels.row(copy(number)) for number in range(3)]
    assert levels.totals(rows)["sst_bytes"] == sum(row["rocksdb"]["sst_bytes"] for row in rows)
    unknown = copy(0)
    unknown["rocksdb"] |= {"pending_compaction_bytes": None, "writes_stopped": True, "background_errors": 1}
    row = levels.row(unknown)
    assert levels.totals([*rows, row])["pending_compaction_bytes"] is None
    assert any("stopped writes" in words for words in row["warnings"])
    assert any("rebuild the partition" in words for words in row["warnings"])
    assert levels.totals([]) is None


def test_settings_and_offsets_come_from_a_real_broker(kafka, settings):
    settings.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrap_servers
    topic = kafka.topic("changelog", config={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.25"})
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for number in range(7):
        producer.produce(topic, b"x", b"key-%d" % (number % 3), partition=0)
    assert producer.flush(20) == 0

    found = storage.changelog(topic, [0])
    assert found["offsets"] == {0: (0, 7)}
    assert (found["settings"]["cleanup_policy"], found["settings"]["min_cleanable_dirty_ratio"]) == ("compact", 0.25)
    assert (found["settings"]["min_compaction_lag_ms"], found["settings"]["retention_bytes"]) == (0, None)
    assert storage.cleanable(*found["offsets"][0], 3)["beyond"] == 4
