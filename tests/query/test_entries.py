"""Pages of a store over real HTTP: what is asked, what comes back, what is refused."""

import pytest

from engine import serdes
from engine.partitioning import partition_for
from tests.query.fakes import BY_NUMBER, COUNTS, FakeHandle, FakeInstance, store_of

PARTITIONS = 4


def instance_with(pairs, spec=COUNTS, partitions=PARTITIONS):
    """An instance that holds every partition of one store, each key where Java would put it."""
    shares = {partition: [] for partition in range(partitions)}
    for key, value in pairs:
        shares[partition_for(spec.key_serde.serialize(key), partitions)].append((key, value))
    instance = FakeInstance()
    for partition, share in shares.items():
        store = store_of(spec, share)
        instance.hold(FakeHandle(spec, partition, store, keys_estimate=len(share)), partitions=partitions)
    return instance


CARRIERS = [("UA", 58_665), ("B6", 54_635), ("EV", 54_173), ("DL", 48_110), ("U", 1)]


@pytest.fixture(scope="module")
def carriers(serve_all):
    return serve_all(instance_with(CARRIERS))


def keys(reply):
    assert reply.status_code == 200, reply.text
    return [entry["key"] for entry in reply.json()["entries"]]


def refused(reply, status, code):
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    assert set(reply.json()) == {"error"}
    assert set(reply.json()["error"]) == {"code", "message", "retryable", "state"}
    return reply.json()["error"]


def test_a_key_is_read_from_its_partition_with_its_source(carriers):
    reply = carriers.entries("counts", key="UA")
    partition = partition_for(b"UA", PARTITIONS)
    assert reply.json() == {
        "entries": [
            {
                "key": "UA",
                "value": 58_665,
                "timestamp": None,
                "partition": partition,
                "window": None,
                "session": None,
                "size": 8,
            }
        ],
        "cursor": None,
        "sources": [
            {"instance": "i-1", "partition": partition, "role": "active", "position": 100, "lag": 0, "error": None}
        ],
    }


def test_an_absent_key_is_no_entry_and_still_names_its_source(carriers):
    reply = carriers.entries("counts", key="ZZ").json()
    assert reply["entries"] == []
    assert [source["error"] for source in reply["sources"]] == [None]


def test_everything_comes_by_partition_then_by_key(carriers):
    reply = carriers.entries("counts")
    places = [(entry["partition"], entry["key"]) for entry in reply.json()["entries"]]
    assert sorted(keys(reply)) == ["B6", "DL", "EV", "U", "UA"]
    assert places == sorted(places)
    assert [source["partition"] for source in reply.json()["sources"]] == [0, 1, 2, 3]


def test_reverse_is_exactly_the_other_way_round(carriers):
    assert keys(carriers.entries("counts", reverse="true")) == keys(carriers.entries("counts"))[::-1]


def test_a_prefix_gives_the_keys_that_begin_with_it(carriers):
    assert sorted(keys(carriers.entries("counts", prefix="U"))) == ["U", "UA"]


def test_a_range_includes_both_ends(carriers):
    assert sorted(keys(carriers.entries("counts", from_="B6", to="EV"))) == ["B6", "DL", "EV"]
    assert sorted(keys(carriers.entries("counts", from_="EV"))) == ["EV", "U", "UA"]
    assert sorted(keys(carriers.entries("counts", to="B6"))) == ["B6"]


def test_one_partition_can_be_asked_alone(carriers):
    partition = partition_for(b"DL", PARTITIONS)
    reply = carriers.entries("counts", partition=partition)
    assert "DL" in keys(reply)
    assert {entry["partition"] for entry in reply.json()["entries"]} == {partition}


@pytest.mark.parametrize("limit", [7, 100, 999, 1000])
@pytest.mark.parametrize("reverse", ["false", "true"])
def test_paging_gives_ten_thousand_keys_once_and_in_order(serve, limit, reverse):
    pairs = [(f"key-{number:05d}", number) for number in range(10_000 if limit > 50 else 500)]
    served = serve(instance_with(pairs))
    seen, cursor, pages = [], None, 0
    while True:
        reply = served.entries("counts", limit=limit, reverse=reverse, **({"cursor": cursor} if cursor else {})).json()
        assert len(reply["entries"]) <= limit
        seen += [(entry["key"], entry["value"]) for entry in reply["entries"]]
        cursor, pages = reply["cursor"], pages + 1
        if cursor is None:
            break
    assert sorted(seen) == pairs
    placed = [(partition_for(key.encode(), PARTITIONS), key) for key, _ in seen]
    assert placed == sorted(placed, reverse=reverse == "true")
    assert pages <= len(pairs) // limit + 2


def test_a_page_ends_by_bytes_before_it_ends_by_entries(serve):
    spec = COUNTS.with_(name="texts", value_serde=serdes.string)
    served = serve(instance_with([(f"k{number}", "x" * 1_000_000) for number in range(12)], spec, partitions=1))
    first = served.entries("texts").json()
    assert len(first["entries"]) == 5  # the page ends with the entry that passes 4 MiB
    rest = served.entries("texts", cursor=first["cursor"], limit=1000).json()
    assert next(entry["key"] for entry in rest["entries"]) not in {entry["key"] for entry in first["entries"]}


