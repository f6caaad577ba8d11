"""The object caches of a process share one budget, however many they are."""

import pytest

from engine import serdes
from engine.stores import memory_budget, open_store
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

BUDGET = 16 * memory_budget.MEBIBYTE
SPEC = StoreSpec("s", "key-value", "memory", serdes.string, serdes.int64)
pytestmark = pytest.mark.usefixtures("budget")


@pytest.fixture
def budget(monkeypatch):
    """A budget of this test's caches alone, whatever stores other tests left open."""
    monkeypatch.setattr(memory_budget, "_sharers", {})
    memory_budget.configure(object_cache_bytes=BUDGET)
    yield
    memory_budget.configure(object_cache_bytes=memory_budget.OBJECT_CACHE_BYTES)


def settled(holders):
    """What caches hold in the end that all want more than they may have, each told its share at its commits."""
    held = dict.fromkeys(range(holders), BUDGET)
    for _ in range(3):
        for holder in held:
            held[holder] = min(BUDGET, memory_budget.object_cache_share(holder, held[holder]))
    return sum(held.values())


@pytest.mark.parametrize("holders", [1, 4, 320])
def test_all_caches_together_keep_within_the_budget(holders):
    assert BUDGET * 0.99 < settled(holders) <= BUDGET


def test_a_cache_that_holds_nothing_takes_no_share():
    for standby in range(1, 65):
        memory_budget.object_cache_share(standby, 0)
    assert memory_budget.object_cache_share(0, 2 * BUDGET) == BUDGET
    memory_budget.object_cache_share(1, BUDGET)
    memory_budget.object_cache_share(1, 0)
    assert memory_budget.object_cache_share(0, 2 * BUDGET) == BUDGET


def test_what_small_caches_leave_goes_to_the_large_ones():
    for small in range(1, 11):
        assert memory_budget.object_cache_share(small, 1_000) >= 1_000
    memory_budget.object_cache_share(11, 2 * BUDGET)
    assert memory_budget.object_cache_share(0, 2 * BUDGET) == (BUDGET - 10_000) // 2


def test_the_caches_of_many_stores_keep_within_the_budget():
    memory_budget.configure(object_cache_bytes=memory_budget.MEBIBYTE)
    stores = [open_store(SPEC, None, Context()) for _ in range(32)]
    # Nothing is written in the last round: what is held then is what was kept.
    for position, rows in enumerate((1_000, 1_000, 0, 0)):
        for store in stores:
            store.write({b"%04d" % (position * 1_000 + number): (number, 0) for number in range(rows)})
            store.drain_changelog()
            store.commit(position)
    held = memory_budget.usage()["object_cache_bytes"]
    for store in stores:
        store.close()
    assert held <= memory_budget.MEBIBYTE
    assert memory_budget.usage()["object_cache_bytes"] == 0
