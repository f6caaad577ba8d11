"""A swap that is given up in its last steps, without a broker."""

import threading
from types import SimpleNamespace

import pytest

from engine.errors import StoreError
from engine.runtime.state_directory import StateDirectory
from engine.runtime.swap import Swap
from engine.runtime.swaps import Swaps


def test_a_store_that_was_handed_over_is_closed_when_its_task_has_left():
    closed, told = [], []
    task = SimpleNamespace(id="0_0", state="running", dirty=False, held=True)
    swap = Swap(task, "counts", "g00000002", lambda phase, *_: told.append(phase), phase="handed-over")
    swap.opened = SimpleNamespace(store=SimpleNamespace(close=lambda: closed.append(threading.current_thread())))
    swaps = Swaps(SimpleNamespace(follow=lambda _swap: None, wake=lambda: None), None)
    swaps.submit(swap)
    # Revoked between the restorer's last look and the loop's.
    task.state = "closing"
    swaps.after_commit()
    swaps.turn()
    assert told == ["failed"]
    assert len(closed) == 1
    assert not task.held


class StagedStore:
    """A handed-over store at position 10; RocksDB's last flush fails where its directory is gone."""

    position = 10

    def __init__(self, directory):
        self._directory = directory
        self.closed = False

    def close(self):
        self.closed = True
        if not self._directory.is_dir():
            raise StoreError(f"the store in {self._directory} cannot be closed")


@pytest.fixture
def directory(tmp_path):
    found = StateDirectory(tmp_path, "shop")
    for generation in ("g00000001", "g00000002"):
        found.generation_directory("0_0", "counts", generation).mkdir(parents=True)
    found.move_current("0_0", "counts", "g00000001")
    return found


def swaps_with(directory, phase):
    """The swaps of an instance that has one, in `phase`, of a task that is held for it."""
    task = SimpleNamespace(id="0_0", state="running", dirty=False, held=True)
    live = SimpleNamespace(store=SimpleNamespace(position=10, close=lambda: None), generation="g00000001")
    task.stores = {"counts": live}
    task.replace_store = lambda name, new: task.stores.update({name: new})
    told = []
    swap = Swap(task, "counts", "g00000002", lambda phase, _at, _end, error: told.append((phase, error)), phase=phase)
    store = StagedStore(directory.generation_directory("0_0", "counts", "g00000002"))
    swap.opened = SimpleNamespace(store=store, generation="g00000002")
    swaps = Swaps(SimpleNamespace(follow=lambda _swap: None, wake=lambda: None), directory)
    swaps.submit(swap)
    return swaps, swap, told


def test_a_generation_that_was_removed_meanwhile_is_not_made_live(directory):
    swaps, swap, told = swaps_with(directory, "handed-over")
    live = swap.task.stores["counts"]
    directory.remove_generation("0_0", "counts", "g00000002")
    swaps.turn()
    assert told == [("failed", "generation g00000002 was removed before the swap: start it again")]
    assert directory.current("0_0", "counts") == "g00000001"
    assert swap.task.stores["counts"] is live
    assert swap.opened.store.closed
    assert not swap.task.held


def test_a_task_is_let_go_when_the_restorer_gives_its_swap_up(directory):
    swaps, swap, _told = swaps_with(directory, "holding")
    swap.move("failed", "the changelog cannot be read")
    swaps.turn()
    assert not swap.task.held


def test_a_task_stays_held_for_another_of_its_stores():
    task = SimpleNamespace(id="0_0", state="running", dirty=False, held=True)
    failed, other = (Swap(task, name, None, lambda *_: None, phase="holding") for name in ("counts", "sums"))
    swaps = Swaps(SimpleNamespace(follow=lambda _swap: None, wake=lambda: None), None)
    for swap in (failed, other):
        swaps.submit(swap)
    failed.move("failed", "a test says so")
    swaps.turn()
    assert task.held
    other.move("failed", "a test says so")
    swaps.turn()
    assert not task.held
