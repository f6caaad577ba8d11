"""What views of committed state ask of the backend: bounded by what the store holds, not by the question."""

from itertools import product

import pytest

from engine import serdes
from engine.stores import open_store
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

# A time of today, in ms: its bytes sort before those of text.
TODAY = 1_750_000_000_000
BACKENDS = pytest.mark.parametrize("backend", ["rocksdb", "memory"])


@pytest.fixture
def opened(tmp_path):
    stores = []

    def make(spec):
        stores.append(open_store(spec, tmp_path / spec.kind, Context()))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@BACKENDS
def test_a_history_from_the_beginning_of_time_asks_for_live_segments_only(backend, opened, monkeypatch):
    store = opened(StoreSpec("s", "versioned", backend, serdes.string, serdes.int64, history_ms=100_000))
    begin = TODAY
    for number in range(4):
        store.put("tea", number, begin + number * 40_000)
        store.drain_changelog()
        store.commit(number)
    asked, lookup = [], store.backend.lookup

    def counted(family, keys):
        asked.extend(keys)
        assert len(asked) < 100
        return lookup(family, keys)

    monkeypatch.setattr(store.backend, "lookup", counted)
    rows = store.committed().versions(b"tea", 0, 2 * begin, limit=10)
    # The history reaches 100 s back from the last put, and the version valid then is still a part of it.
    assert [(row.timestamp - begin, row.valid_to and row.valid_to - begin) for row in rows] == [
        (120_000, None),
        (80_000, 120_000),
        (40_000, 80_000),
        (0, 40_000),
    ]
    assert store.committed().get(b"tea", 0) is None


@BACKENDS
def test_a_history_of_very_many_segments_is_read_in_pieces_and_no_further_than_asked(backend, opened, monkeypatch):
    spec = StoreSpec("s", "versioned", backend, serdes.string, serdes.int64, history_ms=1_000_000)
    store = opened(spec.with_(segment_interval_ms=1))
    times = (TODAY, TODAY + 1_000, TODAY + 2_000, TODAY + 3_000)
    for number, time in enumerate(times):
        store.put("tea", number, time)
    store.drain_changelog()
    store.commit(1)
    asked, lookup = [], store.backend.lookup

    def counted(family, keys):
        asked.append(len(keys))
        return lookup(family, keys)

    monkeypatch.setattr(store.backend, "lookup", counted)
    view = store.committed()
    assert [row.timestamp for row in view.versions(b"tea", 0, 2 * TODAY, limit=2)] == [times[3], times[2]]
    assert sum(asked) < 1_000
    assert view.get(b"tea", TODAY + 2_500).timestamp == times[2]
    assert sum(asked) < 2_000
    assert [row.timestamp for row in view.versions(b"tea", TODAY - 5_000, 2 * TODAY, limit=9)] == [*times[::-1]]
    assert max(asked) < 1_000


def put(store, key, time):
    if store.spec.kind == "window":
        store.put(key, 1, time)
    else:
        store.put(key, time - 5, time, 1)


def paged(view, key_from, key_to, *, reverse):
    """All rows of a range of keys as (key, time), three at a time."""
    found, behind = [], None
    while page := view.range(key_from, key_to, limit=3, reverse=reverse, start_after=behind):
        found += [(row.key, row.start if row.end is None or row.end - row.start == 10 else row.end) for row in page]
        behind = page[-1].cursor
    return found


@BACKENDS
@pytest.mark.parametrize("kind", ["window", "session"])
def test_a_narrow_range_of_keys_reads_little_of_a_segment(kind, backend, opened, monkeypatch):
    store = opened(StoreSpec("s", kind, backend, serdes.string, serdes.int64, window_ms=10, retention_ms=1_000_000))
    for number in range(5_000):
        put(store, f"k{number:04}", TODAY)
    store.drain_changelog()
    store.commit(1)
    read, page = [], store.backend.page

    def counted(family, bounds, limit):
        found = page(family, bounds, limit)
        read.extend(found)
        return found

    monkeypatch.setattr(store.backend, "page", counted)
    view = store.committed()
    for reverse in (False, True):
        found = view.range(b"k1000", b"k1004", limit=100, reverse=reverse)
        assert [row.key for row in found] == sorted((b"k%d" % n for n in range(1_000, 1_005)), reverse=reverse)
    assert len(read) < 50


@BACKENDS
@pytest.mark.parametrize("begin", [20, TODAY])
@pytest.mark.parametrize("kind", ["window", "session"])
def test_a_range_finds_keys_that_begin_with_one_another(kind, begin, backend, opened):
    """A key's rows go on with their time, whose bytes sort before, between or behind those of a longer key."""
    spec = StoreSpec("s", kind, backend, serdes.bytes, serdes.int64, window_ms=10, retention_ms=1_000)
    store = opened(spec.with_(segment_interval_ms=20))
    # Bytes of the times themselves, and what sorts before and behind them.
    letters = [0x00, 0x01, 0x7F, 0x97, 0xFF]
    keys = [bytes(word) for size in range(3) for word in product(letters, repeat=size)]
    keys += [begin.to_bytes(8)[:size] + tail for size in (4, 6, 8) for tail in (b"", b"\x00", b"\x00" * 9, b"k")]
    keys = sorted(set(keys))
    times = [begin, begin + 15, begin + 30]
    for key, time in product(keys, times):
        put(store, key, time)
    store.drain_changelog()
    store.commit(1)
    view = store.committed()
    everything = paged(view, None, None, reverse=False)
    assert sorted(everything) == sorted(product(keys, times))
    for last in keys:
        for first in (None, keys[len(keys) // 3], last):
            wanted = [row for row in everything if (first is None or row[0] >= first) and row[0] <= last]
            assert paged(view, first, last, reverse=False) == wanted
            assert paged(view, first, last, reverse=True) == wanted[::-1]
