"""What holds for every kind: commits, rollbacks, iterators, bounds, crashes, readers of other threads."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine import Materialized, Stores, serdes
from engine.errors import (
    ConfigError,
    NullKeyError,
    SerializationError,
    StateDirectoryLocked,
    StoreError,
    StoreFull,
    TaskCorrupted,
    TopologyError,
    UnsupportedOperation,
)
from engine.records import Tombstone, ValueAndTimestamp
from engine.stores import Store, layouts, memory_budget, open_store
from engine.stores.backend import EVERYTHING
from engine.topology import rocksdb_settings
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

KV = StoreSpec("s", "key-value", "rocksdb", serdes.string, serdes.int64, timestamped=True, caching=True)
SPECS = {
    "key-value": KV,
    "window": StoreSpec("s", "window", "rocksdb", serdes.string, serdes.int64, window_ms=10, retention_ms=1000),
    "session": StoreSpec("s", "session", "rocksdb", serdes.string, serdes.int64, retention_ms=1000),
    "versioned": StoreSpec("s", "versioned", "rocksdb", serdes.string, serdes.int64, history_ms=1000),
    "lru": StoreSpec("s", "key-value", "lru", serdes.string, serdes.int64, max_entries=10),
}
SPECS |= {f"{name}-memory": spec.with_(backend="memory") for name, spec in SPECS.items() if name != "lru"}


def put(store, key, value, time=5):
    match store.spec.kind:
        case "key-value":
            store.put(key, value)
        case "window" | "versioned":
            store.put(key, value, time)
        case "session":
            store.put(key, time, time, value)


def get(store, key, time=5):
    match store.spec.kind:
        case "key-value":
            found = store.get(key)
            return found.value if isinstance(found, ValueAndTimestamp) else found
        case "window":
            return store.fetch(key, time)
        case "versioned":
            found = store.get(key)
            return found and found.value
        case "session":
            return store.fetch_session(key, time, time)


@pytest.fixture
def opened(tmp_path):
    stores = []

    def make(spec, directory="store"):
        context = Context()
        context.timestamp = 0
        stores.append(open_store(spec, tmp_path / directory, context))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(params=SPECS)
def spec(request):
    return SPECS[request.param]


def test_every_kind_keeps_the_contract(spec, opened):
    assert isinstance(opened(spec), Store)


def test_uncommitted_writes_are_read_and_a_rollback_forgets_them(spec, opened):
    store = opened(spec)
    put(store, "a", 1)
    store.drain_changelog()
    store.commit(1)
    put(store, "a", 2)
    put(store, "b", 3)
    assert (get(store, "a"), get(store, "b")) == (2, 3)
    assert store.uncommitted_bytes > 0
    store.rollback()
    assert (get(store, "a"), get(store, "b"), store.position) == (1, None, 1)
    assert store.drain_changelog() == []
    assert store.uncommitted_bytes == 0


def test_nothing_uncommitted_reaches_the_backend(spec, opened):
    store = opened(spec)
    put(store, "a", 1)
    store.drain_changelog()
    assert [row for family in store.backend.families() for row in store.backend.scan(family, EVERYTHING)] == []


def test_a_commit_without_position_keeps_the_position(spec, opened):
    store = opened(spec)
    put(store, "a", 1)
    store.commit(7)
    put(store, "a", 2)
    store.commit(None)
    assert (store.position, get(store, "a")) == (7, 2)
    assert abs(store.checkpoint_at - time.time() * 1000) < 60_000


def test_on_its_way_to_the_changelogs_end_a_store_is_as_old_as_it_was(spec, opened, monkeypatch):
    """Deletions behind it may be forgotten a day after it last stood at the end, however often it began to catch up."""
    source, store = opened(spec.with_(backend="memory")), opened(spec)
    put(source, "a", 1)
    records = source.drain_changelog()
    store.restore(records, 1)
    caught_up_at, now = store.checkpoint_at, time.time()
    monkeypatch.setattr("engine.stores.lifecycle.time.time", lambda: now + 3_600)
    store.restore(records, 2, current=False)
    assert (store.position, store.checkpoint_at) == (2, caught_up_at)
    store.restore(records, 3)
    assert store.checkpoint_at >= caught_up_at + 3_600_000 - 1_000


def test_a_restore_that_began_empty_is_as_old_as_its_beginning(spec, opened, monkeypatch):
    source, store = opened(spec.with_(backend="memory")), opened(spec)
    put(source, "a", 1)
    records = source.drain_changelog()
    store.restore(records, 1, current=False)
    began_at, now = store.checkpoint_at, time.time()
    monkeypatch.setattr("engine.stores.lifecycle.time.time", lambda: now + 3_600)
    store.restore(records, 2, current=False)
    assert store.checkpoint_at == began_at


def test_a_store_without_logging_logs_nothing_but_commits(spec, opened):
    store = opened(spec.with_(logging=False))
    put(store, "a", 1)
    assert store.drain_changelog() == []
    store.commit(None)
    store.rollback()
    assert get(store, "a") == 1


def test_a_restore_needs_an_empty_overlay(spec, opened):
    store = opened(spec)
    put(store, "a", 1)
    with pytest.raises(StoreError, match="uncommitted"):
        store.restore([], 0)


def test_none_is_no_key(spec, opened):
    store = opened(spec)
    with pytest.raises(NullKeyError):
        put(store, None, 1)
    with pytest.raises(NullKeyError):
        get(store, None)


def test_a_wrong_type_is_refused_where_it_is_put(spec, opened):
    store = opened(spec)
    with pytest.raises(SerializationError, match="int64"):
        put(store, "a", "text")
    assert store.drain_changelog() == []


def test_an_object_that_cannot_be_logged_is_refused_with_the_stores_name(opened):
    """Operators write objects as they are: which record brought it is not known by then, so the words must lead there."""
    store = opened(KV)
    store.write({b"a": ("text", 5)})
    with pytest.raises(SerializationError, match=r"^store s: serde int64 cannot write str 'text'.*An operator"):
        store.drain_changelog()


def test_a_closed_store_says_so(spec, opened):
    store = opened(spec)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        put(store, "a", 1)
    with pytest.raises(StoreError, match="closed"):
        store.commit(None)


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.backend == "rocksdb"])
def test_what_was_committed_is_there_after_a_clean_close(name, opened):
    spec = SPECS[name]
    store = opened(spec)
    put(store, "a", 1)
    store.commit(42)
    store.flush()
    store.close()
    again = opened(spec)
    assert (get(again, "a"), again.position) == (1, 42)
    assert again.bytes() > 0


def test_two_openers_of_a_directory_are_told_apart(opened):
    opened(KV)
    with pytest.raises(StateDirectoryLocked, match="another process"):
        opened(KV)


def test_another_layout_is_refused(opened):
    store = opened(KV)
    put(store, "a", 1)
    store.commit(1)
    store.flush()
    store.close()
    with pytest.raises(TaskCorrupted, match="timestamped=False"):
        opened(KV.with_(timestamped=False))


def test_a_damaged_store_is_reported_as_corrupted(opened, tmp_path):
    store = opened(KV)
    put(store, "a", 1)
    store.commit(1)
    store.flush()
    store.close()
    for manifest in (tmp_path / "store").glob("MANIFEST-*"):
        manifest.write_bytes(b"garbage")
    with pytest.raises(TaskCorrupted, match="rebuilt"):
        opened(KV)


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.backend == "rocksdb"])
def test_rows_that_a_kill_in_the_first_flush_left_without_their_position_are_refused(name, opened, tmp_path):
    """A flush writes one family after the other, the position's last: here it comes no further than the rows."""
    store = opened(SPECS[name], tmp_path / "live")
    put(store, "k", 1)
    store.commit(7)
    for family, space in store.backend._spaces.items():
        if family != "meta":
            space.flush()
    shutil.copytree(tmp_path / "live", tmp_path / "killed", ignore=shutil.ignore_patterns("LOCK"))
    with pytest.raises(TaskCorrupted, match="nothing that says how far they go: it must be rebuilt"):
        opened(SPECS[name], tmp_path / "killed")
    store.flush()
    shutil.copytree(tmp_path / "live", tmp_path / "whole", ignore=shutil.ignore_patterns("LOCK"))
    whole = opened(SPECS[name], tmp_path / "whole")
    assert (whole.position, get(whole, "k")) == (7, 1)


