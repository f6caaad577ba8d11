"""Two instances take their turns in any order, while the group moves tasks, commits fail and instances pause and die.

Beside `test_anything_in_any_order`, which holds one task: here it is what lies around the tasks. Real: the loop, the
membership's callbacks, the tasks with their queues, processors and stores, the committer. Made up: the broker, as logs
whose transactions happen whole or not at all; the group, which takes commits of members that know its generation; the
clients, which bring records from before and after a callback in one poll, as librdkafka does; the restorer, without its
thread.
"""

import logging
import random
import shutil
import tempfile
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from engine import Consumed, Materialized, Produced, StreamsBuilder, serdes
from engine.changelog.restore import Restoring
from engine.config import EngineConfig
from engine.errors import BrokerUnavailable, TaskCorrupted
from engine.records import RawBatch
from engine.runtime import active_task
from engine.runtime import loop as loops
from engine.runtime.aborts import OutcomeUnknown, RebalanceOvertook, TransactionAborted
from engine.runtime.active_task import Committed, OpenStore, TaskParts
from engine.runtime.blueprint import survey
from engine.runtime.commit import Committer
from engine.runtime.loop import Loop
from engine.runtime.mapping import TaskMapping
from engine.runtime.membership import Membership
from engine.runtime.task import Task
from engine.runtime.tasks import Tasks
from engine.stores import open_store
from tests.faults.broker_on_paper import CHANGELOG, DEAD, Broker, Transaction
from tests.faults.lengths import SEED, lengths

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of its own there
TASKS = ("0_0", "0_1")
INPUTS = ("left", "right")
POLL_RECORDS = 3
RESTORED_AT_ONCE = 3
STEPS = 60
UNREADABLE = b"\xff"
TROUBLE = ("overtaken", "aborted", "no coordinator", "unknown, committed", "unknown, lost", "away")
# What two instances need at most to settle: callbacks, restores and what is left to read, a few records a turn.
TURNS_TO_SETTLE = 200


class GroupedBroker(Broker):
    """With the group and its generation."""

    def __init__(self):
        super().__init__([(topic, p) for topic in INPUTS for p in (0, 1)])
        self.generation = 0
        self.known = set()  # places whose offsets were committed once
        self.owners = dict.fromkeys(TASKS)  # which instance has a task, or has to give it up first
        self.moving = set()


class TroubledTransaction(Transaction):
    """Fenced as a group fences; `trouble` meets the next commit."""

    def __init__(self, broker):
        super().__init__(broker)
        self.trouble = None
        self.unknown = False

    def send(self, *columns, **more):
        assert not self.unknown, "sent into a transaction that has ended"
        super().send(*columns, **more)

    def send_offsets(self, offsets, group):
        if self.trouble == "no coordinator":
            raise BrokerUnavailable(self.take_trouble())
        if self.trouble in ("overtaken", "aborted"):
            kind = RebalanceOvertook if self.take_trouble() == "overtaken" else TransactionAborted
            raise kind("a test says so")
        member, generation = group
        if not member:
            raise TransactionAborted("unknown member")
        if generation != self.broker.generation:
            raise RebalanceOvertook("the generation is another one by now")
        super().send_offsets(offsets, group)

    def commit(self):
        trouble = self.take_trouble()
        if trouble is None or trouble == "unknown, committed":
            for partition, records in self.changelogs.items():
                known = {(topic, partition) for topic in INPUTS} <= self.broker.known
                assert known or not records, "written before the group knew an offset"
            self.broker.known |= {(place.topic, place.partition) for place in self.offsets}
            super().commit()
        if trouble is not None:
            self.unknown = True
            raise OutcomeUnknown(trouble)

    def abort(self):
        if self.trouble == "away":
            self.take_trouble()
            raise BrokerUnavailable("a test says so")
        known, self.unknown = not self.unknown, False
        return super().abort() and known

    def take_trouble(self):
        trouble, self.trouble = self.trouble, None
        return trouble


