"""A key's history: read backwards from a real changelog, within bounds, and honest about how far."""

import time

import pytest
from confluent_kafka import Producer

from console import limits
from console.browse import changes, history
from console.browse.entries import Unavailable
from engine.stores import layouts
from tests.console import reports

pytestmark = pytest.mark.django_db
ENTRIES = "/api/v1/applications/shop/stores/counts/history"


class Written:
    def __init__(self, kafka, topic):
        self.topic = topic
        self.producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def put(self, key, value, timestamp=1_000):
        self.producer.produce(self.topic, value, key, partition=0, timestamp=timestamp)

    def done(self):
        assert self.producer.flush(20) == 0


@pytest.fixture
def written(kafka, settings, observed):
    settings.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrap_servers
    made = Written(kafka, kafka.topic("changelog"))
    describe(observed, made.topic)
    return made


def describe(observed, topic, sequence=2, **changes_to):
    told = reports.topology(partitions=1, sequence=sequence)
    told.description["stores"][0] |= {"value_serde": "json", "changelog": topic} | changes_to
    observed.report(
        reports.instance("engine-1", tasks=["0_0"]),
        told,
        reports.task("0_0"),
        reports.store("counts", "0_0", changelog=topic),
    )


def test_versions_come_newest_first_with_what_changed(written):
    written.put(b"UA", b'{"n": 1, "by": {"x": true}}', 1_000)
    written.put(b"B6", b'{"n": 9}', 1_500)
    written.put(b"UA", b'{"n": 2, "by": {"x": true}}', 2_000)
    written.put(b"UA", None, 3_000)
    written.done()

    found = history.of_key("shop", "counts", {"key": "UA", "partition": "0"})

    told = [(each["offset"], each["timestamp"], each["value"], each["is_deletion"]) for each in found["versions"]]
    assert told == [
        (3, 3_000, None, True),
        (2, 2_000, {"n": 2, "by": {"x": True}}, False),
        (0, 1_000, {"n": 1, "by": {"x": True}}, False),
    ]
    assert found["versions"][1]["changed"] == {"paths": [{"path": "n", "was": "1", "is": "2"}], "more": 0}
    assert found["versions"][2]["changed"] is None
    assert (found["looked"]["from"], found["looked"]["stopped_by"], found["looked"]["records"]) == (0, "begin", 4)
    assert "Compaction drops superseded values" in found["looked"]["words"]


def test_a_key_that_another_partitioner_placed_is_asked_for_with_its_partition(written, observed):
    describe(observed, written.topic, sequence=3, placed_by="shop-placed-repartition")
    written.put(b"UA", b"1")
    written.done()

    with pytest.raises(Unavailable, match="topic shop-placed-repartition is written with a partitioner of its own"):
        history.of_key("shop", "counts", {"key": "UA"})
    assert [
        each["value"] for each in history.of_key("shop", "counts", {"key": "UA", "partition": "0"})["versions"]
    ] == [1]


def test_it_goes_back_stretch_by_stretch_until_there_are_enough(written, monkeypatch):
    monkeypatch.setattr(limits, "HISTORY_STRETCH_OFFSETS", 10)
    for number in range(100):
        written.put(b"UA" if number % 20 == 0 else b"other", b"%d" % number)
    written.done()

    found = history.of_key("shop", "counts", {"key": "UA", "limit": "2"})

    # Stretches of 10, 20 and 40 offsets: the third has two more, of which one is asked for.
    assert [each["value"] for each in found["versions"]] == [80, 60]
    assert (found["looked"]["from"], found["looked"]["stopped_by"]) == (30, "limit")
    assert "There may be older ones." in found["looked"]["words"]


def test_the_bounds_are_said(written, monkeypatch):
    monkeypatch.setattr(limits, "HISTORY_STRETCH_OFFSETS", 10)
    monkeypatch.setattr(limits, "HISTORY_RECORDS_MAX", 30)
    for number in range(100):
        written.put(b"other", b"%d" % number)
    written.done()

    looked = history.of_key("shop", "counts", {"key": "UA"})["looked"]
    # Stretches of 10 and then 20 offsets.
    assert (looked["from"], looked["records"], looked["stopped_by"]) == (70, 30, "records")

    monkeypatch.setattr(limits, "HISTORY_SECONDS_MAX", 0.0)
    looked = history.of_key("shop", "counts", {"key": "UA"})["looked"]
    assert (looked["from"], looked["stopped_by"]) == (100, "seconds")
    assert "what lies before was not looked at" in looked["words"]