@pytest.mark.parametrize("backend", ["rocksdb", "memory"])
@pytest.mark.parametrize("key", ["", "k" * 1_000_000, "\x00", "\x00\x00", "ÿ"])
def test_empty_and_huge_keys_and_values(backend, key, opened):
    store = opened(KV.with_(backend=backend, value_serde=serdes.bytes))
    for value in (b"", b"v" * 3_000_000):
        store.put(key, value)
        assert store.get(key).value == value
        assert store.drain_changelog()[0][:2] == (key.encode(), value)
        store.commit(1)
        store.rollback()
        assert store.get(key).value == value
        assert [row[0] for row in store.range(key, key)] == [key]
        assert store.committed().get(key.encode()).value == value


@pytest.mark.parametrize("kind", ["window", "session"])
def test_huge_keys_with_times(kind, opened):
    store = opened(SPECS[kind])
    for key in ("", "k" * 1_000_000):
        put(store, key, 1)
        store.commit(1)
        assert get(store, key) == 1
    if kind == "window":
        assert [k.key for k, _ in store.fetch_keys("", "z", 0, 100)] == ["", "k" * 1_000_000]
    else:
        assert [k.key for k, _ in store.find_sessions_keys("", "z", 0, 100)] == ["", "k" * 1_000_000]


