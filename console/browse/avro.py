"""Keys and values in Avro, read through the schema registry that this console was given: a reader's choice, as string or hex are.

An engine shows bytes of a serde that it was not given as base64. Here such bytes are decoded by the schema that they name
(Confluent's wire format: a zero byte, the schema's id in four bytes, the body). Bytes that cannot be decoded stay bytes with
the reason beside them. Nothing is evaluated: Avro is data. One instance of ``Avro`` a question.
"""

from __future__ import annotations

import base64
import binascii
import json
from functools import lru_cache
from typing import Any

import orjson
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from django.conf import settings

from console import limits
from engine.query import encoding
from engine.query.refusal import bad_request

FORMAT = "avro"
_MAGIC = 0
_HEADER = 5
_REASON_CHARACTERS_MAX = 200
_SERVER_TROUBLE = 500
_SUBJECT_UNKNOWN = 404
_AWAY = "the schema registry does not answer: check SCHEMA_REGISTRY_URL"


class Avro:
    """Reads and writes Avro for one question; a registry that has failed to answer once is not asked again for it.

    ``topic`` names the subject by whose newest schema keys are written, ``<topic>-key``; None: keys are given as bytes only.
    Raises the engine's ``Refusal`` (bad-request) where there is no registry.
    """

    def __init__(self, topic: str | None = None) -> None:
        if not settings.SCHEMA_REGISTRY_URL:
            raise bad_request(
                "Nothing can be read as Avro: this console has no schema registry. Set SCHEMA_REGISTRY_URL (and "
                "SCHEMA_REGISTRY_USER_INFO where it asks for a user), or choose another format."
            )
        self._topic = topic
        self._away = ""

    def decoded(self, raw: bytes) -> Any:
        """Return the value as Python has it, or its base64 with the reason why it cannot be read."""
        try:
            return self._decoded(raw)
        except Exception as error:  # noqa: BLE001 - one bad row is shown beside the others, whatever its schema raises
            words = f"not Avro of the schema registry: {str(error)[:_REASON_CHARACTERS_MAX]}"
            return {"base64": base64.b64encode(raw).decode(), "undecodable": words}

    def to_json(self, raw: bytes) -> Any:
        """Return the JSON form; integers that JavaScript would round are decimal strings."""
        return orjson.loads(encoding.write(self.decoded(raw)))

    def from_text(self, text: str, what: str) -> bytes:
        """Return a key's bytes: of JSON by the subject's newest schema, or of ``{"base64": …}`` as they are.

        Raises the engine's ``Refusal`` (bad-request) that says how to give the key.
        """
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise bad_request(f"{what}={text[:60]!r} is not JSON, in which a key in Avro is given: {error}") from error
        raw = bytes_of(given) if isinstance(given, dict) and set(given) == {"base64"} else None
        return self._encoded(given, what) if raw is None else raw

    def _encoded(self, given: Any, what: str) -> bytes:
        if self._topic is None:
            raise bad_request(f"{what}: the store has no changelog whose schema says how its keys are written: give bytes, with key_format=base64")  # fmt: skip
        subject = f"{self._topic}-key"
        client, _ = _clients(settings.SCHEMA_REGISTRY_URL, settings.SCHEMA_REGISTRY_USER_INFO)
        try:
            write = AvroSerializer(
                client,
                client.get_latest_version(subject).schema,
                conf={"auto.register.schemas": False, "use.latest.version": True},
            )
            raw = write(given, SerializationContext(self._topic, MessageField.KEY))
        except SchemaRegistryError as error:
            words = f"has no schema {subject!r}" if error.http_status_code == _SUBJECT_UNKNOWN else f"answers: {error}"
            raise bad_request(
                f"{what} cannot be written as Avro: the schema registry {words}. Give bytes, with key_format=base64."
            ) from error
        except Exception as error:
            words = _AWAY if _is_away(error) else str(error)[:_REASON_CHARACTERS_MAX]
            raise bad_request(f"{what}={json.dumps(given)[:60]} cannot be written by {subject!r}: {words}") from error
        assert isinstance(raw, bytes)  # noqa: S101 - None comes of None alone, which no key's schema takes
        return raw

    def _decoded(self, raw: bytes) -> Any:
        if len(raw) < _HEADER or raw[0] != _MAGIC:
            raise ValueError("it does not begin with a zero byte and a schema's id")
        if self._away:
            raise ValueError(self._away)
        _, read = _clients(settings.SCHEMA_REGISTRY_URL, settings.SCHEMA_REGISTRY_USER_INFO)
        try:
            # The bytes carry their schema's id, so the topic plays no part.
            return read(raw, SerializationContext("", MessageField.VALUE))
        except SchemaRegistryError as error:
            if error.http_status_code >= _SERVER_TROUBLE:
                self._away = f"the schema registry does not answer well ({error.http_status_code}): ask again"
            raise
        except Exception as error:
            if _is_away(error):
                self._away = _AWAY
                raise ValueError(_AWAY) from error
            raise


def _is_away(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in {"httpx", "httpx2"}


@lru_cache(maxsize=1)
def _clients(url: str, user_info: str) -> tuple[SchemaRegistryClient, AvroDeserializer]:
    """Keep the client: it remembers the schemas that it has seen."""
    how: dict[str, Any] = {"url": url, "timeout": limits.REGISTRY_TIMEOUT_S, "max.retries": 0}
    if user_info:
        how["basic.auth.user.info"] = user_info
    client = SchemaRegistryClient(how)
    read: AvroDeserializer = AvroDeserializer(client)
    return client, read


def bytes_of(shown: Any) -> bytes | None:
    """Return the bytes that an engine shows as base64; None for what it shows otherwise, as an absent value."""
    text = shown.get("base64") if isinstance(shown, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
