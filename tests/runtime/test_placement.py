"""Where standbys go: elsewhere than their task, agreed on without talking, and kept until others have what they have."""

from types import SimpleNamespace

import pytest

from engine.runtime.placement import Placement, standby_instances

TASKS = [f"0_{n}" for n in range(40)]
PLAIN = "0_39"  # has no changelog


class Instance:
    """One instance's placement over reports that a test sets by hand."""

    def __init__(self, name, world, replicas=1):
        self.name, self.world = name, world
        self.held = set()
        self.by_id, self.leaving = set(), False
        self.placement = Placement(
            SimpleNamespace(tasks=TASKS),
            self,
            self,
            world,
            name,
            replicas=replicas,
            acceptable_lag=100,
            grace_seconds=10,
            clock=lambda: world.now,
        )

    # As `Tasks` and `Standbys`:

    def can_stand_by(self, task):
        return task != PLAIN

    def stand_by(self, task):
        self.held.add(task)

    def drop(self, task):
        self.held.discard(task)

    def get(self, task):
        return SimpleNamespace(lag=self.world.lags.get((task, self.name))) if task in self.held else None

    def decide(self):
        self.by_id = {task for task, owner in self.world.owned.items() if owner == self.name}
        self.held -= self.by_id
        self.placement.decide()
        return self.held


class World:
    """What everybody reported."""

    def __init__(self, *names, replicas=1):
        self.now = 100.0
        self.names = set(names)
        self.owned = {task: names[n % len(names)] for n, task in enumerate(TASKS)}
        self.lags = {}
        self.instances = {name: Instance(name, self, replicas) for name in names}

    def live(self):
        return set(self.names)

    def owners(self):
        return {task: owner for task, owner in self.owned.items() if owner in self.names}

    def lag(self, task, instance):
        return self.lags.get((task, instance))

    def holders(self):
        for name in sorted(self.names):
            self.instances[name].decide()
        return {task: {name for name in self.names if task in self.instances[name].held} for task in TASKS}


@pytest.mark.parametrize(
    ("names", "replicas", "copies"), [("a", 1, 0), ("ab", 1, 1), ("abc", 1, 1), ("abc", 2, 2), ("ab", 5, 1)]
)
def test_every_task_has_its_copies_and_none_beside_the_task(names, replicas, copies):
    world = World(*names, replicas=replicas)
    for task, holders in world.holders().items():
        assert len(holders) == (copies if task != PLAIN else 0)
        assert world.owned[task] not in holders


def test_a_copy_stays_while_its_task_has_no_owner():
    world = World("a", "b", "c")
    before = world.holders()
    for task in TASKS:
        del world.owned[task]
    assert world.holders() == before


def test_a_copy_that_belongs_elsewhere_goes_once_that_one_has_caught_up():
    world = World("a", "b")
    before = world.holders()
    world.names.add("c")
    world.instances["c"] = Instance("c", world)
    both = world.holders()
    gained = {task for task in TASKS if "c" in both[task]}
    assert gained
    assert all(both[task] >= before[task] for task in TASKS)
    world.lags = {(task, "c"): 101 for task in gained}
    assert world.holders() == both
    world.lags = {(task, "c"): 100 for task in gained}
    assert world.holders() == {task: {"c"} if task in gained else before[task] for task in TASKS}


def test_a_copy_that_has_come_furthest_stays_while_those_chosen_are_behind_it():
    world = World("c1", "c2", "c3")
    world.owned = dict.fromkeys(TASKS, "c3")
    for name in ("c1", "c2"):
        world.instances[name].held = set(TASKS) - {PLAIN}
    behind = {(task, "c1"): 10**9 for task in TASKS}
    world.lags = behind | {(task, "c2"): 1_000 for task in TASKS}
    assert all(holders == {"c1", "c2"} for task, holders in world.holders().items() if task != PLAIN)
    world.lags = behind | {(task, "c2"): 100 for task in TASKS}
    belongs = {task: standby_instances(task, ["c1", "c2"], 1) for task in TASKS if task != PLAIN}
    found = world.holders()
    assert {task: found[task] for task in belongs} == {
        t: {"c2"} if b == ["c2"] else {"c1", "c2"} for t, b in belongs.items()
    }


def test_a_newcomer_warms_up_all_of_its_share_at_once():
    """No bound like max.warmup.replicas: what is placed at it is its standbys, and they stay."""
    world = World("c1", "c2")
    world.owned = dict.fromkeys(TASKS, "c1")
    assert {task for task, holders in world.holders().items() if holders == {"c2"}} == set(TASKS) - {PLAIN}
    assert world.instances["c2"].placement.lags() == dict.fromkeys(set(TASKS) - {PLAIN})


def test_newcomers_share_what_there_is_to_warm_up():
    world = World("c1", "c2", "c3")
    world.owned = dict.fromkeys(TASKS, "c1")
    found = [holders for task, holders in world.holders().items() if task != PLAIN]
    assert all(len(holders) == 1 for holders in found)
    assert all(sum(holders == {name} for holders in found) > len(found) // 3 for name in ("c2", "c3"))


def test_without_replicas_nobody_warms_up():
    """Nor is there anything to wait for: who starts joins, and restores what the group gives it."""
    world = World("c1", "c2", "c3", replicas=0)
    world.owned = dict.fromkeys(TASKS, "c1")
    assert not any(world.holders().values())
    assert [world.instances[name].placement.lags() for name in ("c2", "c3")] == [{}, {}]


def test_an_instance_that_is_gone_for_a_moment_moves_nothing():
    world = World("a", "b", "c")
    before = world.holders()
    of_c = {task for task in TASKS if before[task] == {"c"} and world.owned[task] != "c"}
    assert of_c
    world.names.remove("c")
    world.now += 10
    found = world.holders()
    assert all(not found[task] for task in of_c)
    world.now += 1
    found = world.holders()
    assert all(found[task] and world.owned[task] not in found[task] for task in of_c)


def test_what_a_warm_up_waits_for_is_what_belongs_here():
    world = World("a", "b")
    a = world.instances["a"]
    a.decide()
    assert a.placement.lags() == {task: None for task in TASKS if world.owned[task] == "b" and task != PLAIN}
    world.lags = {("0_1", "a"): 7}
    assert a.placement.lags()["0_1"] == 7


def test_placement_moves_only_what_it_must():
    tasks = [f"0_{n}" for n in range(300)]
    three = {t: standby_instances(t, ["a", "b", "c"], 1)[0] for t in tasks}
    assert {name: sum(v == name for v in three.values()) > 60 for name in "abc"} == dict.fromkeys("abc", True)
    four = {t: standby_instances(t, ["d", "c", "b", "a"], 1)[0] for t in tasks}
    assert {four[t] for t in tasks if four[t] != three[t]} == {"d"}
    two = {t: standby_instances(t, ["a", "b"], 1)[0] for t in tasks}
    assert {three[t] for t in tasks if two[t] != three[t]} == {"c"}
