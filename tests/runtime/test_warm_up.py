"""When a starting instance joins: its standbys first, but never while a task has nobody."""

import pytest

from engine.errors import BrokerUnavailable
from engine.runtime.warm_up import WarmUp

TASKS = {"0_0", "0_1"}
ELSEWHERE = dict.fromkeys(TASKS, "other")


class World:
    """What a warm-up looks at, set by hand."""

    def __init__(self, owners=ELSEWHERE, lags=None, *, known=True):
        self.owned, self.behind, self.known = dict(owners), lags or {}, known
        self.now, self.joined, self.unavailable = 100.0, False, 0
        self.warm_up = WarmUp(
            TASKS,
            self,
            self,
            self.join,
            peers_known=lambda: self.known,
            acceptable_lag=10,
            timeout_seconds=60,
            clock=lambda: self.now,
        )

    def join(self):
        if self.unavailable:
            self.unavailable -= 1
            raise BrokerUnavailable("a test says so")
        self.joined = True

    def owners(self):
        return self.owned

    def decide(self):
        pass

    def lags(self):
        return self.behind

    def after(self, seconds=0.1):
        self.now += seconds
        self.warm_up.turn()
        return self.joined


def test_alone_it_joins_at_once():
    assert World(owners={}).after()


def test_brokers_that_do_not_answer_as_it_joins_are_asked_again():
    world = World(owners={})
    world.unavailable = 1
    with pytest.raises(BrokerUnavailable):
        world.after()
    assert world.warm_up.reason == "joins its group"
    assert world.after()
    assert world.warm_up.reason is None


def test_with_no_standbys_placed_at_it_it_joins_at_once():
    """As with more instances than tasks."""
    assert World(lags={}).after()


@pytest.mark.parametrize(("lag", "joins"), [(None, False), (11, False), (10, True)])
def test_it_waits_for_its_standbys(lag, joins):
    world = World(lags={"0_0": lag, "0_1": 0})
    assert world.after() is joins
    assert joins or "warms up 1 standbys before it joins" in world.warm_up.reason


def test_it_waits_no_longer_than_it_was_told():
    world = World(lags={"0_0": 1_000})
    assert not world.after(59)
    assert world.after(2)


def test_a_task_without_an_owner_ends_the_warm_up():
    world = World(lags={"0_0": 1_000})
    assert not world.after()
    del world.owned["0_1"]
    assert not world.after(1)
    world.owned["0_1"] = "third"  # it only moved
    assert not world.after(5)
    del world.owned["0_1"]
    assert not world.after(1)
    assert world.after(2)


def test_it_does_not_wait_for_ever_for_the_status_topic():
    world = World(known=False)
    assert not world.after(4)
    assert world.after(2)


def test_it_joins_once():
    world = World(owners={})
    assert world.after()
    world.joined = False
    assert not world.after()