def test_nobody_can_change_a_stored_json_value_from_outside(opened):
    store = opened(KV.with_(value_serde=serdes.json))
    value = {"n": [1]}
    store.put("a", value)
    value["n"].append(2)
    store.get("a").value["n"].append(3)
    store.fetch([b"a"])[b"a"][0]["n"].append(4)
    for _, row in store.all():
        row.value["n"].append(5)
    assert store.get("a").value == {"n": [1]}
    assert store.drain_changelog() == [(b"a", b'{"n":[1]}', 0)]


def test_updates_delete_with_none_now_and_with_a_tombstone_then(opened):
    store = opened(KV)
    store.write({b"a": (1, 10), b"b": (2, 20), b"c": (3, 30)})
    store.context.timestamp = 99
    store.write({b"a": None, b"b": Tombstone(50)})
    assert store.fetch([b"a", b"b", b"c"]) == {b"a": None, b"b": None, b"c": (3, 30)}
    changelog = store.drain_changelog()
    assert sorted(changelog) == [(b"a", None, 99), (b"b", None, 50), (b"c", (3).to_bytes(8), 30)]


def test_without_caching_every_put_of_a_batch_is_logged(opened):
    store = opened(KV.with_(caching=False))
    store.write_each([(b"a", (1, 10)), (b"a", (2, 20)), (b"a", None)])
    assert [(key, value and int.from_bytes(value), at) for key, value, at in store.drain_changelog()] == [
        (b"a", 1, 10),
        (b"a", 2, 20),
        (b"a", None, 0),
    ]


# Iterators -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["rocksdb", "memory"])
def test_an_iterator_does_not_see_what_is_written_meanwhile(backend, opened):
    store = opened(KV.with_(backend=backend))
    for number in range(5):
        store.put(f"k{number}", number)
    store.commit(1)
    seen = []
    for key, _ in store.all():
        seen.append(key)
        store.put(f"{key}-new", 1)
        store.delete("k4")
    assert seen == ["k0", "k1", "k2", "k3", "k4"]
    assert "k4" not in dict(store.all())


def test_open_iterators_end_with_their_store_and_free_its_directory(opened):
    store = opened(KV)
    put(store, "a", 1)
    put(store, "b", 1)
    store.commit(1)
    iterators = [store.all(), store.range("a", "b"), store.prefix_scan("a")]
    next(iterators[0])
    store.close()
    for iterator in iterators:
        with pytest.raises(StoreError, match="closed"):
            next(iterator)
    opened(KV).close()  # would be locked if an iterator had survived


def test_iterators_close_themselves_as_contexts_when_exhausted_and_as_garbage(opened):
    store = opened(KV)
    put(store, "a", 1)
    store.commit(1)
    with store.all() as rows:
        next(rows)
    with pytest.raises(StoreError):
        next(rows)
    exhausted = store.all()
    assert len(list(exhausted)) == 1
    assert list(exhausted) == []
    for _ in range(100):
        next(store.all())
    gc.collect()
    assert len(store._open_iterators) <= 2


def test_a_thousand_iterators_leave_descriptors_and_memory_flat(opened):
    store = opened(KV)
    store.write({b"%05d" % i: (i, 0) for i in range(5_000)})
    store.commit(1)
    store.flush()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(1_000):
        next(store.range("00100", "04000"))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


