"""The observer on a real topic: what engines write arrives in Redis, in order, and survives what goes away."""

import threading
import time

import pytest
from confluent_kafka import Producer

from console.models import Event, Ownership
from console.observe import snapshot
from console.observe.history import History
from console.observe.observer import Observer
from console.observe.topic import StatusTopic
from tests.console import reports
from tests.console.conftest import SilentPinger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def topic(kafka, settings):
    settings.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrap_servers
    return kafka.topic("status", config={"cleanup.policy": "compact"})


@pytest.fixture
def send(kafka, topic):
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def put(*records, tombstones=()):
        for record in records:
            key, value = reports.key_and_value(record)
            producer.produce(topic, value, key)
        for record in tombstones:
            producer.produce(topic, None, record.key.encode())
        assert producer.flush(10) == 0

    return put


@pytest.fixture
def running(redis_client):
    """Start observers on a topic; all are stopped at the end."""
    stops = []

    def start(topic):
        stop = threading.Event()
        observer = Observer(redis_client, SilentPinger(), topic=StatusTopic(topic), history=History())
        thread = threading.Thread(target=observer.run, args=(stop,))
        thread.start()
        stops.append((stop, thread))
        return lambda: (stop.set(), thread.join(10))

    yield start
    for stop, thread in stops:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def eventually(check, seconds=15):
    until = time.monotonic() + seconds
    while True:
        try:
            if (found := check()) or found is None:
                return found
        except (AssertionError, IndexError, KeyError, TypeError):
            if time.monotonic() > until:
                raise
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.usefixtures("fresh_board")
def test_what_is_written_is_seen_within_a_second_and_recorded(topic, send, running):
    send(*reports.shop(), reports.event(5))
    running(topic)
    eventually(lambda: snapshot.overview()["totals"]["partitions"] == 2)

    send(reports.store("counts", "0_0", sequence=2, keys_estimate=20))
    wrote = time.monotonic()
    eventually(lambda: snapshot.rows(snapshot.store("shop", "counts")["positions"])[0]["keys_estimate"] == 20)
    assert time.monotonic() - wrote < 1.0

    eventually(lambda: Event.objects.count() == 1 and Ownership.objects.count() == 2)
    eventually(lambda: snapshot.overview()["observer"]["stale"] is False)


@pytest.mark.usefixtures("fresh_board")
def test_a_successor_carries_on_without_doubling_history(topic, send, running):
    send(*reports.shop(), reports.event(5))
    stop = running(topic)
    eventually(lambda: Ownership.objects.count() == 2 and Event.objects.count() == 1)
    stop()

    send(tombstones=[reports.task("0_1", "engine-2"), reports.store("counts", "0_1", "engine-2")])
    running(topic)

    eventually(lambda: Ownership.objects.filter(until__isnull=False).count() == 1)
    assert (Ownership.objects.count(), Event.objects.count()) == (2, 1)
    eventually(lambda: snapshot.application("shop")["tasks"]["rows"][1][5] == "moving")


@pytest.mark.usefixtures("fresh_board")
def test_without_the_topic_there_is_a_heartbeat_and_no_application(kafka, settings, running):
    settings.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrap_servers
    name = kafka.unique("status")
    running(name)

    eventually(lambda: snapshot.overview()["observer"]["stale"] is False)
    assert snapshot.overview()["applications"] == []

    kafka.create(name)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for record in reports.shop():
        key, value = reports.key_and_value(record)
        producer.produce(name, value, key)
    producer.flush(10)
    eventually(lambda: snapshot.overview()["totals"]["partitions"] == 2)


@pytest.mark.usefixtures("fresh_board")
def test_a_database_that_is_away_delays_history_and_nothing_else(topic, send, running, monkeypatch):
    from django.db import OperationalError

    from console.observe import lives

    away = threading.Event()
    away.set()
    write = lives.Writer.write

    def refuse(self, *args):
        if away.is_set():
            raise OperationalError("away")
        write(self, *args)

    monkeypatch.setattr(lives.Writer, "write", refuse)
    send(*reports.shop(), reports.event(5))
    running(topic)
    eventually(lambda: snapshot.overview()["totals"]["partitions"] == 2)
    eventually(lambda: "database" in (snapshot.overview()["observer"]["problem"] or ""))
    assert Event.objects.count() == 0

    away.clear()
    eventually(lambda: Event.objects.count() == 1 and Ownership.objects.count() == 2)
    eventually(lambda: snapshot.overview()["observer"]["problem"] is None)
