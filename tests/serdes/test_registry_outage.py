"""A schema registry that is down, seen from a topology: no record is at fault, so no handler is asked about one."""

import json

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from engine import Consumed, Produced, serdes
from engine.errors import BrokerUnavailable, DeserializationError, Fatal, SerializationError
from engine.testing.driver import TopologyTestDriver
from tests.operators.skipping import Skips
from tests.serdes.small_registry import SmallRegistry

FLIGHT = json.dumps({"type": "record", "name": "Flight", "fields": [{"name": "carrier", "type": "string"}]})
FLIGHT_2 = json.dumps(
    {
        "type": "record",
        "name": "Flight",
        "fields": [{"name": "carrier", "type": "string"}, {"name": "seats", "type": "int", "default": 100}],
    }
)


@pytest.fixture
def registry():
    server = SmallRegistry()
    yield server
    server.close()


def avro(registry, schema=FLIGHT):
    """The serde of a process that has seen no schema yet."""
    return serdes.avro(schema, registry=SchemaRegistryClient({"url": registry.url, "max.retries": 0}))


@pytest.fixture
def flight(registry):
    return avro(registry).for_topic("flights", is_key=False).serialize({"carrier": "AA"})


def test_a_source_keeps_records_for_when_the_registry_is_back(registry, flight):
    def build(builder):
        builder.stream("flights", Consumed(serdes.string, avro(registry))).to(
            "out", Produced(serdes.string, serdes.json)
        )

    handlers = Skips()
    rows = [(b"k", flight, 1, None), (b"k", b"no Avro", 2, None)]
    with TopologyTestDriver(build, handlers=handlers) as driver:
        registry.down = True
        with pytest.raises(BrokerUnavailable, match="registry"):
            driver.pipe_raw("flights", rows)
        assert handlers.errors == []
        registry.down = False
        driver.pipe_raw("flights", rows)
        assert [row.value for row in driver.sent("out")] == [b'{"carrier":"AA"}']
        assert len(handlers.errors) == 1  # what is no Avro


def test_an_unreadable_record_does_not_hide_that_the_registry_is_down(registry, flight):
    def build(builder):
        builder.stream("flights", Consumed(serdes.string, avro(registry))).to(
            "out", Produced(serdes.string, serdes.json)
        )

    newer = avro(registry, FLIGHT_2).for_topic("flights", is_key=False).serialize({"carrier": "UA", "seats": 7})
    handlers = Skips()
    with TopologyTestDriver(build, handlers=handlers) as driver:
        driver.pipe_raw("flights", [(b"k", flight, 1, None)])  # this schema is known from here on, the newer one is not
        registry.down = True
        with pytest.raises(BrokerUnavailable, match="registry"):
            driver.pipe_raw("flights", [(b"k", b"no Avro", 2, None), (b"k", newer, 3, None)])
        assert [type(error) for error in handlers.errors] == [DeserializationError]


def test_a_sink_keeps_records_for_when_the_registry_is_back(registry):
    def build(builder):
        builder.stream("in", Consumed(serdes.string, serdes.json)).to(
            "flights", Produced(serdes.string, avro(registry))
        )

    handlers = Skips()
    rows = [(b"k", b'{"carrier":"AA"}', 1, None)]
    with TopologyTestDriver(build, handlers=handlers) as driver:
        registry.down = True
        with pytest.raises(BrokerUnavailable, match="registry"):
            driver.pipe_raw("in", rows)
        registry.down = False
        driver.pipe_raw("in", rows)
        assert [row.timestamp for row in driver.sent("flights")] == [1]
        assert handlers.errors == []


def test_an_unwritable_record_does_not_hide_that_the_registry_is_down(registry):
    def build(builder):
        builder.stream("in", Consumed(serdes.json, serdes.json)).to("flights", Produced(serdes.int64, avro(registry)))

    handlers = Skips()
    with TopologyTestDriver(build, handlers=handlers) as driver:
        registry.down = True
        with pytest.raises(BrokerUnavailable, match="registry"):
            driver.pipe_raw("in", [(b'"x"', b'{"carrier":"AA"}', 1, None), (b"5", b'{"carrier":"AA"}', 2, None)])
        assert [type(error) for error in handlers.errors] == [SerializationError]


def test_a_global_table_stops_rather_than_lack_records_unseen(registry, flight):
    def build(builder):
        builder.global_table("flights", Consumed(serdes.string, avro(registry)), "flights-by-key")
        builder.stream("in", Consumed(serdes.string, serdes.string)).to("out", Produced(serdes.string, serdes.string))

    handlers = Skips()
    with TopologyTestDriver(build, handlers=handlers) as driver:
        registry.down = True
        with pytest.raises(Fatal, match=r"global table of topic flights: .*registry.*Start again"):
            driver.pipe_raw("flights", [(b"k", flight, 1, None)])
        assert handlers.errors == []