class Input:
    """The consumer of one instance, and its place in the group. Callbacks wait in `events` until a poll lets them run."""

    def __init__(self, broker):
        self.broker = broker
        self.positions = {}
        self.paused = set()
        self.events = deque()
        self.member, self.generation = True, broker.generation
        self.before = self.after = 0
        self.delivers = False

    def poll(self, _seconds):
        found = self._fetched(self.before)
        while self.delivers and self.events:
            self.events.popleft()()
        for place, rows in self._fetched(self.after).items():
            found.setdefault(place, []).extend(rows)
        self.before = self.after = 0
        return [self._batch(place, rows) for place, rows in found.items() if rows]

    def _fetched(self, count):
        found = {}
        for place in sorted(self.positions.keys() - self.paused):
            at = self.positions[place]
            rows = list(enumerate(self.broker.logs[place]))[at : at + count]
            found[place] = rows
            self.positions[place] += len(rows)
        return found

    @staticmethod
    def _batch(place, rows):
        offsets = [offset for offset, _ in rows]
        keys, times = [key for _, (key, _) in rows], [at for _, (_, at) in rows]
        return RawBatch(*place, offsets, keys, [b"v"] * len(rows), times, None)

    def lag(self, place):
        return len(self.broker.logs[place]) - self.positions[place]

    def assign(self, offsets, _ends=None):
        for place in offsets:
            assert (place.topic, place.partition) not in self.positions, "assigned twice"
            self.positions[place.topic, place.partition] = place.offset

    def unassign(self, places):
        for place in places:
            del self.positions[place]
            self.paused.discard(place)

    def pause(self, place):
        self.paused.add(place)

    def resume(self, place):
        self.paused.discard(place)

    def group(self):
        return self.member, self.generation

    # What the membership wants of librdkafka's client.
    def memberid(self):
        return "a member"

    def incremental_assign(self, _partitions):
        pass

    def incremental_unassign(self, _partitions):
        pass


class ReadingTask(Task):
    """A task whose processors read their store as they begin, as suppress does."""

    def __init__(self, plan, context, stores, *more, **named):
        if getattr(stores["counts"], "unreadable", False):
            raise TaskCorrupted("a test says so")
        super().__init__(plan, context, stores, *more, **named)


class Restores:
    """The restorer, without a thread: what is `held` finishes later. The next store that it opens may be `unreadable`."""

    def __init__(self, broker, folder):
        self.broker, self.folder = broker, folder
        self.held = self.unreadable = False
        self.wanted = []
        self.standbys = SimpleNamespace(published=())

    def submit(self, wanted):
        self.wanted.append(wanted)

    def cancel(self, wanted, *, stays):
        assert not stays
        self.wanted.remove(wanted)

    def finished(self):
        if self.held:
            return []
        done, self.wanted = self.wanted, []
        for wanted in done:
            wanted.committed = {place: Committed(self.broker.committed[place]) for place in wanted.places}
            (spec,) = wanted.specs.values()
            folder = self.folder / wanted.task if spec.backend == "rocksdb" else None
            store = open_store(spec, folder, wanted.context)
            log = self.broker.changelogs[wanted.partition]
            begin, end = store.position or 0, len(log)
            restoring = Restoring(wanted.task, "counts", CHANGELOG, wanted.partition, store, begin, end, "a test")
            while not restoring.done:
                upto = min(restoring.position + RESTORED_AT_ONCE, end)
                restoring.apply([r for r in log[restoring.position : upto] if r is not None], upto)
            store.unreadable, self.unreadable = self.unreadable, False
            wanted.stores = {"counts": OpenStore(spec, store, None, CHANGELOG)}
        return done


class DeadLetters:
    """What becomes of records that no serde takes: the place of each, in the transaction that takes the position past it."""

    may_skip = False

    def __init__(self, producer):
        self.producer = producer

    def deserialization(self, raw, row, _error):
        self.producer.send(DEAD, [(raw.topic, raw.partition)], [raw.offsets[row]], [0])


class Instance:
    """One life of an instance."""

    def __init__(self, blueprint, broker, folder):
        self.input = Input(broker)
        self.producer = TroubledTransaction(broker)
        self.restores = Restores(broker, folder)
        parts = TaskParts(
            application_id="shop",
            collector=self.producer,
            handlers=DeadLetters(self.producer),
            wall_clock=lambda: 0,
            lag=self.input.lag,
            seen=lambda _: 0,
            received=lambda *_: None,
        )
        self.tasks = Tasks(blueprint, parts, self.restores, POLL_RECORDS, lambda *_, **__: None)
        self.tasks.consumer = self.input
        self.tasks.committer = Committer(self.producer, self.input)
        self.membership = Membership("shop-tasks", TaskMapping("", TASKS), self.tasks)
        self.loop = Loop(
            EngineConfig("shop", poll_records=POLL_RECORDS),
            self.input,
            self.producer,
            self.membership,
            self.tasks,
            self.tasks.committer,
        )
        self.loop._commit_every = float("inf")  # the machine says when

    def turn(self, before, after, *, delivers, commits):
        self.input.before, self.input.after, self.input.delivers = before, after, delivers
        if commits:
            self.loop.request_commit()
        self.loop.turn()

    def counts(self):
        """What each running task holds as committed, by partition."""
        found = {}
        for task in self.tasks.running():
            rows = task.stores["counts"].store.committed().all(limit=100)
            found[task.partition] = {row.key.decode(): int.from_bytes(row.value[-8:], "big") for row in rows}
        return found