# Bounds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["key-value-memory", "window-memory", "session-memory", "versioned-memory", "lru"])
def test_a_bounded_store_stops_the_engine_before_it_logs_what_it_cannot_hold(name, opened):
    store = opened(SPECS[name].with_(max_bytes=4_000, max_entries=1_000))
    for number in range(500):
        put(store, f"key-{number}", number, time=5)
    with pytest.raises(StoreFull, match="max_bytes"):
        store.drain_changelog()


def test_a_bounded_store_is_bounded_while_it_restores(opened):
    store = opened(SPECS["key-value-memory"].with_(max_bytes=4_000))
    with pytest.raises(StoreFull):
        store.restore([(b"%d" % i, b"12345678", 0) for i in range(1_000)], 1_000)


def test_the_object_cache_gives_up_what_nobody_asks_for(opened):
    store = opened(KV)
    memory_budget.configure(object_cache_bytes=1)
    try:
        for batch in range(40):
            store.write({b"%06d" % (batch * 1_000 + i): (i, 0) for i in range(1_000)})
            store.commit(batch)
        held = len(store._table._live) + len(store._table._old)
        assert held < 30_000
        assert store.fetch([b"000001", b"039999"]) == {b"000001": (1, 0), b"039999": (999, 0)}
    finally:
        memory_budget.configure(object_cache_bytes=memory_budget.OBJECT_CACHE_BYTES)


def test_counts_are_near_the_truth(opened):
    store = opened(KV)
    store.write({b"%05d" % i: (i, 0) for i in range(5_000)})
    assert store.approximate_num_entries() == 5_000
    store.commit(1)
    store.write({b"%05d" % i: Tombstone(0) for i in range(2_500)})
    assert 2_000 <= store.approximate_num_entries() <= 3_000


@pytest.mark.parametrize("backend", ["rocksdb", "memory"])
@pytest.mark.parametrize("kind", ["window", "session"])
def test_what_is_emitted_on_close_counts_once_although_it_is_kept_by_time_too(kind, backend, opened):
    store = opened(SPECS[kind].with_(backend=backend, emit_final=True))
    for number in range(10):
        put(store, "a", number, time=10 * number)
    assert store.approximate_num_entries() == 10
    store.drain_changelog()
    store.commit(1)
    assert store.approximate_num_entries() == 10


@pytest.mark.parametrize("backend", ["rocksdb", "memory"])
def test_a_versioned_store_counts_the_keys_that_have_a_value_now(backend, opened):
    store = opened(SPECS["versioned"].with_(backend=backend))
    for number in range(3):
        for key in ("a", "b", "gone"):
            put(store, key, number, time=10 * number)
    put(store, "gone", None, time=50)
    assert store.approximate_num_entries() == 2
    store.drain_changelog()
    store.commit(1)
    assert store.approximate_num_entries() == 2


# Settings --------------------------------------------------------------------------------------------------------------


def test_rocksdb_settings_reach_rocksdb(opened):
    settings = {
        "compression": "zstd",
        "bottommost_compression": "zlib",
        "block_size": 16_384,
        "write_buffer_bytes": 1 << 20,
        "write_buffer_count": 4,
        "bloom_bits_per_key": 0,
        "open_files_max": 64,
        "compaction": "universal",
    }
    assert set(settings) == {*rocksdb_settings.NUMBERS, *rocksdb_settings.CHOICES}
    store = opened(KV.with_(rocksdb=settings))
    put(store, "a", 1)
    store.commit(1)
    assert get(store, "a") == 1
    written = max(store.backend.directory.glob("OPTIONS-*")).read_text()
    for words in (
        "compression=kZSTD", "bottommost_compression=kZlibCompression", "block_size=16384", "write_buffer_size=1048576",
        "max_write_buffer_number=4", "filter_policy=nullptr", "max_open_files=64",
        "compaction_style=kCompactionStyleUniversal",
    ):  # fmt: skip
        assert words in written, words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"no_such": 1}, "'no_such' cannot be given. Those that can: block_size, bloom_bits_per_key"),
        ({"atomic_flush": False}, "cannot be given"),
        ({"compression": "x"}, "none of none, lz4"),
        ({"write_buffer_bytes": "x"}, "whole number from 65,536"),
        ({"block_size": 1}, "whole number from 512"),
        ({"bloom_bits_per_key": True}, "whole number"),
    ],
)
def test_settings_that_are_unknown_or_ours_are_refused_when_the_store_is_described(settings, words):
    with pytest.raises(ConfigError, match=words):
        KV.with_(rocksdb=settings)
    with pytest.raises(ConfigError, match=words):
        Materialized("counts", rocksdb=settings)
    with pytest.raises(ConfigError, match=words):
        Stores.persistent_key_value("counts").rocksdb(**settings)


