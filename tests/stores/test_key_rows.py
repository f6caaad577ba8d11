"""What is known of single keys: given up when it takes more than its share of memory, rows or not."""

import pytest

from engine import serdes
from engine.stores import memory_budget, open_store
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

SPEC = StoreSpec("s", "window", "memory", serdes.string, serdes.int64, window_ms=10, retention_ms=1_000)
SHARE_BYTES = 4 * memory_budget.MEBIBYTE
# As many absent keys as take more than that.
ABSENT = 30_000


@pytest.fixture
def store():
    memory_budget.configure(object_cache_bytes=SHARE_BYTES)
    opened = open_store(SPEC, None, Context())
    opened.expect_searches()
    yield opened
    opened.close()
    memory_budget.configure(object_cache_bytes=memory_budget.OBJECT_CACHE_BYTES)


def search_absent_keys(store):
    for number in range(ABSENT):
        assert store.fetch_raw(b"absent-%06d" % number, 0, 100) == []


def commit(store, position):
    store.drain_changelog()
    store.commit(position)


def test_keys_without_rows_are_given_up_at_a_commit(store):
    """As a join looks for each of its keys on the other side, which may stay empty for ever."""
    search_absent_keys(store)
    commit(store, 1)
    assert len(store._known._known) == 0


def test_keys_without_rows_are_given_up_where_the_backend_has_rows_too(store):
    store.put("here", 1, 10)
    commit(store, 1)
    store.rollback()
    search_absent_keys(store)
    commit(store, 2)
    assert len(store._known._known) == 0
    assert store.fetch("here", 10) == 1
    assert [start for start, _ in store.fetch_raw(b"here", 0, 100)] == [10]


def test_a_store_whose_rows_are_all_known_stays_so_when_keys_without_rows_go(store, monkeypatch):
    store.put("here", 1, 10)
    search_absent_keys(store)
    commit(store, 1)
    assert list(store._known._known) == [b"here"]

    def look(*_):
        raise AssertionError("a key was looked up that is known to have no rows")

    monkeypatch.setattr(store._known, "_load", look)
    assert store.fetch_raw(b"absent-000001", 0, 100) == []
    store.put("absent-000001", 2, 20)
    assert [start for start, _ in store.fetch_raw(b"absent-000001", 0, 100)] == [20]
    assert [start for start, _ in store.fetch_raw(b"here", 0, 100)] == [10]
