"""Produce, process, commit, crash, restore, revoke, query in any order: what is committed equals a model in plain dicts.

Real: the task and its processors, the committer with its five steps, the stores on RocksDB and in memory, their recovery from
what is on disk, the restore's application of changelog records. Made up: the broker, as three logs and the committed
offsets, whose transactions happen whole or not at all; the loop and the group, whose part the machine plays.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine import Consumed, Materialized, Produced, StreamsBuilder, serdes
from engine.changelog.restore import Restoring
from engine.records import RawBatch
from engine.runtime.active_task import ActiveTask, Committed, OpenStore, TaskParts
from engine.runtime.commit import Committer
from engine.runtime.plan import make_plan
from engine.stores import open_store
from tests.faults.broker_on_paper import CHANGELOG, Broker, Transaction
from tests.faults.lengths import SOAK_SECONDS_MAX, of_soak

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of its own there
PLACE = ("in", 0)
STEPS = ("before-offsets", "before-commit", "after-commit", "after-stores")
KEYS = st.sampled_from(["a", "b", "c"])


class Crash(Exception):
    """The process is gone at this point."""


class Group:
    """The consumer, as far as a commit asks it."""

    def group(self):
        return None


class Handlers:
    may_skip = False

    def deserialization(self, *_):
        raise AssertionError("nothing here is unreadable")

    processing = deserialization


def topology(backend):
    builder = StreamsBuilder()
    (
        builder.stream("in", Consumed(serdes.string, serdes.string))
        .group_by_key()
        .count(Materialized("counts", serdes.string, serdes.int64, store=backend))
        .to_stream()
        .to("out", Produced(serdes.string, serdes.int64))
    )
    return builder.build()


class Anything(RuleBasedStateMachine):
    """One task on two hosts in turn. `model` counts what is committed, `pending` what is processed and not committed."""

    @initialize(backend=st.sampled_from(["rocksdb", "rocksdb", "in-memory"]))
    def begin(self, backend):
        self.folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
        self.topology = topology(backend)
        self.broker = Broker([PLACE])
        self.host = 0
        self.lives = 0
        self.model, self.pending = {}, {}
        self.positions = {}
        self.start(1_000)

    def teardown(self):
        if hasattr(self, "task"):
            self.commit()
            assert self.counts_of(self.broker.output) == self.model == self.committed_counts()
            self.task.close(clean=True)
            shutil.rmtree(self.folder)

    # What happens ------------------------------------------------------------------------------------------------------

    @rule(keys=st.lists(KEYS, min_size=1, max_size=5))
    def produce(self, keys):
        self.broker.logs[PLACE] += keys

    @rule(count=st.integers(1, 10))
    def process(self, count):
        self.poll(count)
        done = self.task.process(0, 1_000)
        for key in self.broker.logs[PLACE][self.at : self.at + done]:
            self.pending[key] = self.pending.get(key, 0) + 1
        self.at += done

    @rule(count=st.integers(1, 10))
    def poll(self, count):
        rows = self.broker.logs[PLACE][self.polled : self.polled + count]
        if rows:
            offsets = list(range(self.polled, self.polled + len(rows)))
            raw = RawBatch(
                *PLACE, offsets, [k.encode() for k in rows], [b"v"] * len(rows), [1_000 + o for o in offsets]
            )
            self.task.accept(raw)
            self.polled += len(rows)

    @rule()
    def commit(self):
        self.committer.commit([self.task])
        self.count_pending()

    @rule(step=st.sampled_from(STEPS), batch=st.integers(1, 7))
    def crash_in_a_commit(self, step, batch):
        self.crash_at = step
        try:
            self.committer.commit([self.task])
        except Crash:
            if step in ("after-commit", "after-stores"):
                self.count_pending()
            self.die(batch)
        self.crash_at = None

    @rule(batch=st.integers(1, 7))
    def die(self, batch):
        self.leave_files_as_they_are()
        self.start(batch)

    @rule()
    def abort(self):
        assert self.committer.abort()
        (place,) = self.task.rollback()
        self.at = self.polled = place.offset
        self.pending = {}

    @rule(batch=st.integers(1, 7), elsewhere=st.booleans())
    def revoke(self, batch, elsewhere):
        self.commit()
        self.task.close(clean=True)
        self.host ^= elsewhere
        self.start(batch)
        # A clean hand-over to the same host has nothing to restore.
        if not elsewhere and self.persistent:
            assert self.restored == 0

    @rule(batch=st.integers(1, 7))
    def lose_the_directory(self, batch):
        self.task.close(clean=False)
        if self.persistent:
            shutil.rmtree(self.directory)
        self.start(batch)

    # What holds --------------------------------------------------------------------------------------------------------

    @invariant()
    def what_is_read_is_what_the_model_says(self):
        if not hasattr(self, "task"):
            return
        assert self.committed_counts() == self.model
        overlay = {key: found.value for key, found in self.store.all()}
        assert overlay == {k: self.model.get(k, 0) + self.pending.get(k, 0) for k in {**self.model, **self.pending}}
        assert self.counts_of(self.broker.output) == self.model
        assert self.broker.committed[PLACE] == sum(self.model.values())

    @invariant()
    def positions_never_go_back_or_beyond_the_end(self):
        if not hasattr(self, "task"):
            return
        position = self.store.position or 0
        assert position <= len(self.broker.changelogs[0])
        life = self.host, self.lives
        assert position >= self.positions.get(life, 0)
        self.positions[life] = position

    # How it is done ----------------------------------------------------------------------------------------------------

    @property
    def persistent(self):
        return self.topology.stores["counts"].backend == "rocksdb"

    @property
    def directory(self):
        return self.folder / str(self.host)

    def start(self, batch):
        """A new life: the store from disk, the rest from the changelog in pieces of `batch`, then the committed offset."""
        self.lives += 1
        self.crash_at = None
        self.producer = Transaction(self.broker)
        self.committer = Committer(self.producer, Group(), crash_point=self.crash_point)
        parts = TaskParts(
            application_id="shop",
            collector=self.producer,
            handlers=Handlers(),
            wall_clock=lambda: 0,
            lag=lambda _: 0,
            seen=lambda _: 0,
            received=lambda *_: None,
        )
        self.task = ActiveTask("0_0", 0, 0, make_plan(self.topology.nodes_of(0)), [PLACE], parts)
        self.task.move("restoring")
        spec = self.topology.stores["counts"]
        self.store = open_store(spec, self.directory if self.persistent else None, self.task.context)
        self.restore(batch)
        committed = {PLACE: Committed(self.broker.committed[PLACE])}
        self.task.start(committed, {"counts": OpenStore(spec, self.store, None, CHANGELOG)})
        self.at = self.polled = self.broker.committed[PLACE]
        self.pending = {}

    def restore(self, batch):
        begin, end = self.store.position or 0, len(self.broker.changelogs[0])
        restoring = Restoring("0_0", "counts", CHANGELOG, 0, self.store, begin, end, "a test")
        while not restoring.done:
            upto = min(restoring.position + batch, end)
            restoring.apply([r for r in self.broker.changelogs[0][restoring.position : upto] if r is not None], upto)
        self.restored = restoring.records

    def leave_files_as_they_are(self):
        """What a kill leaves: files as they lie, without what was only in memory."""
        if self.persistent:
            kept = self.folder / "kept"
            # A compaction in the background may remove files amid the copying: what a kill leaves is of one moment.
            while not copied_at_once(self.directory, kept):
                shutil.rmtree(kept, ignore_errors=True)
        self.task.close(clean=False)
        if self.persistent:
            shutil.rmtree(self.directory)
            kept.rename(self.directory)

    def crash_point(self, step):
        if step == self.crash_at:
            raise Crash

    def count_pending(self):
        for key, count in self.pending.items():
            self.model[key] = self.model.get(key, 0) + count
        self.pending = {}

    def committed_counts(self):
        rows = self.store.committed().all(limit=100)
        return {row.key.decode(): int.from_bytes(row.value[-8:], "big") for row in rows}

    @staticmethod
    def counts_of(output):
        """The last count of each key; each count is higher than the one before it, so none was made twice."""
        found = {}
        for key, value in output:
            count = int.from_bytes(value, "big")
            assert count > found.get(key.decode(), 0)
            found[key.decode()] = count
        return found


def test_what_waited_through_a_commit_is_in_the_next_one():
    """Found by the machine below: a record that was accepted, and processed only after a commit had passed it by."""
    machine = Anything()
    machine.begin(backend="rocksdb")
    machine.produce(keys=["a"])
    machine.poll(count=1)
    machine.commit()
    machine.process(count=1)
    machine.commit()
    machine.what_is_read_is_what_the_model_says()
    assert machine.model == {"a": 1}
    machine.teardown()


def copied_at_once(source, copy):
    """Copy a directory; returns whether nothing changed in it meanwhile."""

    def files():
        return {entry.path: (entry.stat().st_mtime_ns, entry.stat().st_size) for entry in os.scandir(source)}

    try:
        before = files()
        shutil.copytree(source, copy)
        return before == files()
    except (shutil.Error, FileNotFoundError):
        return False


def run(examples, steps):
    told = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Anything, settings=told)


def test_anything_in_any_order():
    run(150 if os.environ.get("CI") else 40, 30)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS_MAX)
def test_anything_in_any_order_for_long():
    run(of_soak(5_000), 60)
