"""RocksDB's own figures of a store, and what the block cache counts, against what was written and read."""

import os
import threading
import time

import pytest

from engine.errors import StoreError
from engine.stores import memory_budget, open_store, rocks_options
from tests.stores.test_lifecycle import KV, SPECS
from tests.stores.vectors import Context


@pytest.fixture
def store(tmp_path):
    opened = open_store(KV, tmp_path / "g00000001", Context())
    yield opened
    opened.close()


def commit(store, count, position):
    for number in range(count):
        store.put(f"{number:06}", number)
    store.drain_changelog()
    store.commit(position)


def on_disk(tmp_path):
    return sum(each.stat().st_size for each in tmp_path.rglob("*.sst"))


def test_levels_and_sizes_are_those_of_the_files(store, tmp_path):
    commit(store, 2_000, 2_000)
    fresh = store.backend.facts()
    assert (fresh["levels"], fresh["sst_bytes"]) == ([], 0)
    assert fresh["memtable_bytes"] > 0
    assert fresh["keys_estimate"] >= 2_000

    store.flush()
    commit(store, 2_000, 4_000)
    store.flush()
    twice = store.backend.facts()
    # Entries twice, the position twice: four files at the newest level.
    assert [(level["level"], level["files"]) for level in twice["levels"]] == [(0, 4)]
    assert twice["levels"][0]["entries"] >= 4_000
    assert twice["levels"][0]["bytes"] == twice["sst_bytes"] == on_disk(tmp_path)

    store.backend.compact()
    once = store.backend.facts()
    assert sum(level["entries"] for level in once["levels"]) < 2_010
    assert all(level["level"] > 0 for level in once["levels"])
    assert once["sst_bytes"] < twice["sst_bytes"]
    assert (once["pending_compaction_bytes"], once["writes_stopped"]) == (0, False)
    assert (once["write_delays_total"], once["write_stops_total"], once["snapshots"]) == (0, 0, 0)
    assert once["oldest_snapshot_at"] is None
    # RocksDB's thread still tidies up when the call has returned.
    deadline = time.monotonic() + 10
    while store.backend.facts()["running_compactions"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.backend.facts()["running_compactions"] == 0


def test_an_iterator_that_holds_superseded_files_shows(store):
    commit(store, 100, 100)
    store.flush()
    before = store.backend.facts()["old_versions_held"]
    reading = store.all()
    next(reading)
    commit(store, 100, 200)
    store.flush()
    assert store.backend.facts()["old_versions_held"] > before
    reading.close()


@pytest.mark.parametrize("kind", ["window", "session", "versioned"])
def test_families_of_segments_are_counted_in(tmp_path, kind):
    store = open_store(SPECS[kind], tmp_path / "g00000001", Context())
    put = {"window": lambda: store.put("a", 1, 5), "session": lambda: store.put("a", 5, 5, 1)}
    put.get(kind, lambda: store.put("a", 1, 5))()
    store.drain_changelog()
    store.commit(1)
    assert store.backend.facts()["families"] == len(store.backend.families()) + 1
    assert store.backend.facts()["keys_estimate"] >= 1
    store.close()


def test_a_closed_store_is_named(tmp_path):
    store = open_store(KV, tmp_path / "g00000001", Context())
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.backend.facts()


def test_stores_with_the_same_settings_share_one_count_of_the_block_cache(tmp_path):
    stores = [open_store(KV, tmp_path / name / "g00000001", Context()) for name in ("a", "b")]
    for store in stores:
        commit(store, 5_000, 5_000)
        store.flush()
    hits, misses = rocks_options.block_cache_lookups()
    for store in stores:
        assert store.committed().get(b"000777") is not None
    after_first = rocks_options.block_cache_lookups()
    assert after_first[1] > misses
    for _ in range(50):
        for store in stores:
            store.committed().get(b"000777")
    again = rocks_options.block_cache_lookups()
    assert again[0] >= after_first[0] + 100 > hits
    assert again[1] == after_first[1]
    for store in stores:
        store.close()


def test_the_record_cache_counts_keys_that_it_lacked(tmp_path):
    store = open_store(KV, tmp_path / "g00000001", Context())
    commit(store, 100, 100)
    store.close()
    store = open_store(KV, tmp_path / "g00000001", Context())
    lookups = memory_budget.record_lookups
    total, misses = lookups.total, lookups.misses
    for _ in range(4):
        assert store.get("000050") is not None
    assert (lookups.total - total, lookups.misses - misses) == (4, 1)
    store.close()


def test_stores_open_and_statistics_are_read_at_the_same_time(tmp_path):
    failures, done = [], threading.Event()

    def read():
        while not done.is_set():
            rocks_options.block_cache_lookups()

    def open_some(number):
        try:
            for turn in range(10):
                open_store(KV, tmp_path / f"{number}-{turn}" / "g00000001", Context()).close()
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    reader = threading.Thread(target=read)
    openers = [threading.Thread(target=open_some, args=(number,)) for number in range(min(os.cpu_count() or 1, 3) + 1)]
    for thread in [reader, *openers]:
        thread.start()
    for thread in openers:
        thread.join()
    done.set()
    reader.join()
    assert failures == []
