"""What views of committed state ask of the backend: bounded by what the store holds, not by the question."""

import pytest

from engine import serdes
from engine.stores import open_store
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

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
    begin = 1_750_000_000_000
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
