"""Avro, Protobuf and JSON Schema through a Confluent-compatible schema registry, with confluent-kafka's own client.

Bytes are Confluent's wire format: a zero byte, the schema's id in four bytes, the body (Protobuf: the message's place too).
A registry names schemas by topic, so these serdes work only once they are bound to one: `serde.for_topic(topic, is_key)`.
Sources and sinks bind them to their topic, stores to the topic that they are restored from; whoever uses one by hand has
to, and so has a topology where an operation has no topic of its own (`engine.topology.checks`).

The client keeps schemas it has seen: a registry that goes down stops only what needs a schema that was never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from engine.errors import BrokerUnavailable, ConfigError
from engine.serdes.serde import Serde, refuse_bytes, refuse_value

try:
    # What confluent-kafka's client speaks HTTP with: httpx2 where it is installed, else httpx.
    from httpx2 import HTTPError
except ImportError:
    from httpx import HTTPError  # type: ignore[assignment]

Registry = str | Mapping[str, Any] | SchemaRegistryClient
Encode = Callable[[Any, SerializationContext], bytes | None]
Decode = Callable[[bytes, SerializationContext], Any]

# What a registry answers while it is not well; anything else is about the schema or the value.
_SERVER_TROUBLE = range(500, 600)
_TOO_MANY_REQUESTS = 429


class RegistrySerde(Serde):
    """A format of the registry, bound to a topic or not yet. Made by `avro`, `protobuf` and `json_schema`."""

    immutable = False

    def __init__(self, name: str, encode: Encode, decode: Decode, context: SerializationContext | None = None) -> None:
        self.name = name
        self._encode = encode
        self._decode = decode
        self._context = context
        self.needs_topic = context is None

    def for_topic(self, topic: str, is_key: bool) -> Serde:  # noqa: FBT001 - the contract of `Serde`
        """The same format for the keys or the values of a topic."""
        field = MessageField.KEY if is_key else MessageField.VALUE
        return RegistrySerde(self.name, self._encode, self._decode, SerializationContext(topic, field))

    def serialize(self, value: Any) -> bytes:
        """See `Serde`. Raises BrokerUnavailable while the registry does not answer."""
        context = self._bound()
        try:
            data = self._encode(value, context)
        except Exception as error:
            raise _named(error) or refuse_value(self.name, value, str(error)) from error
        if data is None:
            raise refuse_value(self.name, value, "None is a tombstone, not a value")
        return data

    def deserialize(self, data: bytes) -> Any:
        """See `Serde`. Raises BrokerUnavailable while the registry does not answer."""
        context = self._bound()
        try:
            return self._decode(data, context)
        except Exception as error:
            raise _named(error) or refuse_bytes(self.name, data, str(error)) from error

    def _bound(self) -> SerializationContext:
        if self._context is None:
            raise ConfigError(f"serde {self.name} names its schemas by topic: use serde.for_topic(topic, is_key)")
        return self._context


def avro(
    schema: str | Schema,
    *,
    registry: Registry,
    reader_schema: str | Schema | None = None,
    auto_register: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Serde:
    """Avro: dicts in, dicts out.

    `schema` is what values are written with, `reader_schema` what they are resolved to when read (None: `schema`).
    `registry` is a URL, the settings of confluent-kafka's SchemaRegistryClient, or a client. `config` goes to its
    AvroSerializer, e.g. `{"use.latest.version": True}`.
    """
    client = _client(registry)
    encode = AvroSerializer(client, schema, conf=_settings(config, auto_register=auto_register))
    decode = AvroDeserializer(client, reader_schema or schema)
    return RegistrySerde("avro", encode, decode)


def protobuf(
    message: type,
    *,
    registry: Registry,
    auto_register: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Serde:
    """Protobuf: `message` is the generated class; values are its instances. The rest as in `avro`."""
    client = _client(registry)
    encode = ProtobufSerializer(message, client, conf=_settings(config, auto_register=auto_register))
    decode = ProtobufDeserializer(message, conf={"use.deprecated.format": False}, schema_registry_client=client)
    return RegistrySerde("protobuf", encode, decode)


def json_schema(
    schema: str | Schema,
    *,
    registry: Registry,
    auto_register: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Serde:
    """JSON checked against a JSON Schema, both ways. The rest as in `avro`."""
    client = _client(registry)
    encode = JSONSerializer(schema, client, conf=_settings(config, auto_register=auto_register))
    decode = JSONDeserializer(schema, schema_registry_client=client)
    return RegistrySerde("json-schema", encode, decode)


def _client(registry: Registry) -> SchemaRegistryClient:
    if isinstance(registry, SchemaRegistryClient):
        return registry
    return SchemaRegistryClient({"url": registry} if isinstance(registry, str) else dict(registry))


def _settings(config: Mapping[str, Any] | None, *, auto_register: bool) -> dict[str, Any]:
    return {"auto.register.schemas": auto_register, **(config or {})}


def _named(error: Exception) -> BrokerUnavailable | None:
    """The error of a registry that can't answer now; None if the value or the bytes are at fault."""
    cause: BaseException | None = error
    while cause is not None:
        unwell = isinstance(cause, SchemaRegistryError) and (
            cause.http_status_code in _SERVER_TROUBLE or cause.http_status_code == _TOO_MANY_REQUESTS
        )
        if unwell or isinstance(cause, (HTTPError, ConnectionError, TimeoutError)):
            return BrokerUnavailable(f"the schema registry does not answer ({cause}); the record waits for it")
        cause = cause.__cause__ or cause.__context__
    return None
