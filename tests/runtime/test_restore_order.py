"""In which order stores are restored: what is nearly there, then what readers ask for, then what is furthest behind."""

import time
from types import SimpleNamespace

import pytest

from engine.changelog.restore import Restoring
from engine.runtime.restore_pace import Pace
from engine.runtime.restorer import Restorer
from engine.topology.stores import StoreSpec


class ReaderOnPaper:
    """Notes who is read and who stands still."""

    def __init__(self):
        self.reading, self.still = {}, set()

    def add(self, restoring):
        self.reading[restoring.place] = restoring

    def pause(self, restorings):
        self.still |= {r.place for r in restorings}

    def resume(self, restorings):
        self.still -= {r.place for r in restorings}


@pytest.fixture
def restorer():
    found = Restorer(None, None, {"bootstrap.servers": "127.0.0.1:1"}, "nobody", pace=Pace(), partitions_max=2)
    found._reader.close()
    found._reader = ReaderOnPaper()
    return found


def wanted(restorer, **gaps):
    restores = {n: Restoring("0_0", n, n, 0, None, 100, 100 + gap, "new owner") for n, gap in gaps.items()}
    specs = {name: StoreSpec(name) for name in restores}
    stores = {name: SimpleNamespace(spec=spec, generation="g00000001") for name, spec in specs.items()}
    restorer._restoring.append(
        SimpleNamespace(
            task="0_0",
            restores=list(restores.values()),
            specs=specs,
            stores=stores,
            error=None,
            cancelled=False,
            done=False,
        )
    )
    return restores


def read(restorer):
    return {name for name, _ in restorer._reader.reading}


def test_the_furthest_behind_comes_first(restorer):
    wanted(restorer, little=5_000, most=90_000, much=50_000)
    restorer._admit()
    assert read(restorer) == {"most", "much"}


def test_what_readers_were_refused_comes_before_it(restorer):
    wanted(restorer, little=5_000, most=90_000, much=50_000)["little"].asked_at = time.monotonic()
    restorer._admit()
    assert read(restorer) == {"most", "little"}


def test_what_is_nearly_there_comes_before_all_and_the_others_stand_still(restorer):
    wanted(restorer, most=90_000)
    restorer._admit()
    late = wanted(restorer, marker=1, few=900)
    restorer._admit()
    assert read(restorer) == {"most", "marker", "few"}
    assert restorer._reader.still == {("most", 0)}
    for restoring in late.values():
        restoring.position = restoring.end
    restorer._admit()
    assert not restorer._reader.still


def test_what_was_cancelled_is_not_read(restorer):
    """Its store may have come back from a process closed: reading into it would stop the engine."""
    wanted(restorer, most=90_000)
    restorer._restoring[0].cancelled = True
    wanted(restorer, little=5_000)
    restorer._admit()
    assert read(restorer) == {"little"}


class ProcessesOnPaper:
    """Room for one restore of 10,000 records or more."""

    def __init__(self):
        self.lent, self.room = [], 1

    def turn(self):
        return []

    def suits(self, _spec, restoring):
        return restoring.end - restoring.position >= 10_000

    def lend(self, _wanted, restoring, _directory):
        restoring.lent = True
        self.lent.append(restoring.changelog)
        self.room -= 1


def test_processes_get_what_is_most_wanted_and_the_thread_what_is_small(restorer, monkeypatch):
    monkeypatch.setattr(restorer, "processes", ProcessesOnPaper())
    monkeypatch.setattr(restorer._preparation, "directory_of", lambda *_: None)
    restores = wanted(restorer, little=5_000, most=90_000, much=50_000)
    restores["much"].asked_at = time.monotonic()
    restorer._lend()
    restorer._admit()
    assert restorer.processes.lent == ["much"]
    assert read(restorer) == {"little"}
    restorer.processes.room = 1
    restorer._lend()
    restorer._admit()
    assert restorer.processes.lent == ["much", "most"]
    assert read(restorer) == {"little"}