def topology(backend):
    builder = StreamsBuilder()
    left, right = (builder.stream(topic, Consumed(serdes.string, serdes.string)) for topic in INPUTS)
    (
        left.merge(right)
        .group_by_key()
        .count(Materialized("counts", serdes.string, serdes.int64, store=backend))
        .to_stream()
        .to("out", Produced(serdes.string, serdes.int64))
    )
    return builder.build()


class Turns:
    """Two instances, two tasks of two inputs each: the logs always hold the fold of the input that is committed."""

    def __init__(self, backend):
        self.mended = ExitStack()
        for name in ("RETRY_SECONDS", "OVERTAKEN_SECONDS"):
            self.mended.enter_context(mock.patch.object(loops, name, 0.0))
        self.mended.enter_context(mock.patch.object(loops, "ABORTS_IN_A_ROW_MAX", 10_000))
        self.mended.enter_context(mock.patch.object(active_task, "Task", ReadingTask))
        self.folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
        topics = SimpleNamespace(partition_counts=lambda asked: dict.fromkeys(asked, 2))
        self.blueprint = survey(topology(backend), EngineConfig("shop"), topics)
        assert tuple(self.blueprint.tasks) == TASKS
        self.broker = GroupedBroker()
        self.clock = 0
        self.instances = [self.started(0), self.started(1)]
        for number, task in enumerate(TASKS):
            self.give(task, number)

    def settle(self):
        """Let everything come to rest, and hold it against the model."""
        for instance in self.instances:
            instance.restores.held = False
        for _ in range(TURNS_TO_SETTLE):
            for instance in self.instances:
                self.hear(instance)
                instance.producer.trouble = None
                instance.turn(2, 2, delivers=True, commits=True)
            if self.is_settled():
                break
        self.check()
        assert {p: len(log) for p, log in self.broker.logs.items()} == self.broker.committed
        found = {}
        for instance in self.instances:
            for partition, counts in instance.counts().items():
                assert partition not in found, "two instances run one task"
                found[partition] = counts
        assert found == {p: self.expected(p) for p in (0, 1)}

    def close(self):
        for instance in self.instances:
            instance.tasks.close_all(clean=True)
        shutil.rmtree(self.folder)
        self.mended.close()

    # What happens ------------------------------------------------------------------------------------------------------

    def produce(self, topic, partition, count, key):
        for _ in range(count):
            self.clock += 1
            found = UNREADABLE if key is None else f"{partition}{key}".encode()
            self.broker.logs[topic, partition].append((found, self.clock))

    def turn(self, which, before, after, delivers, commits):
        self.instances[which].turn(before, after, delivers=delivers, commits=commits)

    def hears_of_the_generation(self, which):
        """The client's own thread answers the group; what that means for the tasks waits for the next poll."""
        self.hear(self.instances[which])

    def moves(self, task):
        """A rebalance: the owner gives the task up within a poll, and only then does the other one get it."""
        owner = self.broker.owners[task]
        instance = self.instances[owner]
        if task in self.broker.moving or not instance.input.member:
            return
        self.broker.moving.add(task)
        self.broker.generation += 1

        def revoked():
            self.hear(instance)
            instance.membership._on_revoke(instance.input, self.partitions([task]))
            self.give(task, 1 - owner)

        instance.input.events.append(revoked)

    def is_expelled(self, which):
        """Its session ends, as after a pause: its tasks are the other's before it hears of it, and then it joins anew."""
        instance = self.instances[which]
        if not instance.input.member:
            return
        self.leaves(which)
        instance.input.events.clear()

        def lost():
            held = sorted(instance.membership.tasks)
            if held:
                instance.membership._on_lost(instance.input, self.partitions(held))
            instance.input.member = True
            self.hear(instance)

        instance.input.events.append(lost)

    def dies(self, which):
        instance = self.instances[which]
        # Frees what a process would take with it; without a flush, so that nothing uncommitted is kept.
        instance.tasks.close_all(clean=False)
        self.leaves(which)
        self.instances[which] = self.started(which)

    def is_in_for_trouble(self, which, trouble):
        self.instances[which].producer.trouble = trouble

    def a_store_fails(self, which):
        """A reader has met a bad block: the store takes nothing any more, not even what is committed already."""
        running = self.instances[which].tasks.running()
        if running:
            store = running[0].stores["counts"].store

            def commit(_position):
                raise TaskCorrupted("a test says so")

            store.commit = commit
            # Of a store on disk it is a property.
            setattr(store.backend, "_damage" if store.backend.persistent else "damaged", "a test says so")

    def a_store_is_damaged_as_it_opens(self, which):
        """The next take-over there finds it only when its processors begin."""
        self.instances[which].restores.unreadable = True

    def restores_take_their_time(self, which, held):
        self.instances[which].restores.held = held

    # What holds --------------------------------------------------------------------------------------------------------

    def check(self):
        written = {}
        for key, value in self.broker.output:
            count = int.from_bytes(value, "big")
            assert count > written.get(key.decode(), 0), "written twice"
            written[key.decode()] = count
        unreadable = [
            (place, offset)
            for place, log in self.broker.logs.items()
            for offset, (key, _) in enumerate(log[: self.broker.committed[place]])
            if key == UNREADABLE
        ]
        assert sorted(self.broker.dead) == sorted(unreadable)
        logged = {p: self.fold(self.broker.changelogs[p]) for p in (0, 1)}
        assert logged == {p: self.expected(p) for p in (0, 1)}
        assert written == logged[0] | logged[1]

    def expected(self, partition):
        found = {}
        for topic in INPUTS:
            for key, _ in self.broker.logs[topic, partition][: self.broker.committed[topic, partition]]:
                if key != UNREADABLE:
                    found[key.decode()] = found.get(key.decode(), 0) + 1
        return found

    @staticmethod
    def fold(changelog):
        return {key.decode(): int.from_bytes(value[-8:], "big") for key, value, *_ in filter(None, changelog)}

    # How it is done ----------------------------------------------------------------------------------------------------

    def started(self, which):
        return Instance(self.blueprint, self.broker, self.folder / str(which))

    def is_settled(self):
        """Whether everything is read and every task runs where the group says."""
        running = {task.id: which for which in (0, 1) for task in self.instances[which].tasks.running()}
        read = all(self.broker.committed[place] == len(log) for place, log in self.broker.logs.items())
        return read and running == self.broker.owners and not self.broker.moving

    def hear(self, instance):
        if instance.input.member:
            instance.input.generation = self.broker.generation

    def give(self, task, to):
        self.broker.generation += 1
        self.broker.owners[task] = to
        self.broker.moving.discard(task)
        instance = self.instances[to]

        def assigned():
            self.hear(instance)
            instance.membership._on_assign(instance.input, self.partitions([task]))

        if instance.input.member:
            instance.input.events.append(assigned)
        else:
            # It is told once it has joined again.
            instance.input.events.append(lambda: self.hear(instance))
            instance.input.events.append(assigned)

    def leaves(self, which):
        """The group goes on without a member: what it had, or had yet to give up, is the other's."""
        self.instances[which].input.member = False
        self.broker.generation += 1
        for task, owner in self.broker.owners.items():
            if owner == which:
                self.give(task, 1 - which)

    @staticmethod
    def partitions(tasks):
        return [SimpleNamespace(topic="shop-tasks", partition=TASKS.index(task)) for task in tasks]