def test_a_store_in_memory_takes_no_rocksdb_settings():
    with pytest.raises(ConfigError, match="is not on RocksDB"):
        Stores.in_memory_key_value("counts").rocksdb(compression="zstd")
    with pytest.raises(TopologyError, match="is not on RocksDB"):
        Materialized("counts", store="in-memory", rocksdb={"compression": "zstd"}).spec("key-value")
    supplied = Materialized.as_(
        Stores.persistent_key_value("counts").rocksdb(block_size=8_192), rocksdb={"compression": "none"}
    )
    assert supplied.spec("key-value").rocksdb == {"block_size": 8_192, "compression": "none"}


def test_specs_that_make_no_sense_are_refused(opened):
    for spec in (
        StoreSpec("s", "window", "memory"),
        StoreSpec("s", "session", "memory"),
        StoreSpec("s", "versioned", "memory"),
        StoreSpec("s", "key-value", "lru"),
        StoreSpec("s", "window", "lru", window_ms=1, retention_ms=1),
    ):
        with pytest.raises(ConfigError):
            opened(spec)


def test_sessions_by_end_need_a_layout_by_time(opened):
    with pytest.raises(UnsupportedOperation):
        opened(SPECS["session"]).find_sessions_ended(0, 10)


def test_a_custom_store_is_plugged_in_through_its_supplier(opened):
    class Nothing:
        pass

    with pytest.raises(ConfigError, match="lacks"):
        opened(KV.with_(supplier=lambda *_: Nothing()))
    inner = KV.with_(backend="memory")
    made = opened(KV.with_(supplier=lambda _spec, _directory, context: open_store(inner, None, context)))
    put(made, "a", 1)
    assert get(made, "a") == 1


# Crashes ---------------------------------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from engine import serdes
from engine.stores import open_store
from tests.stores.test_lifecycle import SPECS, put
from tests.stores.vectors import Context

context = Context()
context.timestamp = 0
spec = SPECS[sys.argv[2]].with_(rocksdb={"write_buffer_bytes": 1 << 16})
store = open_store(spec, Path(sys.argv[1]), context)
first = (store.position or 0) + 1
for number in range(first, first + 10_000_000):
    for key in range(50):
        put(store, f"key-{key}", number, time=5)
    store.drain_changelog()
    store.commit(number)
    print(number, flush=True)
