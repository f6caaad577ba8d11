"""The demo's feeder writes each departure once, whatever ends: itself, another one, the broker."""

import os
import signal
import threading

import pytest
from confluent_kafka.admin import AdminClient

from engine.demo import feeder as feeders
from engine.demo import sample, writer
from engine.demo.feeder import PARTITIONS, TABLES, Feeder
from engine.demo.writer import NAME
from engine.embedded.kafka import RunningKafka
from engine.errors import BrokerUnavailable, StatehouseError
from tests.runtime.harness import eventually, read
from tests.stack import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
DEPARTURES = 20_000
BATCH = 500


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A year of a few weeks, in many transactions."""
    year = [departure for departure, _ in zip(sample.departures(), range(DEPARTURES), strict=False)]
    monkeypatch.setattr(sample, "departures", lambda: iter(year))
    monkeypatch.setattr(writer, "COMMIT_RECORDS", BATCH)


@pytest.fixture
def broker(tmp_path):
    with RunningKafka(tmp_path / "kafka", heap="256m") as running:
        yield running


def under_test(broker):
    return KafkaUnderTest(broker.bootstrap_servers, broker.pid)


def written(broker):
    """What is there, by partition, in order."""
    found = [[] for _ in range(PARTITIONS)]
    for key, value, at, partition in read(under_test(broker), "flights"):
        found[partition].append((at, key, value))
    return found


def holds_the_year(broker):
    """Whether each partition has its departures, each once and in order."""
    year = feeders._year()
    found = written(broker)
    base = min(rows[0][0] for rows in found if rows) - year[0][0]
    wanted = [[] for _ in range(PARTITIONS)]
    for at, key, value in year:
        wanted[feeders.partition_for(key, PARTITIONS)].append((base + at, key, value))
    assert [len(rows) for rows in found] == [len(rows) for rows in wanted]
    return found == wanted


def stopped_after(feeder, count):
    """Whether so many are sent."""
    return lambda: feeder._sent("flights") >= count


@pytest.mark.parametrize("hard", [False, True], ids=["clean", "hard"])
def test_a_restart_of_the_broker_doubles_nothing_and_loses_nothing(broker, hard):
    feeder = Feeder(broker.bootstrap_servers)
    feeder.prepare()
    restarts = []

    def restart():
        for part in (1, 2):
            eventually(lambda part=part: feeder._sent("flights") >= part * DEPARTURES // 4, "departures")
            broker.restart(hard=hard)
            restarts.append(part)

    beside = threading.Thread(target=restart)
    beside.start()
    sent = feeder.once(speed=150_000)
    beside.join()
    assert len(restarts) == 2
    assert holds_the_year(broker)
    # Counted from what was committed when the last attempt began at the latest.
    assert 0 < sent <= DEPARTURES


def test_the_next_feeder_goes_on_where_the_last_was_stopped_or_killed(broker):
    first = Feeder(broker.bootstrap_servers)
    first.prepare()
    first.once(stopped=stopped_after(first, DEPARTURES // 3 + 1))
    assert first._sent("flights") == DEPARTURES // 3 + 1

    pid = os.fork()
    if pid == 0:
        # Dies within a transaction, with records that the broker has.
        try:
            killed = Feeder(broker.bootstrap_servers, report=lambda _: None)
            killed.prepare()
            for count, (at, key, value, partition) in enumerate(killed._remaining(forever=False)):
                killed._writer.send(("flights", partition), key, value, at)
                if count == 5 * BATCH // 2:
                    killed._writer._producer.flush(10)
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL

    last = Feeder(broker.bootstrap_servers)
    last.prepare()
    assert last._sent("flights") == DEPARTURES // 3 + 1 + 2 * BATCH
    last.once()
    assert holds_the_year(broker)
    for name in TABLES:
        assert len(read(under_test(broker), name)) == len(sample.table(name))
    assert last.once() == 0


def test_a_second_feeder_stops_the_first(broker):
    first, second = Feeder(broker.bootstrap_servers), Feeder(broker.bootstrap_servers)
    first.prepare()
    failed = []

    def replay():
        try:
            first.replay(3600)
        except StatehouseError as error:
            failed.append(str(error))

    beside = threading.Thread(target=replay)
    beside.start()
    eventually(lambda: first._sent("flights") > 0, "the first feeder's departures")
    second.prepare()
    second.once(stopped=stopped_after(second, DEPARTURES // 2))
    beside.join(60)
    assert failed == ["another feeder of this demo has started: one at a time"]
    second.once()
    assert holds_the_year(broker)


def test_departures_of_which_nobody_knows_how_many_there_are_are_not_sent_again(broker):
    feeder = Feeder(broker.bootstrap_servers)
    feeder.prepare()
    feeder.once(stopped=stopped_after(feeder, BATCH))
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    assert admin.delete_consumer_groups([NAME])[NAME].result(20) is None
    with pytest.raises(BrokerUnavailable, match="no longer knows how many"):
        Feeder(broker.bootstrap_servers).prepare()
    assert sum(map(len, written(broker))) == BATCH
