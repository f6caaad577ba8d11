"""Avro, Protobuf and JSON Schema at the level of the wire, against a small server that speaks the registry's interface."""

import json
import struct

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from engine import serdes
from engine.errors import BrokerUnavailable, ConfigError, DeserializationError, SerializationError
from tests.serdes.small_registry import SmallRegistry

FLIGHT = json.dumps({"type": "record", "name": "Flight", "fields": [{"name": "carrier", "type": "string"}]})
FLIGHT_2 = json.dumps(
    {
        "type": "record",
        "name": "Flight",
        "fields": [{"name": "carrier", "type": "string"}, {"name": "seats", "type": "int", "default": 100}],
    }
)
FLIGHT_3 = json.dumps(
    {
        "type": "record",
        "name": "Flight",
        "fields": [{"name": "carrier", "type": "string"}, {"name": "gate", "type": "int"}],
    }
)


@pytest.fixture
def registry():
    server = SmallRegistry()
    yield server
    server.close()


def client(registry):
    return SchemaRegistryClient({"url": registry.url, "max.retries": 0})


def test_avro_on_the_wire(registry):
    serde = serdes.avro(FLIGHT, registry=registry.url).for_topic("flights", is_key=False)
    data = serde.serialize({"carrier": "AA"})
    assert data[:5] == struct.pack(">bI", 0, 1)
    assert data[5:] == b"\x04AA"  # Avro: zigzag length 2, then the text
    assert registry.subjects == {"flights-value": [1]}
    assert serde.deserialize(data) == {"carrier": "AA"}
    assert serde.deserialize_many([data, None]) == [{"carrier": "AA"}, None]


def test_keys_have_a_subject_of_their_own(registry):
    serdes.avro('"string"', registry=registry.url).for_topic("flights", is_key=True).serialize("k")
    assert list(registry.subjects) == ["flights-key"]


def test_an_older_writer_is_read_with_the_readers_schema(registry):
    old = serdes.avro(FLIGHT, registry=registry.url).for_topic("flights", is_key=False)
    new = serdes.avro(FLIGHT_2, registry=registry.url).for_topic("flights", is_key=False)
    data = old.serialize({"carrier": "AA"})
    assert new.deserialize(data) == {"carrier": "AA", "seats": 100}
    assert new.serialize({"carrier": "AA", "seats": 2})[:5] == struct.pack(">bI", 0, 2)
    assert old.deserialize(new.serialize({"carrier": "UA", "seats": 2})) == {"carrier": "UA"}


def test_an_incompatible_schema_is_refused_in_words(registry):
    serdes.avro(FLIGHT, registry=registry.url).for_topic("flights", is_key=False).serialize({"carrier": "AA"})
    broken = serdes.avro(FLIGHT_3, registry=client(registry)).for_topic("flights", is_key=False)
    with pytest.raises(SerializationError, match="incompatible"):
        broken.serialize({"carrier": "AA", "gate": 1})


def test_a_schema_can_refer_to_another(registry):
    registry.register("plane", {"schema": '{"type":"record","name":"Plane","fields":[{"name":"seats","type":"int"}]}'})
    flight = Schema(
        '{"type":"record","name":"Flight","fields":[{"name":"plane","type":"Plane"}]}',
        "AVRO",
        [SchemaReference("Plane", "plane", 1)],
    )
    serde = serdes.avro(flight, registry=registry.url).for_topic("flights", is_key=False)
    data = serde.serialize({"plane": {"seats": 7}})
    assert serde.deserialize(data) == {"plane": {"seats": 7}}
    assert registry.schemas[1]["references"] == [{"name": "Plane", "subject": "plane", "version": 1}]


def test_without_registration_an_unknown_schema_is_refused(registry):
    serde = serdes.avro(FLIGHT, registry=client(registry), auto_register=False).for_topic("flights", is_key=False)
    with pytest.raises(SerializationError, match="not found"):
        serde.serialize({"carrier": "AA"})
    assert registry.subjects == {}


def test_values_and_bytes_that_do_not_fit_are_named(registry):
    serde = serdes.avro(FLIGHT, registry=client(registry)).for_topic("flights", is_key=False)
    with pytest.raises(SerializationError, match="avro"):
        serde.serialize({"carrier": 5})
    for data in (b"", b"\x01\x00\x00\x00\x01x", b"\x00\x00\x00\x00\x63\x04AA"):
        with pytest.raises(DeserializationError, match="avro"):
            serde.deserialize(data)


def test_a_registry_that_is_down_is_no_fault_of_the_record(registry):
    known = serdes.avro(FLIGHT, registry=client(registry)).for_topic("flights", is_key=False)
    data = known.serialize({"carrier": "AA"})
    assert known.deserialize(data) == {"carrier": "AA"}
    registry.down = True
    assert known.deserialize(known.serialize({"carrier": "UA"})) == {"carrier": "UA"}  # the client remembers
    fresh = serdes.avro(FLIGHT, registry=client(registry)).for_topic("flights", is_key=False)
    with pytest.raises(BrokerUnavailable, match="registry"):
        fresh.serialize({"carrier": "AA"})
    with pytest.raises(BrokerUnavailable, match="registry"):
        fresh.deserialize(data)


def test_a_registry_that_is_not_there_is_no_fault_of_the_record():
    nobody = SchemaRegistryClient({"url": "http://127.0.0.1:9", "max.retries": 0})
    serde = serdes.avro(FLIGHT, registry=nobody).for_topic("flights", is_key=False)
    with pytest.raises(BrokerUnavailable):
        serde.serialize({"carrier": "AA"})


def test_a_serde_without_topic_says_how_to_bind_it(registry):
    with pytest.raises(ConfigError, match="for_topic"):
        serdes.avro(FLIGHT, registry=registry.url).serialize({"carrier": "AA"})


def flight_message():
    file = descriptor_pb2.FileDescriptorProto(name="flight.proto", package="test", syntax="proto3")
    message = file.message_type.add(name="Flight")
    message.field.add(name="carrier", number=1, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Flight"))


def test_protobuf_on_the_wire(registry):
    message = flight_message()
    serde = serdes.protobuf(message, registry=registry.url).for_topic("flights", is_key=False)
    data = serde.serialize(message(carrier="AA"))
    assert data == struct.pack(">bI", 0, 1) + b"\x00" + b"\x0a\x02AA"  # message 0, field 1 of length 2
    assert serde.deserialize(data) == message(carrier="AA")
    assert registry.schemas[0]["schemaType"] == "PROTOBUF"


def test_json_schema_on_the_wire(registry):
    schema = json.dumps(
        {"type": "object", "title": "Flight", "properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
    )
    serde = serdes.json_schema(schema, registry=registry.url).for_topic("flights", is_key=False)
    data = serde.serialize({"seats": 7})
    assert data[:5] == struct.pack(">bI", 0, 1)
    assert json.loads(data[5:]) == {"seats": 7}
    assert serde.deserialize(data) == {"seats": 7}
    with pytest.raises(SerializationError, match="seats"):
        serde.serialize({"seats": "many"})
