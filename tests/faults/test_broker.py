"""A broker that ends, cleanly or not, and a network that is slow, swallows everything, or resets: the engine stays up."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaException

from engine.changelog.topics import ANSWER_SECONDS, QUESTION_SECONDS, Topics
from engine.config import EXACTLY_ONCE, GUARANTEES
from engine.embedded import ports
from engine.embedded.kafka import Kafka, RunningKafka
from engine.runtime.restorer import OFFSETS_SECONDS
from tests.faults.lengths import lengths
from tests.faults.proxy import Proxy
from tests.runtime import programs
from tests.runtime.harness import (
    PATIENCE_SECONDS,
    committed_offsets,
    config,
    counted,
    create,
    eventually,
    fold,
    int64,
    produce,
    read,
    running,
)
from tests.stack import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]
PARTITIONS = 2
ROUND = 5_000
KEYS = 50
# From the broker's return. Most of it is the session: the broker waits for the member that its log still names.
LAG_SECONDS = 30
SESSION_TIMEOUT_MS = 6_000


class BehindProxy(Kafka):
    """A node with a second listener that clients are told to reach through the proxy."""

    proxy_port: int
    client_port: int

    def _placed(self):
        found = super()._placed()
        return {
            **found,
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT",
            "listeners": f"{found['listeners']},CLIENT://127.0.0.1:{self.client_port}",
            "advertised.listeners": f"{found['advertised.listeners']},CLIENT://127.0.0.1:{self.proxy_port}",
        }


class Place:
    """An own broker, the proxy before it, and what was put in; `kafka` reaches the broker beside the proxy."""

    def __init__(self, broker, proxy):
        self.broker = broker
        self.proxy = proxy
        self.kafka = KafkaUnderTest(broker.bootstrap_servers, broker.pid)
        self.through_proxy = KafkaUnderTest(f"127.0.0.1:{broker.kafka.proxy_port}", broker.pid)
        self.rounds = 0

    def application(self, prefix):
        name = self.kafka.unique(prefix)
        create(self.kafka, programs.input_topic(name), partitions=PARTITIONS)
        create(self.kafka, programs.output_topic(name), partitions=PARTITIONS)
        return name


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    broker = RunningKafka(tmp_path_factory.mktemp("kafka"))
    taken = {broker.kafka.port, broker.kafka.controller_port}
    behind = BehindProxy(broker.kafka.directory, broker.kafka.port, broker.kafka.controller_port, heap="512m")
    behind.client_port = ports.choose(avoid=taken)
    behind.proxy_port = ports.choose(avoid=taken | {behind.client_port})
    broker.kafka = behind
    with broker:
        proxy = Proxy(behind.proxy_port, behind.client_port)
        yield Place(broker, proxy)
        proxy.close()


class Load:
    """Rounds of records into one application, and how far it has come."""

    def __init__(self, place, name):
        self.place, self.name, self.rounds = place, name, 0

    def add(self):
        produce(
            self.place.kafka, programs.input_topic(self.name), [(f"k{i % KEYS}".encode(), b"v") for i in range(ROUND)]
        )
        self.rounds += 1

    @contextmanager
    def arriving(self):
        """Rounds that arrive meanwhile: one before, and one that the broker's end interrupts."""
        self.add()
        with ThreadPoolExecutor(1) as beside:
            interrupted = beside.submit(self.add)
            yield
            interrupted.result()

    def committed(self):
        try:
            offsets = committed_offsets(self.place.kafka, self.name, programs.input_topic(self.name), PARTITIONS)
        except KafkaException:
            return -1  # the coordinator is not back yet
        return sum(max(offset, 0) for offset in offsets.values())

    def catches_up(self, seconds=LAG_SECONDS):
        began = time.monotonic()
        eventually(lambda: self.committed() == self.rounds * ROUND, "lag 0", seconds)
        return time.monotonic() - began

    def loses_nothing(self):
        expected = self.rounds * ROUND // KEYS
        for topic in (programs.output_topic(self.name), f"{self.name}-counts-changelog"):
            found = {key: int64(value[-8:]) for key, value in fold(read(self.place.kafka, topic)).items()}
            assert found.keys() == {f"k{i}".encode() for i in range(KEYS)}
            assert min(found.values()) >= expected

    def is_exact(self):
        expected = {f"k{i}".encode(): self.rounds * ROUND // KEYS for i in range(KEYS)}
        output = read(self.place.kafka, programs.output_topic(self.name))
        assert {key: int64(value) for key, value in fold(output).items()} == expected
        assert counted(fold(read(self.place.kafka, f"{self.name}-counts-changelog"))) == expected
        again = [key for key, count in Counter((k, v) for k, v, *_ in output).items() if count > 1]
        assert again == []


@pytest.mark.parametrize("guarantee", GUARANTEES)
@lengths("restarts", 2, 5)
def test_the_broker_restarts_cleanly_and_hard_under_load(place, tmp_path, restarts, guarantee):
    name = place.application("restarts")
    load = Load(place, name)
    settings = config(
        *(place.kafka, name, tmp_path / "state"),
        session_timeout_ms=SESSION_TIMEOUT_MS,
        commit_interval_ms=50,
        guarantee=guarantee,
    )
    took = []
    with running(programs.counts(name), settings) as engine:
        load.add()
        load.catches_up(PATIENCE_SECONDS)
        for hard in (False, True) * restarts:
            with load.arriving():
                place.broker.restart(hard=hard, away_seconds=1.0)
            took.append(load.catches_up())
            assert engine.error is None
    if guarantee == EXACTLY_ONCE:
        load.is_exact()
    else:
        load.loses_nothing()
    print(f"{guarantee}: {len(took)} restarts, lag 0 after {', '.join(f'{s:.1f}' for s in took)} s")


@lengths("hole_seconds", 8, 30)
def test_a_slow_a_swallowing_and_a_resetting_network(place, tmp_path, hole_seconds):
    name = place.application("network")
    load = Load(place, name)
    proxy = place.proxy
    settings = config(
        place.through_proxy, name, tmp_path / "state", session_timeout_ms=SESSION_TIMEOUT_MS, poll_records=500
    )
    with running(programs.counts(name), settings) as engine:
        load.add()
        load.catches_up(PATIENCE_SECONDS)
        assert proxy.passed > ROUND, "the engine does not go through the proxy"

        proxy.delay = 0.2
        load.add()
        # Nothing has to return here: what counts is that it comes to an end.
        load.catches_up(PATIENCE_SECONDS)
        proxy.delay = 0.0

        load.add()
        with proxy.hole():
            time.sleep(hole_seconds)
            load.add()
        took = [load.catches_up()]

        for _ in range(3):
            before = engine.loop.processed_total
            load.add()
            eventually(lambda before=before: engine.loop.processed_total > before, "work on the new round")
            assert proxy.reset() > 0
            took.append(load.catches_up())
        assert engine.error is None
    load.is_exact()
    print(f"lag 0 after {', '.join(f'{s:.1f}' for s in took)} s (hole of {hole_seconds} s, then 3 resets)")


def test_a_question_whose_connection_was_forgotten_is_asked_again(place):
    name = place.application("forgotten")
    topics = Topics({"bootstrap.servers": place.through_proxy.bootstrap_servers})
    asked = [(programs.input_topic(name), partition) for partition in range(PARTITIONS)]
    known = topics.end_offsets(asked)
    assert place.proxy.forget() > 0
    began = time.monotonic()
    assert topics.end_offsets(asked) == known
    # Once for the connection that is gone, and with room for a machine with more to do.
    assert QUESTION_SECONDS / 2 < time.monotonic() - began < ANSWER_SECONDS / 2


def test_a_task_starts_though_the_brokers_take_longer_than_a_first_question_waits(place, tmp_path):
    name = place.application("slow")
    load = Load(place, name)
    load.add()
    settings = config(place.through_proxy, name, tmp_path / "state", session_timeout_ms=20_000)
    try:
        with running(programs.counts(name), settings) as engine:
            while engine.phase != "running" and engine.error is None:
                time.sleep(0.001)
            # There and back: longer than the first question for a task's committed offsets.
            place.proxy.delay = 0.6 * OFFSETS_SECONDS
            assert not engine.membership.joined, "too late: no question is slow any more"
            load.catches_up(2 * PATIENCE_SECONDS)
            assert engine.error is None
    finally:
        place.proxy.delay = 0.0
    load.is_exact()
