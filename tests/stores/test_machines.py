"""Hypothesis drives each kind of store beside its model, with commits, rollbacks, restores and reopenings in between."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from engine import serdes
from engine.records import ValueAndTimestamp
from engine.stores import open_store
from engine.stores.backend import EVERYTHING
from engine.stores.contract import ChangelogColumns
from engine.topology.stores import StoreSpec
from tests.faults.lengths import lengths
from tests.stores.models import KeyValueModel, LruModel, SessionModel, VersionedModel, WindowModel
from tests.stores.vectors import Context

# RocksDB waits for the disk whenever it opens; the machines open thousands of stores and test no disk.
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a directory of its own there
MEMORY_DISK = _SHARED_MEMORY if Path(_SHARED_MEMORY).is_dir() else None
KEYS = st.sampled_from([b"", b"a", b"aa", b"ab", b"b", b"\x00", b"\xff", b"\xff\xff"])
# Few keys, and times around the newest: what is worth testing happens where they meet, and behind a jump nothing does.
FEW_KEYS = st.sampled_from([b"a", b"aa", b"b"])
OFFSETS = st.one_of(st.sampled_from([-60, -45, -41, -40, -39, -20, -10, -5, -1, 0, 1, 5, 10]), st.integers(-70, 25))
SIZES = st.sampled_from([0, 5, 10, 15])
VALUES = st.one_of(st.none(), st.integers(-3, 3))


class StoreMachine(RuleBasedStateMachine):
    """Life of a store: what every kind goes through. `model` folds what the store should hold."""

    spec: StoreSpec

    @initialize(memory=st.booleans(), caching=st.booleans())
    def open(self, memory, caching):
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY_DISK))
        self.spec = self.make_spec("memory" if memory else "rocksdb", caching=caching)
        self.context = Context()
        self.context.timestamp = 0
        self.store = open_store(self.spec, self.folder / "live", self.context)
        self.model = self.make_model(memory=memory)
        self.pending, self.changelog = [], []
        self.restores = 0
        self.standby = None

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            if self.standby is not None:
                self.standby.close()
            shutil.rmtree(self.folder)

    @rule()
    def commit(self):
        self.pending += self.store.drain_changelog()
        self.changelog += self.pending
        self.pending = []
        self.store.commit(len(self.changelog))
        self.model.commit()
        assert self.store.uncommitted_bytes == 0

    @rule()
    def drain(self):
        self.pending += self.store.drain_changelog()

    @rule()
    def rollback(self):
        self.pending = []
        self.store.rollback()
        self.model.rollback()
        assert (self.store.position or 0) == len(self.changelog)

    @rule()
    def restore_elsewhere(self):
        """The committed changelog, replayed in pieces into an empty store, gives the same store; go on with that one."""
        self.commit()
        self.restores += 1
        again = open_store(self.spec, self.folder / f"restored-{self.restores}", self.context)
        for start in range(0, len(self.changelog), 3):
            piece = self.changelog[start : start + 3]
            again.restore(piece, start + len(piece))
        again.position = len(self.changelog)
        self.store.close()
        self.store = again
        self.after_restore()

    @rule()
    def change_places(self):
        """The standby takes over with its open store, and the former owner's follows from then on, as it is."""
        self.commit()
        if self.standby is None:
            self.standby = open_store(self.spec, self.folder / "standby", self.context)
        for start in range(self.standby.position or 0, len(self.changelog), 3):
            # As a reader hands them over.
            piece = ChangelogColumns(*map(list, zip(*self.changelog[start : start + 3], strict=True)))
            self.standby.restore(piece, start + len(piece))
        self.store.rollback()
        self.store, self.standby = self.standby, self.store
        self.after_restore()

    @rule()
    def reopen(self):
        if self.spec.backend == "rocksdb":
            self.commit()
            directory = self.store.backend.directory
            self.store.flush()
            self.store.close()
            self.store = open_store(self.spec, directory, self.context)
            assert self.store.position == len(self.changelog)

    def after_restore(self):
        """What the model has to forget because a changelog can't tell it."""

    def at(self, offset):
        """A time near the newest, in steps that make equal times likely."""
        return max((self.model.now["observed"] + offset) // 5 * 5, 0)


class KeyValueMachine(StoreMachine):
    def make_spec(self, backend, *, caching):
        return StoreSpec("s", "key-value", backend, serdes.bytes, serdes.json, timestamped=True, caching=caching)

    def make_model(self, *, memory):
        del memory
        return KeyValueModel()

    @rule(key=KEYS, value=VALUES, timestamp=st.integers(0, 50))
    def put(self, key, value, timestamp):
        self.context.timestamp = timestamp
        self.store.put(key, value)
        self.model.put(key, None if value is None else ValueAndTimestamp(value, timestamp))

    @rule(key=KEYS, value=VALUES)
    def put_if_absent(self, key, value):
        before = self.model.now.get(key)
        assert self.store.put_if_absent(key, value) == before
        if before is None:
            self.model.put(key, None if value is None else ValueAndTimestamp(value, self.context.timestamp))

    @rule(key=KEYS)
    def delete(self, key):
        assert self.store.delete(key) == self.model.now.get(key)
        self.model.put(key, None)

    @rule(updates=st.dictionaries(KEYS, st.tuples(st.integers(-3, 3), st.integers(0, 50)), max_size=6))
    def write_batch(self, updates):
        found = self.store.fetch(list(updates))
        assert {key: found[key] for key in updates} == {key: self.model.now.get(key) for key in updates}
        self.store.write(updates)
        for key, entry in updates.items():
            self.model.put(key, ValueAndTimestamp(*entry))

    @rule(updates=st.dictionaries(KEYS, st.tuples(st.integers(-3, 3), st.integers(0, 50)), max_size=6))
    def write_columns(self, updates):
        keys = list(updates)
        assert self.store.fetch_column(keys) == [self.model.now.get(key) for key in keys]
        self.store.write_columns(keys, [value for value, _ in updates.values()], [at for _, at in updates.values()])
        for key, entry in updates.items():
            self.model.put(key, ValueAndTimestamp(*entry))

    @rule(low=st.one_of(st.none(), KEYS), high=st.one_of(st.none(), KEYS), prefix=KEYS)
    def read(self, low, high, prefix):
        assert list(self.store.range(low, high)) == self.model.rows(low, high)
        assert list(self.store.reverse_range(low, high)) == self.model.rows(low, high)[::-1]
        assert list(self.store.prefix_scan(prefix)) == self.model.rows(prefix=prefix)
        assert list(self.store.reverse_all()) == self.model.rows()[::-1]

    @invariant()
    def holds_what_the_model_holds(self):
        if hasattr(self, "store"):
            assert list(self.store.all()) == self.model.rows()
            rows = self.store.committed().all(limit=100)
            saved = self.model.saved
            assert [(row.key, row.timestamp) for row in rows] == [(key, saved[key].timestamp) for key in sorted(saved)]


class WindowMachine(StoreMachine):
    def make_spec(self, backend, *, caching):
        return StoreSpec(
            "s", "window", backend, serdes.bytes, serdes.int64, caching=caching,
            window_ms=10, retention_ms=40, segment_interval_ms=20, emit_final=self.emit_final,
        )  # fmt: skip

    emit_final = False

    def make_model(self, *, memory):
        return WindowModel(40, 20, memory=memory)

    @rule(key=FEW_KEYS, start=OFFSETS, value=VALUES)
    def put(self, key, start, value):
        start = self.at(start)
        dropped = self.model.now["dropped"]
        before = self.context.dropped_total
        self.store.put(key, value, start)
        self.model.put(key, start, value)
        assert self.context.dropped_total - before == self.model.now["dropped"] - dropped

    @rule(which=st.integers(0, 5), value=VALUES)
    def put_one_that_is_there(self, which, value):
        rows = sorted(self.model.visible())
        if rows:
            key, start = rows[which % len(rows)]
            list(self.store.fetch(key, 0, start))
            self.store.put(key, value, start)
            self.model.put(key, start, value)

    @rule(
        updates=st.dictionaries(
            st.tuples(FEW_KEYS, OFFSETS), st.tuples(st.integers(-3, 3), st.integers(0, 9)), max_size=5
        )
    )
    def write_batch(self, updates):
        updates = {(key, self.at(start)): entry for (key, start), entry in updates.items()}
        found = self.store.fetch_many(list(updates))
        visible = self.model.visible()
        assert {window: entry and entry[0] for window, entry in found.items()} == {
            window: visible.get(window) for window in updates
        }
        self.store.write_many(updates)
        for (key, start), (value, _) in updates.items():
            self.model.put(key, start, value)

    @rule(
        key=FEW_KEYS,
        low=st.one_of(st.none(), FEW_KEYS),
        high=st.one_of(st.none(), FEW_KEYS),
        a=OFFSETS,
        b=SIZES,
    )
    def read(self, key, low, high, a, b):
        a = self.at(a)
        model, store, to = self.model, self.store, a + b
        one = [(start, value) for _, start, value in model.rows(a, to, key, key)]
        assert list(store.fetch(key, a, to)) == one
        assert list(store.backward_fetch(key, a, to)) == one[::-1]
        assert store.fetch(key, a) == model.visible().get((key, a))
        several = model.rows(a, to, low, high)
        assert [(k.key, k.start, v) for k, v in store.fetch_keys(low, high, a, to)] == several
        assert [(k.key, k.start, v) for k, v in store.backward_fetch_keys(low, high, a, to)] == several[::-1]

    @invariant()
    def holds_what_the_model_holds(self):
        if not hasattr(self, "store"):
            return
        rows = [(k.key, k.start, v) for k, v in self.store.all()]
        assert rows == self.model.rows(0, 10**6)
        assert [(k.key, k.start, v) for k, v in self.store.backward_fetch_all(0, 10**6)] == rows[::-1]


class TimeOrderedWindowMachine(WindowMachine):
    """The layout of emit-on-close: the same store, iterated by time and with one more millisecond visible."""

    emit_final = True

    @rule()
    def read(self):
        pass

    def make_model(self, *, memory):
        model = super().make_model(memory=memory)
        if not memory:
            model.visible = lambda: {
                row: value for row, value in model.now["rows"].items() if row[1] >= model.now["observed"] - 40
            }
            model.order = lambda row: (row[1], row[0])
        return model

    @rule(updates=st.none())
    def write_batch(self, updates):
        pass

    @invariant()
    def index_and_rows_agree(self):
        if hasattr(self, "store"):
            backend = self.store.backend
            for family in backend.families():
                if family.startswith("times-"):
                    rows = [key for key, _ in backend.scan(family.replace("times", "segment"), EVERYTHING)]
                    names = [key for key, _ in backend.scan(family, EVERYTHING)]
                    assert sorted(map(self.store._row_of, names)) == rows


class SessionMachine(StoreMachine):
    def make_spec(self, backend, *, caching):
        return StoreSpec(
            "s",
            "session",
            backend,
            serdes.bytes,
            serdes.int64,
            caching=caching,
            retention_ms=40,
            segment_interval_ms=20,
        )

    def make_model(self, *, memory):
        return SessionModel(40, 20, memory=memory)

    @rule(key=FEW_KEYS, start=OFFSETS, size=SIZES, value=VALUES)
    def put(self, key, start, size, value):
        start = self.at(start)
        dropped = self.model.now["dropped"]
        before = self.context.dropped_total
        self.store.put(key, start, start + size, value)
        self.model.put(key, start, start + size, value)
        assert self.context.dropped_total - before == self.model.now["dropped"] - dropped

    @rule(which=st.integers(0, 5))
    def remove_one_that_is_there(self, which):
        rows = sorted(self.model.now["rows"])
        if rows:
            key, start, end = rows[which % len(rows)]
            self.store.find_raw(key, 0, end)
            self.store.remove(key, start, end)
            self.model.remove(key, start, end)
            assert self.store.find_raw(key, 0, 10**6) == [row[1:] for row in self.model.find(key, key, 0, 10**6)]

    @rule(key=FEW_KEYS, start=OFFSETS, size=SIZES)
    def remove(self, key, start, size):
        start = self.at(start)
        self.store.remove(key, start, start + size)
        self.model.remove(key, start, start + size)

    @rule(
        key=FEW_KEYS,
        low=st.one_of(st.none(), FEW_KEYS),
        high=st.one_of(st.none(), FEW_KEYS),
        a=OFFSETS,
        b=OFFSETS,
    )
    def read(self, key, low, high, a, b):
        a, b = self.at(a), self.at(b)

        def flat(found):
            return [(k.key, k.start, k.end, value) for k, value in found]

        one = self.model.find(key, key, a, b)
        assert flat(self.store.find_sessions(key, a, b)) == one
        assert flat(self.store.backward_find_sessions(key, a, b)) == one[::-1]
        assert self.store.find_raw(key, a, b) == [row[1:] for row in one]
        several = [] if low is not None and high is not None and low > high else self.model.find(low, high, a, b)
        assert flat(self.store.find_sessions_keys(low, high, a, b)) == several
        assert flat(self.store.backward_find_sessions_keys(low, high, a, b)) == several[::-1]

    def after_restore(self):
        # A removal in memory isn't observed, but its tombstone is when it is replayed.
        self.model.now["observed"] = self.model.saved["observed"] = self.store.observed

    @invariant()
    def holds_what_the_model_holds(self):
        if hasattr(self, "store"):
            rows = [(k.key, k.start, k.end, value) for k, value in self.store.fetch_keys(None, None)]
            assert rows == self.model.find(None, None, 0, 10**6)


class VersionedMachine(StoreMachine):
    def make_spec(self, backend, *, caching):
        del caching
        return StoreSpec("s", "versioned", backend, serdes.bytes, serdes.int64, history_ms=60, segment_interval_ms=25)

    def make_model(self, *, memory):
        del memory
        return VersionedModel(60)

    @rule(key=FEW_KEYS, value=VALUES, timestamp=OFFSETS)
    def put(self, key, value, timestamp):
        timestamp = self.at(timestamp)
        latest = self.model.latest(key)
        if value is None and latest is not None and latest[1] == timestamp:
            return  # the documented wart, which a model of plain versions doesn't have
        assert self.store.put(key, value, timestamp) == self.model.put(key, value, timestamp)

    @rule(key=FEW_KEYS, time=OFFSETS)
    def read(self, key, time):
        time = self.at(time)
        found = self.store.get(key, time)
        assert (found and (found.value, found.timestamp)) == self.model.as_of(key, time)
        row = self.store.committed().get(key, time)
        now, self.model.now = self.model.now, self.model.saved
        saved = self.model.as_of(key, time)
        self.model.now = now
        assert (row and (serdes.int64.deserialize(row.value), row.timestamp)) == saved

    @invariant()
    def holds_what_the_model_holds(self):
        if hasattr(self, "store"):
            for key in self.model.now["keys"]:
                found = self.store.get(key)
                assert (found and (found.value, found.timestamp)) == self.model.latest(key)
                for time in self.model.now["keys"][key]:
                    found = self.store.get(key, time)
                    assert (found and (found.value, found.timestamp)) == self.model.as_of(key, time)


class LruMachine(StoreMachine):
    def make_spec(self, backend, *, caching):
        del backend
        return StoreSpec("s", "key-value", "lru", serdes.bytes, serdes.int64, caching=caching, max_entries=3)

    def make_model(self, *, memory):
        del memory
        return LruModel(3)

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        self.store.put(key, value)
        self.model.put(key, value)

    @rule(key=KEYS)
    def get(self, key):
        assert self.store.get(key) == self.model.get(key)

    def after_restore(self):
        # Reads aren't logged: a restore knows only the order of the puts.
        by_key = dict(self.model.now)
        self.model.now = [[key, by_key[key]] for key in self.store._order]
        self.model.commit()

    @invariant()
    def holds_what_the_model_holds(self):
        if hasattr(self, "store"):
            assert list(self.store.all()) == sorted(map(tuple, self.model.now))
            assert self.store.approximate_num_entries() == len(self.model.now)


MACHINES = [
    KeyValueMachine,
    WindowMachine,
    TimeOrderedWindowMachine,
    SessionMachine,
    VersionedMachine,
    LruMachine,
]


@pytest.mark.parametrize("machine", MACHINES)
@lengths("examples", 100, 5_000)
def test_a_store_is_its_model(machine, examples):
    told = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=told)
