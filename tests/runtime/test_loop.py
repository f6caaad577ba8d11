"""The loop's reactions to errors, without a broker: the parts around it are made up."""

import logging
from types import SimpleNamespace

import pytest

from engine.config import EngineConfig
from engine.errors import Fatal
from engine.runtime import loop as loops
from engine.runtime.aborts import RebalanceOvertook, TransactionAborted
from engine.runtime.loop import Loop


class Committer:
    """Fails as often as a test says."""

    def __init__(self):
        self.commits_total = 0
        self.committed_at = 0.0
        self.errors = []

    def commit(self, _tasks):
        if self.errors:
            raise self.errors.pop(0)
        self.commits_total += 1


class Tasks:
    """None that runs, but always something to undo after a failure."""

    undo_due = False

    def __init__(self):
        self.undone = 0

    def running(self):
        return []

    def before_poll(self):
        pass

    def settle(self, batches):
        return batches

    def collect(self):
        return True

    def roll_back(self):
        self.undone += 1
        self.undo_due = False


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.setattr(loops, "OVERTAKEN_SECONDS", 0.0)
    nothing = SimpleNamespace(poll=lambda *_: [], raise_failure=lambda: None)
    return Loop(EngineConfig("shop"), nothing, nothing, nothing, Tasks(), Committer())


def test_a_rebalance_may_overtake_any_number_of_commits(loop, caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loops.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, "engine.runtime.loop")
    loop._committer.errors = [RebalanceOvertook("between two generations") for _ in range(30)]
    for _ in range(30):
        loop.turn()
        now[0] += 1.0
    loop.turn()
    assert loop._committer.commits_total == 1
    assert loop._tasks.undone == 30
    # The session is 10 s by default: until then it is any rebalance, after that people should hear of it.
    said = [r for r in caplog.records if "kept commits from counting" in r.message]
    assert [r.levelname for r in said] == ["INFO"] * 11 + ["WARNING"] * 19


def test_ten_commits_that_fail_in_a_row_stop_the_engine(loop):
    loop._committer.errors = [TransactionAborted("refused") for _ in range(9)]
    for _ in range(10):
        loop.turn()
    loop._committer.errors = [TransactionAborted("refused") for _ in range(10)]
    for _ in range(9):
        loop.turn()
    with pytest.raises(Fatal, match="10 commits in a row failed"):
        loop.turn()


def test_how_long_it_has_worked_counts_the_turn_that_it_is_in(loop, monkeypatch):
    now, told = [100.0], []
    monkeypatch.setattr(loops.time, "monotonic", lambda: now[0])

    def works():
        now[0] += 2.0
        told.append(loop.busy_seconds)

    loop._housekeeping = works
    loop.turn()
    assert told == [0.0]
    loop._consumer.poll = lambda *_: [object()]
    loop._tasks.route = lambda _batches: None
    loop.turn()
    assert told == [0.0, 2.0]
    assert loop.busy_seconds == 2.0
    loop._consumer.poll = lambda *_: []
    loop.turn()
    assert loop.busy_seconds == 2.0


def test_a_turn_that_fails_counts_until_the_next_begins(loop, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(loops.time, "monotonic", lambda: now[0])
    loop._consumer.poll = lambda *_: [object()]

    def fails(_batches):
        now[0] += 3.0
        raise TransactionAborted("refused")

    loop._tasks.route = fails
    loop.turn()
    assert loop.busy_seconds == 3.0
    loop._consumer.poll = lambda *_: []
    loop.turn()
    now[0] += 5.0
    assert loop.busy_seconds == 3.0


class Writing:
    """A task that always has records and writes `SIZE` bytes for them."""

    SIZE = 60
    held = dirty = False
    confirmed = True

    def __init__(self, name, done):
        self.id = name
        self.uncommitted_bytes = 0
        self.context = SimpleNamespace(commit_requested=False)
        self._done = done

    def process(self, _now_ms, records_max):
        self.uncommitted_bytes += self.SIZE
        self._done.append(self.id)
        return records_max

    def punctuate(self):
        pass


def test_a_commit_comes_between_tasks_whose_writes_reach_the_bound_and_each_gets_its_turn(loop):
    done = []
    tasks = [Writing(name, done) for name in ("0_0", "0_1", "0_2")]

    def commit(committed):
        for task in committed:
            task.uncommitted_bytes = 0
        done.append("commit")

    loop._config = EngineConfig("shop", uncommitted_bytes_max=100)
    loop._tasks.running = lambda: tasks
    loop._tasks.resume = lambda _task: None
    loop._tasks.collect = lambda: False
    loop._committer.commit = commit
    for _ in range(3):
        # Not due by time.
        loop._committer.committed_at = loops.time.monotonic()
        loop.turn()
        assert loop._poll_seconds() == 0.0
    assert done == ["0_0", "0_1", "commit", "0_2", "0_0", "commit", "0_1", "0_2", "commit"]
    # A task that has gone meanwhile leaves the first place to the next best.
    tasks.remove(next(task for task in tasks if task.id == loop._first))
    loop._committer.committed_at = loops.time.monotonic()
    loop.turn()
    assert done[-3:] == ["0_1", "0_2", "commit"]
