"""What an application agrees on at start, over a topic that is only a variable."""

import json

import pytest

from engine import Consumed, Materialized, Produced, StreamsBuilder, TimeWindows, serdes
from engine.errors import TopologyError
from engine.runtime import mapping

TEXT = Consumed(serdes.string, serdes.string)


class Remembered(mapping.MappingTopic):
    """A mapping topic without brokers and without members; records pass through their bytes."""

    def __init__(self):
        self._application_id, self.topic = "shop", "shop-tasks"
        self.record = None

    def read(self):
        return self.record and mapping._parse(self.record, self.topic)

    def _write(self, wanted):
        self.record = mapping._text(wanted).encode()

    def _refuse_if_alive(self, former, topology_hash):
        pass


def agree(topic, build):
    builder = StreamsBuilder()
    build(builder)
    topology = builder.build()
    stores = [f"shop-{name}-changelog" for name in topology.stores]
    return topic.agree(topology, ["0_0"], stores)


def counts(builder):
    builder.stream("in", TEXT).group_by_key().count(Materialized("counts"))


def windowed(builder):
    builder.stream("in", TEXT).group_by_key().windowed_by(TimeWindows.of(size_ms=10)).count(Materialized("counts"))


def global_counts(builder):
    without(builder)
    builder.global_table("table", TEXT, Materialized("counts"))


def without(builder):
    builder.stream("in", TEXT).to("out", Produced(serdes.string, serdes.string))


def latest(builder):
    builder.table("in", TEXT, Materialized("latest"))


def counted_anew(builder):
    builder.stream("in", TEXT).group_by_key().count(Materialized("newer-counts"))


@pytest.mark.parametrize("between", [[without], [without, latest], [global_counts], [global_counts, without]])
def test_a_store_that_comes_back_must_be_what_it_was(between):
    topic = Remembered()
    agree(topic, counts)
    for build in between:
        agree(topic, build)
    kept = topic.record
    with pytest.raises(TopologyError, match=r"store counts had kind key-value and now has window.*another name"):
        agree(topic, windowed)
    assert topic.record == kept
    agree(topic, counts)
    assert "counts" not in {store["name"] for store in topic.read().dropped}


def test_a_dropped_store_is_no_renamed_one_in_later_deployments():
    """What the refusal of a renaming advises: drop it in one deployment and add the new one in the next."""
    topic = Remembered()
    agree(topic, counts)
    agree(topic, without)
    agree(topic, counted_anew)
    assert [store["name"] for store in topic.read().dropped] == ["counts"]


def test_a_record_of_before_stores_were_remembered_is_read():
    topic = Remembered()
    agree(topic, counts)
    record = json.loads(topic.record)
    del record["dropped"]
    topic.record = json.dumps(record).encode()
    agree(topic, without)
    with pytest.raises(TopologyError, match="store counts had kind key-value"):
        agree(topic, windowed)