HAPPENS_TO_ONE = {
    "hears": "hears_of_the_generation",
    "expelled": "is_expelled",
    "dies": "dies",
    "damage": "a_store_fails",
    "opens damaged": "a_store_is_damaged_as_it_opens",
}


def steps(chance):
    """What happens to `Turns`, as a method's name and its arguments; most of it is turns."""
    for _ in range(STEPS):
        which = chance.randrange(2)
        kind = chance.choices(
            ("turn", "produce", "trouble", "moves", "hears", "expelled", "dies", "held", "damage", "opens damaged"),
            (12, 6, 3, 3, 1, 1, 1, 3, 1, 1),
        )[0]
        match kind:
            case "turn":
                arrive = chance.randrange(6), chance.randrange(6)
                yield "turn", (which, *arrive, chance.random() < 0.5, chance.random() < 0.5)
            case "produce":
                yield (
                    "produce",
                    (chance.choice(INPUTS), chance.randrange(2), chance.randint(1, 5), chance.choice(["a", "b", None])),
                )
            case "trouble":
                yield "is_in_for_trouble", (which, chance.choice(TROUBLE))
            case "moves":
                yield "moves", (chance.choice(TASKS),)
            case "hears" | "expelled" | "dies" | "damage" | "opens damaged":
                yield HAPPENS_TO_ONE[kind], (which,)
            case "held":
                yield "restores_take_their_time", (which, chance.random() < 0.5)


def walk(seed):
    """One walk through what can happen; what fails says the seed and every step."""
    chance = random.Random(seed)
    turns = Turns(chance.choice(["rocksdb", "in-memory", "in-memory", "in-memory"]))
    done = []
    try:
        for name, arguments in steps(chance):
            done.append(f"turns.{name}{arguments}")
            getattr(turns, name)(*arguments)
            turns.check()
        turns.settle()
    except Exception as error:
        error.add_note("\n".join([f"seed {seed}", *done]))
        raise
    finally:
        turns.close()


@lengths("walks", 500, 50_000)
def test_turns_in_any_order(walks, caplog):
    caplog.set_level(logging.CRITICAL)
    for seed in range(SEED, SEED + walks):
        walk(seed)
