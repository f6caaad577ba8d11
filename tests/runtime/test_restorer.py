"""What whoever is on call meets in the restorer's thread: errors that are nobody's, disks that are full, a stop in a long wait."""

import logging
import time
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from engine import broker_errors
from engine.changelog.restore import Reader, Restoring
from engine.errors import DiskFull, Fatal, TaskCorrupted
from engine.runtime.restore_pace import Pace
from engine.runtime.restorer import Restorer
from engine.runtime.standby import Standby
from engine.runtime.swap import Swap
from engine.runtime.take_over import TaskStores
from engine.runtime.tasks import Tasks
from tests.runtime.harness import eventually

NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


class EndlessReader:
    """Reads a gigabyte in each step."""

    def __init__(self):
        self.reading, self.failed, self.polled, self.steps = {("c", 0): SimpleNamespace(ended_at=None)}, None, 1, 0

    def step(self, _timeout, _records):
        self.steps += 1
        return 10**9

    def remove(self, restoring):
        self.reading.pop(restoring.place, None)

    def pause(self, restorings):
        pass

    resume = pause

    def close(self):
        pass


@pytest.fixture
def restorer():
    found = Restorer(None, None, NOWHERE, "nobody", pace=Pace(bytes_per_second_max=1))
    found._reader.close()
    found._reader = EndlessReader()
    found.standbys._reader = found._reader
    yield found
    found.stop()


def test_a_stop_does_not_wait_for_a_throttle(restorer):
    restorer.start()
    eventually(lambda: restorer._reader.steps, "a step")
    began = time.monotonic()
    restorer.stop()
    assert not restorer._thread.is_alive()
    assert time.monotonic() - began < 10
    assert restorer._reader.steps == 1


def test_the_end_of_its_thread_ends_the_engine(restorer, monkeypatch):
    def fails():
        raise ValueError("a fault")

    monkeypatch.setattr(restorer, "_admit", fails)
    restorer.start()
    eventually(lambda: not restorer._thread.is_alive(), "its end")
    with pytest.raises(Fatal, match="the restorer's thread ended: ValueError"):
        restorer.finished()


def test_a_full_disk_in_its_thread_keeps_its_name(restorer, monkeypatch):
    def fails():
        raise DiskFull("no room")

    monkeypatch.setattr(restorer, "_follow", fails)
    restorer.start()
    eventually(lambda: not restorer._thread.is_alive(), "its end")
    with pytest.raises(DiskFull):
        restorer.finished()


def test_an_error_that_is_nobodys_is_told(restorer, caplog):
    with caplog.at_level(logging.WARNING):
        restorer._failed_step(Fatal("the client is broken"))
    assert "the client is broken" in caplog.text


def test_an_error_of_one_changelog_fails_only_the_take_over_that_reads_it(restorer, monkeypatch):
    one, other = (
        SimpleNamespace(task=name, done=False, restores=[SimpleNamespace(place=(name, 0))]) for name in ("one", "other")
    )
    restorer._restoring += [one, other]
    restorer._reader.failed = ("one", 0)
    failed = []
    monkeypatch.setattr(restorer, "_fail", lambda wanted, _: failed.append(wanted.task))
    for error in (TaskCorrupted("begins later than it stands"), Fatal("may not be read")):
        restorer._failed_step(error)
    assert failed == ["one", "one"]
    restorer._reader.failed = None
    restorer._failed_step(Fatal("the client is broken"))
    assert failed == ["one", "one", "one", "other"]
    restorer._restoring.clear()


class Damaged:
    """A store in which a reader has met a damaged block."""

    position, closed = 10, False

    def restore(self, _records, _position, **_):
        raise TaskCorrupted("a block is damaged")

    approximate_num_entries = restore

    def close(self):
        self.closed = True


def test_a_standby_that_turns_out_damaged_is_opened_again(restorer):
    store, told = Damaged(), []
    restorer.standbys.note = told.append
    former = stores_of(store)
    former.changelogs = {"0": "c"}
    former.stores["0"].changelog = "c"
    standby = Standby.of(former)
    standby.following = True
    restorer._reader.reading = {r.place: r for r in standby.restores}
    restorer.standbys.hold(standby)
    restorer.standbys.turn(busy=False)
    assert told == ["the standby of task 0_0 is opened again: a block is damaged"]
    assert store.closed
    assert standby.error == "a block is damaged"
    assert not restorer._reader.reading


class Message:
    def __init__(self, place):
        self._place = place

    def error(self):
        return KafkaError(broker_errors.AUTO_OFFSET_RESET)

    def topic(self):
        return self._place[0]

    def partition(self):
        return self._place[1]


def test_an_error_of_a_partition_that_is_read_no_more_is_nobodys():
    reader = Reader(NOWHERE)
    try:
        assert reader._is_error(Message(("c", 0)))
        reader.reading["c", 0] = Restoring("0_0", "s", "c", 0, None, 0, 10, "a test")
        with pytest.raises(TaskCorrupted):
            reader._is_error(Message(("c", 0)))
        assert reader.failed == ("c", 0)
    finally:
        reader.close()


class OnPaper:
    def __init__(self, error=None):
        self.error, self.closed = error, False

    def flush(self):
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed = True


def stores_of(*found):
    opened = {str(n): SimpleNamespace(store=store) for n, store in enumerate(found)}
    return TaskStores(task="0_0", sub_topology=0, partition=0, context=None, specs={}, changelogs={}, stores=opened)


def test_a_store_that_cannot_be_flushed_leaves_none_open(caplog):
    full, other = OnPaper(DiskFull("no room")), OnPaper()
    with caplog.at_level(logging.WARNING):
        stores_of(full, other).close(clean=True)
    assert full.closed
    assert other.closed
    assert "no room" in caplog.text


def test_an_error_that_stops_the_engine_leaves_no_finished_take_over_open():
    store = OnPaper()
    good = stores_of(store)
    failed = SimpleNamespace(task="0_1", error=DiskFull("no room"), notes=[])
    tasks = Tasks(None, None, SimpleNamespace(finished=lambda: [failed, good]), 10, lambda *_, **__: None)
    tasks.by_id = {"0_1": SimpleNamespace(id="0_1")}
    tasks.take_overs = {"0_1": failed}
    with pytest.raises(DiskFull):
        tasks.collect()
    assert store.closed


def test_a_take_over_may_ask_as_often_as_an_outage_takes(restorer):
    """Twice as long each time would be no number any more after an hour."""
    assert [restorer._patience(SimpleNamespace(pending=n)) for n in (0, 1, 2, 3, 100_000)] == [1, 2, 4, 4, 4]


def test_a_store_that_cannot_be_closed_ends_only_its_swap(restorer):
    def fails():
        raise TaskCorrupted("its directory is gone")

    task = SimpleNamespace(id="0_0", state="running", dirty=False, held=False)
    swap = Swap(task, "counts", "g00000002", lambda *_: None, phase="opening")
    swap.opened = SimpleNamespace(store=SimpleNamespace(close=fails))
    restorer.follow(swap)
    swap.move("failed", "cancelled")
    restorer._follow()
    assert restorer._following == []