def test_an_aborted_transaction_is_no_version(written, kafka):
    aborting = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": kafka.unique("aborts")})
    aborting.init_transactions(20)
    aborting.begin_transaction()
    aborting.produce(written.topic, b"1", b"UA", partition=0)
    aborting.flush(10)
    aborting.abort_transaction(20)
    written.put(b"UA", b"2")
    written.done()

    # The abort's marker is written a moment after the producer was answered.
    until = time.monotonic() + 10
    while (found := history.of_key("shop", "counts", {"key": "UA"}))["looked"]["to"] < 3:
        assert time.monotonic() < until
    assert [each["value"] for each in found["versions"]] == [2]


def test_a_window_is_told_from_the_keys_other_windows(written, observed):
    describe(observed, written.topic, 3, kind="window", window_ms=10, retention_ms=1_000)
    for start, value in ((0, b"1"), (10, b"2"), (0, b"3")):
        written.put(layouts.window_key(b"UA", start), value)
    written.put(layouts.window_key(b"UAX", 0), b"4")
    written.done()

    one = history.of_key("shop", "counts", {"key": "UA", "window_from": "0"})
    every = history.of_key("shop", "counts", {"key": "UA"})

    assert [each["value"] for each in one["versions"]] == [3, 1]
    assert [(each["span"]["start"], each["value"]) for each in every["versions"]] == [(0, 3), (10, 2), (0, 1)]
    assert every["versions"][0]["changed"]["paths"] == [{"path": "", "was": "1", "is": "3"}]


def test_what_cannot_be_decoded_is_shown_as_its_bytes(written, observed):
    written.put(b"UA", b"{")
    written.done()
    assert "undecodable" in history.of_key("shop", "counts", {"key": "UA"})["versions"][0]["value"]

    describe(observed, written.topic, 3, value_serde="avro")
    value = history.of_key("shop", "counts", {"key": "UA"})["versions"][0]["value"]
    assert value == {"base64": "ew==", "undecodable": "the console does not have the serde avro"}
    shown = history.of_key("shop", "counts", {"key": "UA", "value_format": "string"})["versions"][0]["value"]
    assert shown == "{"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "bad-request"),
        ({"key": "UA", "partition": "x"}, "bad-request"),
        ({"key": "UA", "partition": "7"}, "not-found"),
        ({"key": "UA", "limit": "101"}, "bad-request"),
        ({"key": "UA", "key_format": "int64"}, "bad-request"),
        ({"key": "UA", "key_format": "nonsense"}, "bad-request"),
        ({"key": "UA", "reverse": "true"}, "bad-request"),
    ],
)
def test_what_cannot_be_asked_is_refused(observed, asked, code):
    describe(observed, "anything")
    with pytest.raises(Unavailable) as caught:
        history.of_key("shop", "counts", asked)
    assert caught.value.code == code


def test_a_store_without_a_changelog_says_so(observed):
    describe(observed, None)
    with pytest.raises(Unavailable) as caught:
        history.of_key("shop", "counts", {"key": "UA"})
    assert "logging is off" in caught.value.words


def test_brokers_that_are_away_are_an_error_and_not_an_empty_history(observed, settings, monkeypatch):
    monkeypatch.setattr(limits, "KAFKA_TIMEOUT_S", 0.2)
    settings.KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:1"
    describe(observed, "anything")
    with pytest.raises(Unavailable) as caught:
        history.of_key("shop", "counts", {"key": "UA"})
    assert (caught.value.code, caught.value.retryable) == ("kafka-unavailable", True)


def test_through_the_api(written, with_token):
    written.put(b"UA", b"5")
    written.done()
    client = with_token("viewer")

    answer = client.get(f"{ENTRIES}?key=UA")
    assert (answer.status_code, answer.json()["versions"][0]["value"]) == (200, 5)
    refused = client.get(ENTRIES)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad-request")


def test_changed_paths_of_json():
    old = {"a": 1, "b": {"c": [1, 2], "d": True}, "gone": None}
    new = {"a": 1, "b": {"c": [1, 3, 4], "d": 1}, "new": "x"}

    assert changes.between(old, new)["paths"] == [
        {"path": "b.c[1]", "was": "2", "is": "3"},
        {"path": "b.c[2]", "was": None, "is": "4"},
        {"path": "b.d", "was": "true", "is": "1"},
        {"path": "gone", "was": "null", "is": None},
        {"path": "new", "was": None, "is": "x"},
    ]


def test_many_changed_paths_are_counted_and_not_listed():
    found = changes.between({str(number): 0 for number in range(50)}, {str(number): 1 for number in range(50)})

    assert (len(found["paths"]), found["more"]) == (changes.PATHS_MAX, 50 - changes.PATHS_MAX)
