"""All tasks of an instance, as the group's callbacks find them in the middle of a failure."""

from types import SimpleNamespace

import pytest

from engine.errors import BrokerUnavailable
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
    found.by_id = {"0_0": SimpleNamespace(id="0_0", state="running", rollback=list)}
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
