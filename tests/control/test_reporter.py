"""Status through a real broker: written by a reporter, read back by a view; and without one, survived."""

import threading
import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from engine.control import status
from engine.control.reporter import StatusReporter
from engine.control.status import StoreStatus
from engine.control.view import MetadataFeed, StatusView
from engine.query.metadata import Metadata
from tests.control.test_outbox import instance, store

INSTANCE_KEY, STORE_KEY = b"instance|shop|i-1", b"store|shop|0_0|counts|i-1"


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def topic(kafka):
    return kafka.unique("status")


def read_all(kafka, topic):
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "test", "enable.auto.commit": False})
    end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1]
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = []
    while len(messages) < end:
        messages += consumer.consume(100, 1)
    consumer.close()
    return [(message.key(), message.value()) for message in messages]


@pytest.mark.kafka
def test_status_is_written_followed_and_taken_off_at_a_clean_end(kafka, topic):
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    metadata, ready = Metadata(), threading.Event()
    reporter = StatusReporter("shop", "i-1", 42, lambda: [instance(address="http://a:1"), store()], client, topic=topic)
    view = StatusView("shop", metadata, client, topic=topic, on_ready=ready.set)
    reporter.start()
    view.start()
    reporter.event("rebalance", "one task came", task="0_0", moved=1)
    until(lambda: metadata.active("counts", 0) is not None and metadata.is_reachable("i-1"))
    assert metadata.member("i-1").address == "http://a:1"
    assert ready.wait(10)
    reporter.stop()
    until(lambda: metadata.active("counts", 0) is None and metadata.member("i-1") is None)
    view.stop()
    messages = read_all(kafka, topic)
    assert {key: value for key, value in messages if not key.startswith(b"event")} == {
        INSTANCE_KEY: None,
        STORE_KEY: None,
    }
    (event,) = [status.decode(key, value) for key, value in messages if key.startswith(b"event")]
    assert (event.event, event.message, event.task, event.data) == ("rebalance", "one task came", "0_0", {"moved": 1})
    assert event.incarnation == 42
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient(client)
    settings = admin.describe_configs([resource])[resource].result(10)
    assert "compact" in settings["cleanup.policy"].value


@pytest.mark.kafka
def test_a_change_is_readable_within_a_round_and_at_once_after_a_nudge(kafka, topic):
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    metadata, position = Metadata(), [1]
    reporter = StatusReporter("shop", "i-1", 1, lambda: [instance(), store(position[0])], client, topic=topic)
    view = StatusView("shop", metadata, client, topic=topic)
    reporter.start()
    view.start()

    def seen():
        replica = metadata.active("counts", 0)
        return replica is not None and replica.position == position[0]

    until(seen)
    for bound, nudge in ((1.5, False), (0.45, True)):
        time.sleep(0.1)
        position[0] += 1
        started = time.monotonic()
        if nudge:
            reporter.nudge()
        until(seen)
        assert time.monotonic() - started < bound
    reporter.stop(clean=False)
    view.stop()
    assert all(value is not None for _, value in read_all(kafka, topic))


def test_without_a_broker_nothing_blocks_and_the_end_is_bounded():
    client = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    reporter = StatusReporter("shop", "i-1", 42, lambda: [instance()], client)
    reporter.start()
    started = time.monotonic()
    for number in range(3_000):
        reporter.event("error", str(number))
    assert time.monotonic() - started < 0.5
    until(lambda: len(reporter.latest()) == 1)
    started = time.monotonic()
    reporter.stop()
    assert time.monotonic() - started < 14
    assert reporter.dropped_total >= 1_000


