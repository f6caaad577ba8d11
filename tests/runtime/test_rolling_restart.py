"""A rolling restart under load: whoever is stopped cleanly and started again restores what it missed, and no more."""

import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from engine.instance import Engine
from tests.runtime import programs
from tests.runtime.harness import PATIENCE_SECONDS, config, counted, create, eventually, fold, produce, read

pytestmark = pytest.mark.kafka
NAMES = ("one", "two", "three")
TASKS = {f"0_{partition}" for partition in range(6)}
KEYS = 6_000
PIECE = 25


class Load(threading.Thread):
    """Some hundred records a second, keys in turn, until it is ended."""

    def __init__(self, kafka, topic):
        super().__init__(daemon=True)
        self._kafka, self._topic, self._ending = kafka, topic, threading.Event()
        self.sent = Counter()

    def send(self, count):
        first = self.sent.total()
        keys = [f"k{n % KEYS}".encode() for n in range(first, first + count)]
        produce(self._kafka, self._topic, [(key, b"v") for key in keys])
        self.sent.update(keys)

    def run(self):
        while not self._ending.wait(0.05):
            self.send(PIECE)

    def end(self):
        self._ending.set()
        self.join()


class Fleet:
    """The instances of one application, each with a copy of everything; and each restore that was seen."""

    def __init__(self, build, settings):
        self.build, self.settings, self.engines, self.restores = build, settings, {}, {}

    def start(self, name):
        self.engines[name] = Engine(self.build, self.settings[name])
        self.engines[name].start()

    def stop(self, name):
        engine = self.engines.pop(name)
        engine.request_stop()
        engine.wait(PATIENCE_SECONDS)

    def settled(self):
        """Whether every task runs, every instance has some, and every other copy has caught up."""
        engines = self.engines.values()
        if not all(hasattr(engine, "warm_up") for engine in engines):
            return False
        self.look()
        running = [{t.id for t in engine.tasks.running()} for engine in engines]
        copies = [{s.task for s in engine.tasks.standbys if s.caught_up} for engine in engines]
        whole = all(own and own | copied == TASKS for own, copied in zip(running, copies, strict=True))
        return whole and sum(map(len, running)) == len(TASKS)

    def look(self):
        """Take note of restores: those of tasks, and those of copies until they have caught up."""
        for name, engine in self.engines.items():
            found = [r for task in engine.tasks.running() for r in task.restores.values()]
            found += [r for standby in engine.tasks.standbys for r in standby.restores]
            self.restores.update({(name, r.task, r.began_at): r for r in found})

    def positions(self):
        """Where each copy of each task stands."""
        found = {}
        for name, engine in self.engines.items():
            found |= {(name, s.task): s.stores["counts"].store.position for s in engine.tasks.standbys}
            found |= {(name, t.id): t.stores["counts"].store.position for t in engine.tasks.running()}
        return found

    def content(self, name):
        stores = [t.stores["counts"].store for t in self.engines[name].tasks.running()]
        stores += [s.stores["counts"].store for s in self.engines[name].tasks.standbys]
        rows = [row for store in stores for row in store.committed().range(None, None, limit=KEYS)]
        return {row.key: int.from_bytes(row.value, "big") for row in rows}


def test_a_rolling_restart_under_load_restores_no_more_than_was_missed(kafka, tmp_path):
    name = kafka.unique("rolling")
    create(kafka, programs.input_topic(name), partitions=len(TASKS))
    settings = {n: config(kafka, name, tmp_path / n, instance_id=n, num_standby_replicas=2) for n in NAMES}
    fleet, load = Fleet(programs.quiet_counts(name), settings), Load(kafka, programs.input_topic(name))
    load.send(KEYS)
    with ExitStack() as ending:
        ending.callback(lambda: [fleet.stop(n) for n in list(fleet.engines)])
        for instance in NAMES:
            fleet.start(instance)
        eventually(fleet.settled, "every task and its two copies")
        eventually(lambda: fleet.content("one") == dict.fromkeys(load.sent, 1), "all of it at one")
        load.start()
        ending.callback(load.end)
        for instance in NAMES:
            fleet.look()
            before, seen = fleet.positions(), set(fleet.restores)
            fleet.stop(instance)
            fleet.start(instance)
            eventually(fleet.settled, f"{instance} is back")
            fresh = {key: r for key, r in fleet.restores.items() if key not in seen}
            assert {task for at, task, _ in fresh if at == instance} == TASKS
            # Each copy went on from where it stood, or from further on.
            assert not {key: r for key, r in fresh.items() if r.start < before[key[:2]]}
        load.end()
        expected = dict(load.sent)
        for instance in NAMES:
            eventually(lambda instance=instance: fleet.content(instance) == expected, f"all of it at {instance}")
    assert counted(fold(read(kafka, f"{name}-counts-changelog"))) == expected
    generations = [path.name for path in tmp_path.glob(f"*/{name}/*/counts/g*")]
    assert generations == ["g00000001"] * len(NAMES) * len(TASKS)
