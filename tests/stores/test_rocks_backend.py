"""RocksDB under a store: what closes, fails and compacts at the same time."""

import gc
import os
import threading
import time

import pytest

from engine.errors import DiskFull, StoreError
from engine.stores import rocks_backend
from engine.stores.backend import DEFAULT, EVERYTHING, Columns, Write
from engine.stores.rocks_backend import RocksBackend

SEGMENT = "segment-1"
ROUNDS, ROWS, VALUE_BYTES = 6, 20_000, 1_000


@pytest.fixture
def large(tmp_path):
    """240 MB in two families whose files overlap, so that a compaction takes a while."""
    backend = RocksBackend(tmp_path / "g1", {"compression": "none"})
    change = Write()
    change.add(SEGMENT, Columns())
    backend.write(change)
    for space in backend._spaces.values():
        # What runs is then what a test has started.
        space.set_options({"disable_auto_compactions": "true"})
    for _ in range(ROUNDS):
        for family in (DEFAULT, SEGMENT):
            keys = [os.urandom(12) for _ in range(ROWS)]
            change = Write()
            change.add(family, Columns(keys, [os.urandom(VALUE_BYTES)] * ROWS))
            backend.write(change)
        backend.flush()
    yield backend
    backend.close()


class Compaction(threading.Thread):
    """A compaction in a thread of its own, as the control routes start it."""

    def __init__(self, backend):
        super().__init__(daemon=True)
        self.backend, self.error = backend, None

    def run(self):
        try:
            self.backend.compact()
        except Exception as error:  # noqa: BLE001 - told to the test
            self.error = error

    def started(self):
        self.start()
        deadline = time.monotonic() + 10
        while not self.backend.facts()["running_compactions"]:
            assert time.monotonic() < deadline
            assert self.is_alive()
            time.sleep(0.001)
        return self


def test_a_store_that_closes_in_the_middle_of_a_compaction_is_whole(large, tmp_path):
    compaction = Compaction(large).started()
    change = Write(meta={"position": b"last"})
    change.add(DEFAULT, Columns([b"last"], [b"not flushed"]))
    large.write(change)
    begun = time.monotonic()
    large.close()
    assert time.monotonic() - begun < rocks_backend._COMPACTION_END_SECONDS
    compaction.join(10)
    assert isinstance(compaction.error, StoreError)
    assert "closed meanwhile" in str(compaction.error)
    again = RocksBackend(tmp_path / "g1", {"compression": "none"})
    try:
        assert again.meta("position") == b"last"
        assert again.get_many(DEFAULT, [b"last"]) == [b"not flushed"]
        for family, rows in ((DEFAULT, ROUNDS * ROWS + 1), (SEGMENT, ROUNDS * ROWS)):
            assert sum(1 for _ in again.scan(family, EVERYTHING)) == rows
    finally:
        again.close()


def test_families_come_and_go_while_a_compaction_runs(large):
    compaction = Compaction(large).started()
    change = Write(drops=[SEGMENT])
    change.add("segment-2", Columns([b"k"], [b"v"]))
    large.write(change)
    large.write(Write(drops=[DEFAULT + "-unknown"]))
    assert compaction.is_alive()
    compaction.join(60)
    assert compaction.error is None
    assert large.families() == [DEFAULT, "segment-2"]
    assert large.page("segment-2", EVERYTHING, 1) == [(b"k", b"v")]


def test_a_compaction_that_another_thread_waits_for_in_vain_is_no_damage(large, tmp_path, monkeypatch):
    """rocksdict refuses to close what a compaction borrows; that says nothing of the files."""
    monkeypatch.setattr(large, "_end_compaction", lambda _: None)
    compaction = Compaction(large).started()
    with pytest.raises(StoreError, match="another thread still uses it"):
        large.close()
    assert not large.damaged
    assert not (tmp_path / "g1" / "DAMAGED").exists()
    compaction.join(60)
    del compaction
    gc.collect()


def test_a_compaction_goes_on_to_no_family_of_a_store_that_closes(tmp_path):
    backend = RocksBackend(tmp_path / "g1", {})
    reached, go_on, compacted = threading.Event(), threading.Event(), []

    class Slow:
        def __init__(self, name, space):
            self.name, self.space = name, space

        def compact_range(self, *_):
            compacted.append(self.name)
            reached.set()
            assert go_on.wait(10)

        def flush(self):
            self.space.flush()

        def close(self):
            self.space.close()

    backend._spaces = {name: Slow(name, space) for name, space in backend._spaces.items()}
    compaction = Compaction(backend)
    compaction.start()
    assert reached.wait(10)
    closing = threading.Thread(target=backend.close, daemon=True)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive(), "close did not wait for the compaction"
    go_on.set()
    closing.join(10)
    compaction.join(10)
    assert not closing.is_alive()
    assert len(compacted) == 1
    assert "closed meanwhile" in str(compaction.error)
    assert not backend.damaged
    with pytest.raises(StoreError, match="closed meanwhile"):
        backend.compact()


@pytest.mark.parametrize(
    ("words", "error", "remedy"),
    [
        ("IO error: No space left on device: While open a file", DiskFull, "Make room and start again"),
        ("IO error: Too many open files: While open a file", StoreError, "the disk or its limits are at fault"),
    ],
)
def test_a_family_that_cannot_be_made_tells_the_remedy(words, error, remedy, tmp_path, monkeypatch):
    backend = RocksBackend(tmp_path / "g1", {})

    def fails(_):
        raise Exception(words)  # noqa: TRY002 - as rocksdict does

    monkeypatch.setattr(backend, "_create", fails)
    change = Write(meta={"position": b"1"})
    change.add(SEGMENT, Columns([b"k"], [b"v"]))
    try:
        with pytest.raises(error, match=remedy):
            backend.write(change)
        assert not backend.damaged
        assert backend.meta("position") is None
    finally:
        backend.close()