def test_a_collect_that_fails_does_not_end_the_reports(caplog):
    rounds = []

    def collect():
        rounds.append(1)
        raise RuntimeError("not yet")

    reporter = StatusReporter("shop", "i-1", 42, collect, {"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    reporter.start()
    reporter.nudge()
    until(lambda: len(rounds) >= 2)
    reporter.stop(clean=False)
    assert "status.round_failed" in caplog.text


def stamped(record, sequence, incarnation=1):
    record.sequence, record.incarnation = sequence, incarnation
    return record.key.encode(), status.encode(record)


def test_the_feed_keeps_the_newest_and_ignores_what_is_not_its_own():
    metadata = Metadata()
    feed = MetadataFeed("shop", metadata)
    feed.apply(*stamped(instance(address="http://a:1"), 1), age_ms=0)
    feed.apply(*stamped(store(5), 9), age_ms=0)
    feed.apply(*stamped(store(4), 8), age_ms=0)
    assert metadata.active("counts", 0).position == 5
    feed.apply(STORE_KEY, b"{", age_ms=0)
    feed.apply(b"store|other|0_0|counts|i-1", b"{", age_ms=0)
    feed.apply(b"store|shopping|0_0|counts|i-1", b"{", age_ms=0)
    feed.apply(None, b"{", age_ms=0)
    assert feed.invalid_total == 1
    assert metadata.active("counts", 0).position == 5
    feed.apply(STORE_KEY, None, age_ms=0)
    assert metadata.active("counts", 0) is None
    feed.apply(STORE_KEY, None, age_ms=0)


def test_an_old_record_read_at_the_start_does_not_make_an_instance_reachable():
    metadata = Metadata()
    MetadataFeed("shop", metadata).apply(*stamped(instance(address="http://a:1"), 1), age_ms=60_000)
    assert metadata.member("i-1") is not None
    assert not metadata.is_reachable("i-1")


def test_a_copy_that_changes_its_role_is_one_copy():
    metadata = Metadata()
    feed = MetadataFeed("shop", metadata)
    feed.apply(*stamped(instance(address="http://a:1"), 1), age_ms=0)
    feed.apply(*stamped(store(), 2), age_ms=0)
    standby = StoreStatus(**{field: getattr(store(), field) for field in StoreStatus.__struct_fields__})
    standby.role = "standby"
    feed.apply(*stamped(standby, 3), age_ms=0)
    assert metadata.active("counts", 0) is None
    assert [each.instance for each in metadata.standbys("counts", 0)] == ["i-1"]


def test_brokers_that_cannot_be_reached_are_told_of_once(caplog):
    client = {"bootstrap.servers": "127.0.0.1:1", "reconnect.backoff.max.ms": 100}
    reporter = StatusReporter("shop", "i-1", 42, lambda: [instance()], client)
    reporter._has_topic = True
    view = StatusView("shop", Metadata(), client)
    reporter.start()
    view.start()
    until(lambda: "status.outage_began" in caplog.text and "status.view_outage_began" in caplog.text)
    # A second holds some twenty attempts of the two clients to connect.
    time.sleep(1.0)
    reporter.stop(clean=False)
    view.stop()
    lines = [r.getMessage().split(":")[0] for r in caplog.records if r.name.startswith("engine.control")]
    assert sorted(lines) == ["status.outage_began", "status.view_outage_began"]


@pytest.mark.kafka
def test_a_status_that_is_taken_again_ends_the_outage(kafka, topic, caplog):
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    reporter = StatusReporter("shop", "i-1", 42, lambda: [instance()], client, topic=topic)
    reporter._outage.failed("it was away")
    reporter.start()
    until(lambda: "status.outage_ended" in caplog.text)
    reporter.stop()


@pytest.mark.kafka
def test_a_topic_that_is_deleted_under_a_reporter_is_made_again_and_filled(kafka, topic):
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    reporter = StatusReporter("shop", "i-1", 42, lambda: [instance(address="http://a:1"), store()], client, topic=topic)
    reporter.start()

    def known():
        admin = kafka.admin()
        return topic in admin.list_topics(timeout=10).topics

    def keys():
        return {key for key, value in read_all(kafka, topic) if value is not None} if known() else set()

    try:
        until(lambda: {INSTANCE_KEY, STORE_KEY} <= keys())
        admin = kafka.admin()
        admin.delete_topics([topic])[topic].result(20)
        until(lambda: {INSTANCE_KEY, STORE_KEY} <= keys(), 60)
    finally:
        reporter.stop()
