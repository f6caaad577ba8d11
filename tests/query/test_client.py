"""The clients against real services: typed answers, pages followed, retries bounded, the token never shown."""

import threading
import time

import pytest

from engine import query, serdes
from engine.query.client import NO_RETRY, AsyncQueryClient, QueryClient, Retry
from engine.query.results import QueryError
from tests.query.fakes import COUNTS, TOKEN, FakeHandle, FakeInstance, store_of
from tests.query.test_entries import instance_with
from tests.query.test_routing import restoring

PAIRS = [(f"key-{number:03d}", number) for number in range(250)]


@pytest.fixture
def served(serve):
    return serve(instance_with(PAIRS))


@pytest.fixture
def client(served):
    with QueryClient(served.address, TOKEN, retry=NO_RETRY) as made:
        yield made


def test_the_package_exports_the_clients():
    assert query.__all__ == ["AsyncQueryClient", "Entry", "Owner", "Page", "QueryClient", "QueryError", "Source"]


def test_get_gives_an_entry_or_none(client):
    entry = client.get("counts", "key-007")
    assert (entry.key, entry.value, entry.size, entry.found) == ("key-007", 7, 8, True)
    assert client.get("counts", "none") is None


def test_multi_get_keeps_the_order(client):
    page = client.multi_get("counts", ["key-002", "none", "key-001"])
    assert [(entry.value, entry.found) for entry in page.entries] == [(2, True), (None, False), (1, True)]


def test_pages_of_ranges_prefixes_and_all(client):
    assert sorted(entry.value for entry in client.range("counts", "key-010", "key-012").entries) == [10, 11, 12]
    assert sorted(entry.value for entry in client.prefix("counts", "key-01").entries) == list(range(10, 20))
    first = client.all("counts", limit=3)
    assert len(first.entries) == 3
    assert first.cursor is not None
    assert first.sources[0].role == "active"
    assert client.all("counts", limit=3, cursor=first.cursor).entries[0].key not in {e.key for e in first.entries}


def test_iterate_follows_the_cursor_to_the_end(client):
    assert sorted(entry.value for entry in client.iterate("counts", limit=7)) == list(range(250))
    assert len(list(client.iterate("counts", prefix="key-1", reverse=True, limit=9))) == 100


def test_iterate_raises_for_a_partition_that_did_not_answer(served, client):
    restoring(served.instance.handle("counts", 2))
    with pytest.raises(QueryError) as raised:
        list(client.iterate("counts"))
    assert raised.value.code == "store-restoring"
    assert 0 < len(list(client.iterate("counts", skip_failures=True))) < 250


def test_keys_of_any_type(serve):
    binary = COUNTS.with_(name="binary", key_serde=serdes.bytes)
    nested = COUNTS.with_(name="nested", key_serde=serdes.json)
    made = FakeInstance()
    made.hold(FakeHandle(binary, 0, store_of(binary, [(b"\x00\xff", 1)])), partitions=1)
    made.hold(FakeHandle(nested, 0, store_of(nested, [({"a": [1, "é"]}, 2), ("text", 3), (7, 4)])), partitions=1)
    with QueryClient(serve(made).address, TOKEN, retry=NO_RETRY) as client:
        assert client.get("binary", b"\x00\xff").value == 1
        assert client.get("nested", {"a": [1, "é"]}).value == 2
        assert client.get("nested", "text").value == 3
        assert client.get("nested", 7).value == 4
        assert client.range("binary", b"\x00", b"\x00\xff").entries[0].key == {"base64": "AP8="}


def test_counts_owners_and_descriptions(client):
    assert client.count("counts").approximate == 250
    owner = client.owner("counts", "key-007")
    assert owner.active[0] == "i-1"
    assert owner.active[1].startswith("http://127.0.0.1:")
    assert client.described("/v1/stores")["stores"][0]["name"] == "counts"


@pytest.mark.parametrize("store", ["nope", "a/b", "../x", "ü", "%41", ""])
def test_an_unknown_store_is_not_found_and_not_retried(served, store):
    with QueryClient(served.address, TOKEN) as client, pytest.raises(QueryError) as raised:
        client.all(store)
    assert (raised.value.code, raised.value.retryable, raised.value.status) == ("not-found", False, 404)


def test_a_retryable_refusal_is_retried_until_it_answers(served):
    handle = served.instance.handle("counts", 0)
    restoring(handle)
    timer = threading.Timer(0.3, lambda: setattr(handle, "phase", "done"))
    timer.start()
    with QueryClient(served.address, TOKEN) as client:
        assert client.all("counts", partition=0).entries
    timer.join()


def test_retries_end_with_the_refusal(served):
    restoring(served.instance.handle("counts", 0))
    started = time.monotonic()
    with QueryClient(served.address, TOKEN, retry=Retry(total_ms=300)) as client, pytest.raises(QueryError) as raised:
        client.all("counts", partition=0)
    assert raised.value.state["percent"] == 75.0
    assert 0.25 < time.monotonic() - started < 2


def test_an_address_that_does_not_answer_gives_way_to_the_next(served):
    with QueryClient(["http://127.0.0.1:1", served.address], TOKEN, retry=NO_RETRY) as client:
        assert client.get("counts", "key-007").value == 7
        assert client.get("counts", "key-008").value == 8
    with QueryClient(["http://127.0.0.1:1"], TOKEN, retry=NO_RETRY) as client, pytest.raises(QueryError) as raised:
        client.get("counts", "key-007")
    assert (raised.value.code, raised.value.retryable) == ("unreachable", True)


def test_a_wrong_token_is_told_and_never_shown(served):
    with QueryClient(served.address, "wrong-token-entirely", retry=NO_RETRY) as client:
        with pytest.raises(QueryError) as raised:
            client.all("counts")
        assert raised.value.code == "unauthorized"
        assert "wrong-token" not in repr(client) + repr(raised.value)


def test_no_address_is_refused():
    with pytest.raises(ValueError, match="address"):
        QueryClient([], TOKEN)


async def test_the_async_client_answers_alike(served):
    async with AsyncQueryClient(served.address, TOKEN, retry=NO_RETRY) as client:
        assert (await client.get("counts", "key-007")).value == 7
        assert await client.get("counts", "none") is None
        assert [entry.value for entry in (await client.multi_get("counts", ["key-002"])).entries] == [2]
        assert sorted([entry.value async for entry in client.iterate("counts", limit=50)]) == list(range(250))
        assert len((await client.prefix("counts", "key-01")).entries) == 10
        assert len((await client.range("counts", "key-010", "key-012")).entries) == 3
        assert (await client.count("counts")).complete
        assert (await client.owner("counts", partition=1)).partition == 1
        assert (await client.described("/v1/topology"))["hash"] == "abc"
        with pytest.raises(QueryError):
            await client.all("nope")
        assert TOKEN not in repr(client)
    async with AsyncQueryClient("http://127.0.0.1:1", TOKEN, retry=NO_RETRY) as client:
        with pytest.raises(QueryError, match="unreachable"):
            await client.all("counts")


def test_both_clients_offer_the_same():
    offered = [{name for name in vars(kind) if not name.startswith("_")} for kind in (QueryClient, AsyncQueryClient)]
    assert offered[0] == offered[1]
