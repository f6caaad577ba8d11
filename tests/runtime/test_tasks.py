"""All tasks of an instance, as the group's callbacks find them in the middle of a failure."""

from types import SimpleNamespace

import pytest
from confluent_kafka import TopicPartition

from engine.config import EngineConfig
from engine.errors import BrokerUnavailable, DiskFull, TaskCorrupted
from engine.records import RawBatch
from engine.runtime.loop import Loop
from engine.runtime.tasks import Tasks


class Committer:
    """Notes what it is asked for; `fails` as often as a test says."""

    def __init__(self):
        self.calls = []
        self.fails = 0

    def commit(self, _tasks):
        self._note("commit")

    def abort(self):
        self._note("abort")
        return True

    def _note(self, call):
        self.calls.append(call)
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailable("a test says so")


@pytest.fixture
def tasks(monkeypatch):
    found = Tasks(None, None, None, 1, lambda *_, **__: None)
    found.committer = Committer()
    found.by_id = {"0_0": SimpleNamespace(id="0_0", state="running", behind=False, rollback=list)}
    monkeypatch.setattr(found, "_rewind", lambda task, _: found.committer.calls.append(f"rewind {task.id}"))
    monkeypatch.setattr(found, "_close", lambda name, **_: found.committer.calls.append(f"close {name}"))
    return found


def test_a_revoked_task_is_committed_and_closed(tasks):
    tasks.tasks_revoked(["0_0"])
    assert tasks.committer.calls == ["commit", "close 0_0"]
    assert not tasks.undo_due


def test_half_of_a_turn_that_failed_is_undone_not_committed_when_a_task_is_revoked(tasks):
    tasks.undo_due = True
    tasks.tasks_revoked(["0_0"])
    assert tasks.committer.calls == ["abort", "rewind 0_0", "close 0_0"]
    assert not tasks.undo_due


def test_what_could_not_be_undone_in_a_callback_stays_to_be_undone(tasks):
    tasks.committer.fails = 2
    with pytest.raises(BrokerUnavailable):
        tasks.tasks_revoked(["0_0"])
    assert tasks.committer.calls == ["commit", "abort", "close 0_0"]
    assert tasks.undo_due


class ClosesBadly:
    """A running task whose stores say something when they are closed."""

    def __init__(self, name, error=None):
        self.id, self.state, self.places, self.error = name, "running", [], error
        self.closed = False

    def close(self, *, clean):  # noqa: ARG002 - as a task's
        self.closed = True
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("leave", ["tasks_revoked", "tasks_lost"])
def test_a_task_that_closes_badly_leaves_with_the_others(leave):
    tasks = Tasks(None, None, None, 1, lambda *_, **__: None)
    tasks.committer = Committer()
    tasks.consumer = Input(end=0)
    given = [ClosesBadly("0_0"), ClosesBadly("0_1", TaskCorrupted("a checksum is wrong")), ClosesBadly("0_2")]
    tasks.by_id = {task.id: task for task in given}
    getattr(tasks, leave)(list(tasks.by_id))
    assert all(task.closed for task in given)
    assert tasks.by_id == {}
    assert tasks.running() == []


def test_what_stops_the_engine_does_so_once_all_are_closed():
    tasks = Tasks(None, None, None, 1, lambda *_, **__: None)
    tasks.committer = Committer()
    tasks.consumer = Input(end=0)
    given = [ClosesBadly("0_0", DiskFull("no room")), ClosesBadly("0_1", DiskFull("no room"))]
    tasks.by_id = {task.id: task for task in given}
    with pytest.raises(DiskFull):
        tasks.tasks_revoked(list(tasks.by_id))
    assert all(task.closed for task in given)
    assert tasks.by_id == {}


def test_a_task_that_closes_badly_is_taken_over_again_all_the_same(monkeypatch):
    tasks = Tasks(None, None, None, 1, lambda *_, **__: None)
    tasks.consumer = Input(end=0)
    tasks.by_id = {"0_0": ClosesBadly("0_0", TaskCorrupted("a checksum is wrong"))}
    begun = []
    monkeypatch.setattr(tasks, "_begin", begun.append)
    tasks.retake("0_0", "a test says so")
    assert begun == ["0_0"]


class Input:
    """A consumer of one partition: `within_poll` happens before a poll returns what has arrived by then."""

    def __init__(self, end):
        self.end = end
        self.position = 0
        self.within_poll = None

    def poll(self, _seconds):
        if self.within_poll is not None:
            self.within_poll, callback = None, self.within_poll
            callback()
        offsets = list(range(self.position, self.end))
        self.position = self.end
        return (
            [RawBatch("in", 0, offsets, *([None] * len(offsets) for _ in range(2)), offsets, None)] if offsets else []
        )

    def unassign(self, _places):
        pass

    def assign(self, offsets, _ends=None):
        for place in offsets:
            self.position = place.offset


def test_what_a_poll_brings_after_a_callback_has_undone_is_read_again():
    """The poll before a roll back may find that a revocation does the undoing, and then bring records all the same."""
    tasks = Tasks(None, None, None, 10, lambda *_, **__: None)
    tasks.committer = Committer()
    tasks.consumer = Input(end=5)
    queue = SimpleNamespace(place=("in", 0), received=0, waiting=0, paused=False)
    taken = []

    def accept(raw):
        taken.extend(raw.offsets)
        queue.received = raw.offsets[-1] + 1

    def rollback():
        queue.received = 0
        return [TopicPartition("in", 0, 0)]

    task = SimpleNamespace(
        id="0_0",
        state="running",
        behind=False,
        places=[("in", 0)],
        inputs=SimpleNamespace(by_place={("in", 0): queue}),
        accept=accept,
        rollback=rollback,
    )
    tasks.by_id, tasks._by_place = {"0_0": task}, {("in", 0): task}
    nothing = SimpleNamespace(raise_failure=lambda: None)
    loop = Loop(EngineConfig("shop"), tasks.consumer, nothing, nothing, tasks, tasks.committer)
    tasks.undo_due = True
    tasks.consumer.within_poll = lambda: tasks.tasks_revoked([])
    loop._roll_back()
    assert tasks.committer.calls == ["abort"]
    tasks.route(tasks.settle(tasks.consumer.poll(0)))
    assert taken == [0, 1, 2, 3, 4]
