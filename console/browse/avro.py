"""Values in Avro, decoded through the schema registry that this console was given: a reader's choice, as string or hex are.

An engine shows bytes of a serde that it was not given as base64. Here such bytes are asked for, and decoded by the schema
that they name (Confluent's wire format: a zero byte, the schema's id in four bytes, the body). Bytes that cannot be decoded
stay bytes with the reason beside them. Nothing is evaluated: Avro is data. One instance of ``Values`` a page.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any

import orjson
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from django.conf import settings

from console import limits
from engine.query import encoding

FORMAT = "avro"
_MAGIC = 0
_HEADER = 5
_REASON_CHARACTERS_MAX = 200
_SERVER_TROUBLE = 500


class NotPossible(Exception):
    """The question cannot be asked with values in Avro; the words say what to do."""


def for_engine(params: dict[str, str]) -> dict[str, str]:
    """Return the parameters as the engine takes them: values as bytes. Raises ``NotPossible``."""
    if not settings.SCHEMA_REGISTRY_URL:
        raise NotPossible(
            "Values cannot be shown as Avro: this console has no schema registry. Set SCHEMA_REGISTRY_URL (and "
            "SCHEMA_REGISTRY_USER_INFO where it asks for a user), or choose another format."
        )
    if params.get("where"):
        raise NotPossible(
            "where= looks into values as the engine reads them, and it does not read these as Avro: leave one of the two out."
        )
    return params | {"value_format": "base64"}


def decode(entries: list[dict[str, Any]]) -> None:
    """Put the decoded values where the bytes are."""
    values = Values()
    for entry in entries:
        raw = _bytes_of(entry.get("value"))
        if raw is not None:
            entry["value"] = values.to_json(raw)


class Values:
    """Decodes the values of one page; a registry that has failed to answer once is not asked again for it."""

    def __init__(self) -> None:
        self._away = ""

    def to_json(self, raw: bytes) -> Any:
        """Return the value, or its base64 with the reason why it is not one."""
        try:
            return orjson.loads(encoding.write(self._decoded(raw)))
        except Exception as error:  # noqa: BLE001 - one bad row is shown beside the others, whatever its schema raises
            words = f"not Avro of the schema registry: {str(error)[:_REASON_CHARACTERS_MAX]}"
            return {"base64": base64.b64encode(raw).decode(), "undecodable": words}

    def _decoded(self, raw: bytes) -> Any:
        if len(raw) < _HEADER or raw[0] != _MAGIC:
            raise ValueError("it does not begin with a zero byte and a schema's id")
        if self._away:
            raise ValueError(self._away)
        url, user_info = settings.SCHEMA_REGISTRY_URL, settings.SCHEMA_REGISTRY_USER_INFO
        try:
            # The value carries its schema's id, so the topic plays no part.
            return _deserializer(url, user_info)(raw, SerializationContext("", MessageField.VALUE))
        except SchemaRegistryError as error:
            if error.http_status_code >= _SERVER_TROUBLE:
                self._away = f"the schema registry does not answer well ({error.http_status_code}): ask again"
            raise
        except OSError as error:
            self._away = "the schema registry does not answer: check SCHEMA_REGISTRY_URL"
            raise ValueError(self._away) from error
        except Exception as error:
            if type(error).__module__.split(".")[0] in {"httpx", "httpx2"}:
                self._away = "the schema registry does not answer: check SCHEMA_REGISTRY_URL"
                raise ValueError(self._away) from error
            raise


@lru_cache(maxsize=1)
def _deserializer(url: str, user_info: str) -> AvroDeserializer:
    """Keep the client: it remembers the schemas that it has seen."""
    how: dict[str, Any] = {"url": url, "timeout": limits.REGISTRY_TIMEOUT_S, "max.retries": 0}
    if user_info:
        how["basic.auth.user.info"] = user_info
    made: AvroDeserializer = AvroDeserializer(SchemaRegistryClient(how))
    return made


def _bytes_of(shown: Any) -> bytes | None:
    """Return the bytes that an engine shows as base64; None for what it shows otherwise, as an absent value."""
    text = shown.get("base64") if isinstance(shown, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
