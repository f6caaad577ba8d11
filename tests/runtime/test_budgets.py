"""Named limits in the status report: figures always, advice only where the end is near."""

from types import SimpleNamespace

from engine.control import status
from engine.hosting.budgets import budgets, pressure
from engine.stores import memory_budget

GIB = 1024**3
ROOMY = {
    "disk": status.Disk(state_dir_bytes=5 * GIB, free_bytes=90 * GIB),
    "disk_bytes": 100 * GIB,
    "disk_free_bytes_min": GIB // 8,
    "rss_bytes": 1,
    "uncommitted_bytes": 7,
    "uncommitted_bytes_max": 10,
    "stores": [],
}


def store(name, size, limit, backend="memory"):
    return SimpleNamespace(spec=SimpleNamespace(name=name, backend=backend, max_bytes=limit), size_bytes=size)


def named(**changes):
    return {each.name: each for each in budgets(**{**ROOMY, **changes})}


def test_with_room_everywhere_there_are_figures_and_no_advice():
    found = named(stores=[store("counts", 50, 100), store("rows", 10**9, None)])
    assert list(found) == ["block-cache", "write-buffers", "uncommitted", "store counts", "memory", "disk"]
    assert [each.advice for each in found.values()] == [None] * 6
    assert (found["disk"].used, found["disk"].limit) == (5 * GIB, 95 * GIB)
    assert (found["uncommitted"].used, found["uncommitted"].limit) == (7, 10)
    assert found["block-cache"].limit == memory_budget.usage()["block_cache_limit_bytes"]
    assert pressure(found.values()) == []


def test_the_fullest_partition_of_a_bounded_store_speaks_for_it():
    stores = [
        store("counts", 10, 100),
        store("counts", 95, 100),
        store("counts", 20, 100),
        store("big", 95, 100, "rocksdb"),
    ]
    found = named(stores=stores)
    assert (found["store counts"].used, found["store counts"].limit) == (95, 100)
    assert "max_bytes" in found["store counts"].advice
    assert "store big" not in found
    assert [(p.what, p.used, p.limit) for p in pressure(found.values())] == [("store counts", 95, 100)]


def test_a_disk_that_fills_up_is_told_before_the_engine_stops():
    full = named(disk=status.Disk(state_dir_bytes=GIB, free_bytes=4 * GIB))
    assert "make room" in full["disk"].advice
    # A tiny disk: 5 % of it would be below the bound at which the engine stops.
    tiny = {"disk_bytes": GIB, "disk_free_bytes_min": GIB // 8}
    assert named(disk=status.Disk(state_dir_bytes=0, free_bytes=GIB // 3), **tiny)["disk"].advice
    assert not named(disk=status.Disk(state_dir_bytes=0, free_bytes=GIB * 2 // 3), **tiny)["disk"].advice
    # A huge one: 5 % of it would be far too early.
    assert not named(disk=status.Disk(state_dir_bytes=GIB, free_bytes=11 * GIB), disk_bytes=1000 * GIB)["disk"].advice


def test_an_unmeasured_disk_is_left_out_and_used_up_memory_is_told():
    found = named(disk=status.Disk(), rss_bytes=2**50)
    assert "disk" not in found
    assert "in-memory stores" in found["memory"].advice


def test_indexes_that_fill_the_block_cache_are_told(monkeypatch):
    monkeypatch.setattr(memory_budget, "pinned_bytes", lambda: 10**15)
    assert "block_cache_bytes" in named()["block-cache"].advice


def test_memtables_beyond_their_budget_are_told(monkeypatch):
    used = {**memory_budget.usage(), "memtable_bytes": 11, "memtable_limit_bytes": 10}
    monkeypatch.setattr(memory_budget, "usage", lambda: used)
    assert "write_buffer_bytes" in named()["write-buffers"].advice
