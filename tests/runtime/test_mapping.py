"""What an application agrees on at start, over a topic that is only a variable."""

import pytest

from engine import Consumed, Materialized, StreamsBuilder, Suppressed, serdes
from engine.errors import TopologyError
from engine.runtime import mapping


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


def test_a_serde_that_nothing_binds_is_refused_before_anything_is_agreed():
    avro = serdes.avro('"string"', registry="http://127.0.0.1:9")

    def build(builder):
        builder.table("in", Consumed(serdes.string, avro), Materialized("latest")).suppress(
            Suppressed.until_time_limit(1_000)
        )

    topic = Remembered()
    with pytest.raises(TopologyError, match="avro as value_serde"):
        agree(topic, build)
    assert topic.record is None
