"""Filters and the largest entries over real HTTP: bounded work, honest about it, on one instance and across two."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from engine import serdes
from engine.query import limits, questions
from engine.query.client import NO_RETRY, AsyncQueryClient, QueryClient
from engine.query.results import QueryError
from engine.topology.stores import StoreSpec
from tests.query.fakes import TOKEN, FakeHandle, FakeInstance, store_of
from tests.query.test_entries import instance_with, refused
from tests.query.test_routing import restoring

NOTES = StoreSpec("notes", "key-value", "memory", serdes.string, serdes.json)
PAIRS = [(f"key-{n:04d}", {"n": n, "text": "x" * (n % 100)}) for n in range(1_000)]


@pytest.fixture(scope="module")
def served(serve_all):
    return serve_all(instance_with(PAIRS, NOTES))


def ask(served, **parameters):
    reply = served.entries("notes", **parameters)
    assert reply.status_code == 200, reply.text
    return reply.json()


def follow(served, **parameters):
    found, scanned, pages, cursor = [], 0, 0, {}
    while True:
        page = ask(served, **parameters, **cursor)
        found += [entry["value"]["n"] for entry in page["entries"]]
        scanned, pages = scanned + page["scanned"], pages + 1
        if page["cursor"] is None:
            return found, scanned, pages
        cursor = {"cursor": page["cursor"]}


def test_only_entries_for_which_it_holds_come_and_each_once(served):
    found, scanned, _ = follow(served, where="value.n >= 990", limit=3)
    assert sorted(found) == list(range(990, 1_000))
    assert scanned == 1_000


def test_a_filter_goes_with_a_prefix_and_backwards(served):
    found, _, _ = follow(served, where="value.n < 105", prefix="key-01", limit=2, reverse="true")
    assert sorted(found) == list(range(100, 105))


def test_a_page_ends_after_a_bounded_look_and_its_cursor_goes_on(served, monkeypatch):
    monkeypatch.setattr("engine.query.reader.FILTER_ROWS_MAX", 100)
    monkeypatch.setattr("engine.query.fanout.FILTER_ROWS_MAX", 100)
    first = ask(served, where="value.n = 5000")
    assert (first["entries"], first["scanned"]) == ([], 100)
    assert first["cursor"] is not None
    found, scanned, pages = follow(served, where="value.n = 5000")
    assert (found, scanned) == ([], 1_000)
    assert pages >= 5


def test_a_cursor_does_not_serve_another_filter(served):
    cursor = ask(served, where="value.n > 1", limit=1)["cursor"]
    refused(served.entries("notes", where="value.n > 2", limit=1, cursor=cursor), 400, "bad-request")


def test_an_answer_without_a_filter_says_nothing_of_scanning(served):
    assert "scanned" not in ask(served, limit=1)


def test_a_bad_filter_is_refused_with_its_place(served):
    error = refused(served.entries("notes", where="value.n >"), 400, "bad-request")
    assert error["state"] == {"position": 9}


def test_the_largest_entries_come_first_with_what_was_looked_at(served):
    found = served.get("/v1/stores/notes/largest", limit=5).json()
    sizes = [entry["size"] for entry in found["entries"]]
    assert sizes == sorted((len(serdes.json.serialize(value)) for _, value in PAIRS), reverse=True)[:5]
    assert (found["scanned"], found["complete"], found["approximate"]) == (1_000, True, 1_000)
    assert "value" not in found["entries"][0]


def test_a_bounded_look_says_that_it_is_one(served):
    found = served.get("/v1/stores/notes/largest", rows=100).json()
    assert (found["scanned"], found["complete"]) == (400, False)


@pytest.fixture
def two(serve):
    """Two instances, each with half of the partitions."""
    whole = instance_with(PAIRS, NOTES)
    halves = []
    for number in (0, 1):
        instance = FakeInstance(f"i-{number}")
        for (_, partition), handle in whole.held.items():
            if partition % 2 == number:
                instance.hold(handle, partitions=4)
        instance.known, instance.partitions = whole.known, whole.partitions
        halves.append(serve(instance))
    for one, other in (halves, halves[::-1]):
        one.knows(other)
    return halves


def test_filters_and_sizes_reach_the_other_instance(two):
    found, scanned, _ = follow(two[0], where="value.n >= 990", limit=3)
    assert (sorted(found), scanned) == (list(range(990, 1_000)), 1_000)
    largest = two[0].get("/v1/stores/notes/largest").json()
    assert (largest["scanned"], largest["complete"]) == (1_000, True)
    assert {source["instance"] for source in largest["sources"]} == {"i-0", "i-1"}


def test_a_partition_that_did_not_answer_is_named_and_the_look_is_not_complete(two):
    restoring(two[1].instance.handle("notes", 1))
    with QueryClient(two[0].address, TOKEN, retry=NO_RETRY) as client:
        largest = client.largest("notes", limit=3)
        assert len(largest.entries) == 3
        assert (largest.complete, largest.approximate) == (False, None)
        assert [s.error.code for s in largest.sources if s.error] == ["store-restoring"]
        page = client.all("notes", where="value.n >= 0", limit=5)
        assert page.scanned >= 5


async def test_both_clients_ask_for_versions_and_filters(serve):
    spec = StoreSpec("prices", "versioned", "memory", serdes.string, serdes.int64, history_ms=100_000)
    store = store_of(spec, [])
    for number in range(1, 8):
        store.put("tea", number, 1_000 * number)
    store.put("tea", None, 9_000)
    store.drain_changelog()
    store.commit(8)
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store), partitions=1)
    served = serve(instance)
    with QueryClient(served.address, TOKEN, retry=NO_RETRY) as client:
        assert [entry.value for entry in client.versions("prices", "tea").entries] == [7, 6, 5, 4, 3, 2, 1]
        assert [e.value for e in client.versions("prices", "tea", 2_500, 4_000).entries] == [4, 3, 2]
        first = client.versions("prices", "tea", limit=3)
        rest = client.versions("prices", "tea", limit=10, cursor=first.cursor)
        assert [entry.value for entry in (*first.entries, *rest.entries)] == [7, 6, 5, 4, 3, 2, 1]
        with pytest.raises(QueryError, match="newest first"):
            client.versions("prices", "tea", reverse=True)
    async with AsyncQueryClient(served.address, TOKEN, retry=NO_RETRY) as client:
        assert [e.value for e in (await client.versions("prices", "tea", where="value > 5")).entries] == [7, 6]
        assert (await client.largest("prices")).scanned == 0


def test_the_bounds_of_a_look_are_those_of_a_page():
    assert limits.FILTER_ROWS_MAX >= limits.PAGE_ENTRIES_MAX


def test_pages_of_versions_lose_none_at_the_historys_edge(serve):
    """What ended before the history, and whose segment still lives, is on a page as it is in the whole."""
    spec = StoreSpec("prices", "versioned", "memory", serdes.string, serdes.int64, history_ms=100_000)
    store = store_of(spec, [])
    for number, time in enumerate((1_000, 5_000, 110_000)):
        store.put("tea", number, time)
    store.drain_changelog()
    store.commit(3)
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store), partitions=1)
    with QueryClient(serve(instance).address, TOKEN, retry=NO_RETRY) as client:
        whole = [entry.value for entry in client.versions("prices", "tea").entries]
        pages = client.pages(questions.versions("prices", "tea", None, None, limit=1))
        assert [entry.value for page in pages for entry in page.entries] == whole == [2, 1, 0]


class Rich(serdes.Serde):
    """Values of types that JSON does not have, as Avro's and users' own serdes make them."""

    name = "rich"

    def serialize(self, value):
        return value.encode()

    def deserialize(self, data):
        price, day, tag, share = data.decode().split()
        return {"price": Decimal(price), "on": [date.fromisoformat(day)], "tag": tag.encode(), "share": float(share)}


def test_filters_compare_what_an_answer_shows(serve):
    ids = [UUID(int=number) for number in range(3)]
    spec = StoreSpec("rich", "key-value", "memory", serdes.uuid, Rich())
    rows = [f"{number}.50 2026-01-0{number + 1} t{number} {'nan' if number else 1.5}" for number in range(3)]
    store = store_of(spec, list(zip(ids, rows, strict=True)))
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store), partitions=1)
    with QueryClient(serve(instance).address, TOKEN, retry=NO_RETRY) as client:
        (first, *_, last) = client.all("rich").entries
        assert last.value == {"price": "2.50", "on": ["2026-01-03"], "tag": {"base64": "dDI="}, "share": "NaN"}

        def found(where):
            return [entry.key for entry in client.all("rich", where=where).entries]

        assert found(f'key = "{first.key}"') == [first.key] == [str(ids[0])]
        assert found(f'key != "{first.key}"') == [str(ids[1]), str(ids[2])]
        assert found('value.price = "1.50"') == [str(ids[1])]
        assert found('value.share = "NaN"') == [str(ids[1]), str(ids[2])]


def test_several_keys_beyond_64_bits_are_asked_for_exactly(serve):
    spec = StoreSpec("wide", "key-value", "memory", serdes.json, serdes.int64)
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store_of(spec, [(2**64, 1), (2**64 + 1, 2)])), partitions=1)
    with QueryClient(serve(instance).address, TOKEN, retry=NO_RETRY) as client:
        assert client.get("wide", 2**64 + 1).value == 2
        assert [entry.value for entry in client.multi_get("wide", [2**64 + 1, 2**64]).entries] == [2, 1]
