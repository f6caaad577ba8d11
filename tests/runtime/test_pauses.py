"""A partition that stood still is read again by whoever reads it next: the client itself keeps it paused."""

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import TopicPartition

from engine.changelog.restore import Reader, Restoring
from engine.runtime.consumer import Consumer
from tests.runtime.harness import create, eventually, produce

pytestmark = pytest.mark.kafka
RECORDS = 10


class Store:
    """Counts what is restored."""

    count = 0

    def restore(self, records, position, **_):
        self.count += len(records)
        self.position = position


@pytest.fixture
def topic(kafka):
    name = create(kafka, kafka.unique("stands-still"))
    fill(kafka, name)
    return name


def fill(kafka, topic):
    produce(kafka, topic, [(b"k", b"v")] * RECORDS)


def read(reader, restoring, position):
    def reached():
        reader.step()
        return restoring.position >= position

    eventually(reached, f"offset {position} of {restoring.place}")


def test_a_paused_input_is_read_again_after_a_rewind(kafka, topic):
    client = Client({"bootstrap.servers": kafka.bootstrap_servers, "group.id": topic, "auto.offset.reset": "error"})
    consumer, place = Consumer(client, 100), (topic, 0)

    def reads_all():
        seen = 0

        def some():
            nonlocal seen
            seen += sum(len(raw.offsets) for raw in consumer.poll(0.1))
            return seen == RECORDS

        eventually(some, "all records")

    try:
        consumer.assign([TopicPartition(*place, 0)])
        reads_all()
        consumer.pause(place)
        consumer.unassign([place])
        consumer.assign([TopicPartition(*place, 0)])
        reads_all()
    finally:
        consumer.close()


def test_a_standby_that_stood_still_goes_on_when_it_is_promoted(kafka, topic):
    reader = Reader({"bootstrap.servers": kafka.bootstrap_servers})
    try:
        standby = Restoring("0_0", "counts", topic, 0, Store(), 0, 0, "standby", follows=True)
        reader.add(standby)
        read(reader, standby, RECORDS)
        # Another task restores, and then this one is assigned here.
        reader.pause([standby])
        reader.remove(standby)
        fill(kafka, topic)
        promoted = Restoring("0_0", "counts", topic, 0, Store(), RECORDS, 2 * RECORDS, "behind its changelog")
        reader.add(promoted)
        read(reader, promoted, 2 * RECORDS)
        assert promoted.store.count == RECORDS
    finally:
        reader.close()


def test_what_stands_still_does_so_beyond_a_step_that_failed(kafka, topic):
    reader = Reader({"bootstrap.servers": kafka.bootstrap_servers})
    other = create(kafka, kafka.unique("goes-on"))
    fill(kafka, other)
    try:
        held = Restoring("0_0", "counts", topic, 0, Store(), 0, RECORDS, "new owner")
        free = Restoring("0_0", "sums", other, 0, Store(), 0, RECORDS, "new owner")
        reader.add(held)
        reader.add(free)
        reader.pause([held])
        reader.rewind()
        read(reader, free, RECORDS)
        fill(kafka, other)
        read(reader, free, 2 * RECORDS)
        assert held.store.count == 0
        reader.resume([held])
        read(reader, held, RECORDS)
    finally:
        reader.close()