def test_numbers_as_keys_and_json_as_values(serve):
    served = serve(instance_with([(7, {"seats": 149, "big": 2**60}), (-7, [None, 1.5])], BY_NUMBER))
    assert served.entries("by-number", key="7").json()["entries"][0]["value"] == {"seats": 149, "big": str(2**60)}
    assert served.entries("by-number", key="-7").json()["entries"][0]["key"] == -7
    assert (
        served.entries("by-number", key="0000000000000007", key_format="hex").json()["entries"][0]["key"]
        == "0000000000000007"
    )
    error = refused(served.entries("by-number", from_="-7", to="7"), 400, "bad-request")
    assert "negative numbers" in error["message"]


def test_undecodable_bytes_are_shown_in_their_row(serve):
    instance = FakeInstance()
    written = store_of(COUNTS.with_(value_serde=serdes.bytes), [("a", b"\xff\xfe"), ("b", b"\x00" * 7 + b"\x05")])
    instance.hold(FakeHandle(COUNTS, 0, written), partitions=1)
    first, second = serve(instance).entries("counts").json()["entries"]
    assert first["value"]["base64"] == "//4="
    assert "int64" in first["value"]["undecodable"]
    assert second["value"] == 5


def test_a_reader_may_see_values_in_another_format(carriers):
    entry = carriers.entries("counts", key="UA", value_format="hex").json()["entries"][0]
    assert entry["value"] == (58_665).to_bytes(8, "big").hex()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1e3"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"key": "UA", "prefix": "U"}, "exclude"),
        ({"key": "UA", "from": "U"}, "exclude"),
        ({"prefix": "U", "to": "U"}, "exclude"),
        ({"window_from": "1"}, "window store"),
        ({"session_to": "1"}, "session store"),
        ({"as_of": "5", "key": "UA"}, "versioned"),
        ({"reverse": "yes"}, "true or false"),
        ({"partition": "4"}, "0 to 3"),
        ({"partition": "x"}, "partition"),
        ({"max_lag": "-2"}, "max_lag"),
        ({"cursor": "nonsense!"}, "cursor"),
        ({"cursor": "bm9uc2Vuc2U"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "A" * 60_000}, "cursor"),
        ({"key": "zz", "key_format": "hex"}, "hex"),
        ({"key": "A", "key_format": "base64"}, "base64"),
        ({"key": "1.5", "key_format": "int64"}, "int64"),
        ({"key": "1_0", "key_format": "int64"}, "int64"),
        ({"key": str(2**63), "key_format": "int64"}, "int64"),
        ({"key": "{", "key_format": "json"}, "JSON"),
        ({"key": "[" * 20_000, "key_format": "json"}, "JSON"),
        ({"key": "UA", "key_format": "pickle"}, "format"),
        ({"key": "UA", "value_format": "pickle"}, "format"),
        ({"prefix": "1", "key_format": "int64"}, "prefix"),
        ({"kye": "UA"}, "unknown parameter"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_words(carriers, parameters, words):
    error = refused(carriers.get("/v1/stores/counts/entries", **parameters), 400, "bad-request")
    assert words in error["message"]
    assert error["retryable"] is False


def test_a_parameter_given_twice_is_refused(carriers):
    refused(carriers.http.get("/v1/stores/counts/entries?key=UA&key=DL"), 400, "bad-request")


def test_a_cursor_serves_only_its_own_question(carriers):
    cursor = carriers.entries("counts", limit=1).json()["cursor"]
    assert (
        "another question"
        in refused(carriers.entries("counts", prefix="U", cursor=cursor), 400, "bad-request")["message"]
    )
    refused(carriers.entries("counts", reverse="true", cursor=cursor), 400, "bad-request")
    assert carriers.entries("counts", limit=3, cursor=cursor).status_code == 200


@pytest.mark.parametrize(
    "name", ["nope", "..", "%2e%2e%2fetc", "counts'--", "a" * 500, "%00", "%F0%9F%92%A9", "<script>"]
)
def test_a_store_that_does_not_exist_is_not_found_whatever_its_name(carriers, name):
    reply = carriers.http.get(f"/v1/stores/{name}/entries")
    refused(reply, 404, "not-found")
    assert "<script>" not in reply.headers.get("content-type", "")
    assert reply.headers["content-type"] == "application/json"


def test_multi_get_answers_in_the_order_of_the_keys(carriers):
    reply = carriers.http.post("/v1/stores/counts/multi-get", json={"keys": ["EV", "none", "UA", "EV"]}).json()
    assert [(entry["key"], entry["value"], entry["found"]) for entry in reply["entries"]] == [
        ("EV", 54_173, True),
        ("none", None, False),
        ("UA", 58_665, True),
        ("EV", 54_173, True),
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": [null]}', b"\xff", b'{"keys": ["a"'],
)
def test_a_multi_get_without_usable_keys_is_refused(carriers, body):
    refused(carriers.http.post("/v1/stores/counts/multi-get", content=body), 400, "bad-request")


def test_a_multi_get_of_too_many_keys_or_bytes_is_refused(carriers):
    refused(carriers.http.post("/v1/stores/counts/multi-get", json={"keys": ["a"] * 1_001}), 400, "bad-request")
    refused(carriers.http.post("/v1/stores/counts/multi-get", content=b" " * 2_000_000), 413, "too-large")


def test_count_adds_the_partitions_estimates(carriers):
    reply = carriers.get("/v1/stores/counts/count").json()
    assert (reply["approximate"], reply["complete"]) == (5, True)
    assert sum(source["count"] for source in reply["sources"]) == 5


def test_an_unknown_estimate_is_not_counted_as_zero(serve):
    served = serve(instance_with(CARRIERS))
    for handle in served.instance.handles():
        handle.keys_estimate = None
    reply = served.get("/v1/stores/counts/count").json()
    assert (reply["approximate"], reply["complete"]) == (None, False)
