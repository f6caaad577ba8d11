"""Versioned stores over real HTTP, on both backends."""

import pytest

from engine import serdes
from engine.topology.stores import StoreSpec
from tests.query.test_entries import refused
from tests.query.test_windows import BACKENDS, hold


@pytest.fixture
def prices(serve, tmp_path, backend):
    spec = StoreSpec("prices", "versioned", backend, serdes.string, serdes.int64, history_ms=100_000)

    def fill(store):
        store.put("tea", 1, 1_000)
        store.put("tea", 2, 2_000)
        store.put("tea", 3, 3_000)
        store.put("oil", 9, 1_500)
        store.put("oil", None, 2_500)

    return hold(serve, spec, fill, tmp_path)


@BACKENDS
@pytest.mark.parametrize(
    ("at", "expected"), [(999, None), (1_000, 1), (1_999, 1), (2_000, 2), (2_999, 2), (3_000, 3), (10**15, 3)]
)
def test_the_version_of_a_time(prices, at, expected):
    entries = prices.entries("prices", key="tea", as_of=at).json()["entries"]
    assert [entry["value"] for entry in entries] == ([] if expected is None else [expected])


@BACKENDS
def test_a_version_says_how_long_it_was_valid(prices):
    def bounds(at):
        (entry,) = prices.entries("prices", key="tea", as_of=at).json()["entries"]
        return entry["valid_from"], entry["valid_to"]

    assert (bounds(1_500), bounds(2_500), bounds(3_500)) == ((1_000, 2_000), (2_000, 3_000), (3_000, None))


@BACKENDS
def test_a_deleted_key_is_absent_now_and_there_before(prices):
    assert prices.entries("prices", key="oil").json()["entries"] == []
    assert prices.entries("prices", key="oil", as_of=2_499).json()["entries"][0]["value"] == 9
    assert [entry["key"] for entry in prices.entries("prices").json()["entries"]] == ["tea"]


@BACKENDS
def test_the_latest_versions_come_by_multi_get_range_and_prefix(prices):
    found = prices.http.post("/v1/stores/prices/multi-get", json={"keys": ["oil", "tea"]}).json()["entries"]
    assert [(entry["found"], entry["value"]) for entry in found] == [(False, None), (True, 3)]
    assert [entry["value"] for entry in prices.entries("prices", prefix="t").json()["entries"]] == [3]
    assert [
        entry["value"] for entry in prices.entries("prices", from_="a", to="z", reverse="true").json()["entries"]
    ] == [3]


@BACKENDS
def test_as_of_needs_a_key(prices):
    refused(prices.entries("prices", as_of=5), 400, "bad-request")
    refused(prices.entries("prices", key="tea", as_of=-1), 400, "bad-request")
