"""A swap that is given up when its new store has been handed over already, without a broker."""

import threading
from types import SimpleNamespace

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