"""


@pytest.mark.parametrize("name", ["key-value", "window", "session"])
def test_after_a_kill_data_and_position_agree(name, opened, tmp_path):
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "store"), name],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": "."},
        )
        with writer:
            for _ in range(400):
                assert writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
    store = opened(SPECS[name].with_(rocksdb={"write_buffer_bytes": 1 << 16}))
    expected = store.position
    assert {get(store, f"key-{key}") for key in range(50)} == {expected}


# Readers of other threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["key-value", "key-value-memory", "window", "window-memory", "session", "versioned"])
def test_readers_see_whole_commits_while_the_loop_writes(name, opened):
    """Each commit sets every key to its number: a page that mixes more than two neighbours saw something uncommitted."""
    store, stop, problems, pages = opened(SPECS[name]), threading.Event(), [], []
    view = store.committed()

    def read():
        while not stop.is_set():
            rows = view.range(None, None, limit=100)
            values = {serdes.int64.deserialize(row.value) for row in rows}
            pages.append(len(rows))
            if len(rows) not in (0, 20) or any(value % 2 for value in values):
                problems.append(rows)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(0, 300, 2):
        for value in (number + 1, number):  # the odd one is overwritten before the commit
            for key in range(20):
                put(store, f"k{key:02}", value)
        store.drain_changelog()
        store.commit(number)
    stop.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert pages


@pytest.mark.parametrize("name", [name for name in SPECS if name != "lru"])
def test_a_view_of_a_closed_store_says_so(name, opened):
    """An answer without rows would be taken for an empty store."""
    store = opened(SPECS[name])
    put(store, "a", 1)
    store.commit(1)
    view = store.committed()
    assert len(view.range(None, None, limit=100)) == 1
    store.close()
    with pytest.raises(StoreError, match="closed"):
        view.range(None, None, limit=100)
    with pytest.raises(StoreError, match="closed"):
        view.prefix(b"a", limit=100)


@pytest.mark.parametrize("name", ["window", "window-memory", "session", "session-memory"])
def test_a_view_tells_of_a_store_that_closes_while_it_reads(name, opened, monkeypatch):
    store = opened(SPECS[name])
    put(store, "a", 1)
    store.commit(1)
    meta = store.backend.meta

    def closing_after(asked):
        found = meta(asked)
        store.close()
        return found

    monkeypatch.setattr(store.backend, "meta", closing_after)
    with pytest.raises(StoreError, match="closed"):
        store.committed().range(None, None, limit=100)


def test_readers_survive_dropped_segments(opened):
    store, stop, problems = (
        opened(SPECS["window"].with_(segment_interval_ms=20, retention_ms=100)),
        threading.Event(),
        [],
    )

    def read():
        view = store.committed()
        while not stop.is_set():
            try:
                view.range(None, None, limit=50)
                view.fetch(b"a", 0, 10**6, limit=50)
            except Exception as error:  # noqa: BLE001 - any would be the bug
                problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(0, 1_500, 10):
        store.put("a", start, start)
        store.commit(start)
    stop.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert len(store.backend.families()) < 12


@pytest.mark.parametrize("name", ["key-value", "window", "window-memory", "session", "versioned"])
def test_pages_add_up_to_the_whole(name, opened):
    store = opened(SPECS[name])
    for key in range(37):
        put(store, f"k{key:02}", key, time=5 if name == "versioned" else 5 + key)
    store.commit(1)
    for reverse in (False, True):
        whole = store.committed().range(None, None, limit=1_000, reverse=reverse)
        assert len(whole) == 37
        pages, behind = [], None
        while page := store.committed().range(None, None, limit=5, reverse=reverse, start_after=behind):
            pages += page
            behind = page[-1].cursor
        assert pages == whole


def test_window_pages_cross_segments_in_both_directions(opened):
    store = opened(SPECS["window"].with_(segment_interval_ms=20, retention_ms=1000))
    for start in range(0, 200, 7):
        for key in ("a", "aa", "b"):
            store.put(key, start, start)
    store.commit(1)
    view = store.committed()
    assert [row.start for row in view.fetch(b"aa", 10, 100, limit=100)] == list(range(14, 101, 7))
    for reverse in (False, True):
        pages, behind = [], None
        while page := view.fetch(b"a", 0, 10**6, limit=4, reverse=reverse, start_after=behind):
            pages += [row.start for row in page]
            behind = page[-1].cursor
        assert pages == sorted(range(0, 200, 7), reverse=reverse)
    assert {row.key for row in view.prefix(b"a", limit=1_000)} == {b"a", b"aa"}
    assert view.get(b"b", 7).value == layouts.LONG.pack(7)


def test_committed_versions_tell_their_history(opened):
    store = opened(SPECS["versioned"])
    for at in (10, 20, 30):
        store.put("a", at, at)
    store.commit(1)
    store.put("a", 99, 40)
    rows = store.committed().versions(b"a", 0, 100, limit=10)
    assert [(serdes.int64.deserialize(row.value), row.timestamp, row.valid_to) for row in rows] == [
        (30, 30, None),
        (20, 20, 30),
        (10, 10, 20),
    ]
    assert store.committed().get(b"a", 25).timestamp == 20


def test_committed_pages_leave_out_other_times_and_what_has_expired(opened):
    windows = opened(SPECS["window"].with_(segment_interval_ms=1_000, retention_ms=100))
    for start in (10, 20, 90, 115):
        windows.put("a", start, start)
    windows.commit(1)
    view = windows.committed()
    assert [row.start for row in view.range(None, None, limit=10)] == [20, 90, 115]
    assert [row.start for row in view.range(None, None, 0, 90, limit=10)] == [20, 90]
    assert view.get(b"a", 10) is None
    sessions = opened(SPECS["session"], "sessions")
    for start, end in ((10, 30), (50, 60), (55, 90)):
        sessions.put("a", start, end, end)
    sessions.commit(1)
    assert [row.end for row in sessions.committed().fetch(b"a", 40, 50, limit=10)] == [60]
    assert sessions.committed().get(b"a", 55, 90).value == layouts.LONG.pack(90)
