"""The serde contract: typed values to bytes and back, one at a time and by the column.

Stores, sources and sinks call the many-forms, once a batch; the single forms serve the Processor API and queries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.errors import ConfigError, DeserializationError, SerializationError

# How much of an offending value an error shows: enough to recognise it, too little to flood a log.
_SHOWN_CHARS = 80


class Serde:
    """Bytes for values and values for bytes. Stateless or locked: any thread may call it.

    Subclass it, set `name`, and write `serialize` and `deserialize`; the many-forms follow from them. Raise
    SerializationError or DeserializationError for what the format can't hold: the engine's handler then decides about
    the record. `None` never reaches the single forms: in Kafka it is a tombstone and not a value.
    """

    name: str = "custom"
    # Whether a decoded value may be kept and handed out again: true only for types that nobody can change in place.
    immutable: bool = False
    # Whether it works only as what `for_topic` gives: where nothing binds it to a topic, a topology is refused.
    needs_topic: bool = False

    def serialize(self, value: Any) -> bytes:
        """The bytes of one value; raises SerializationError."""
        raise NotImplementedError

    def deserialize(self, data: bytes) -> Any:
        """The value of some bytes; raises DeserializationError."""
        raise NotImplementedError

    def serialize_many(self, values: Iterable[Any]) -> list[Any]:
        """The bytes of each value, in order; None stays None. Raises SerializationError for the first bad one."""
        serialize = self.serialize
        return [None if value is None else serialize(value) for value in values]

    def deserialize_many(self, data: Iterable[bytes | None]) -> list[Any]:
        """The value of each, in order; None stays None. Raises DeserializationError for the first bad one."""
        deserialize = self.deserialize
        return [None if item is None else deserialize(item) for item in data]

    def for_topic(self, topic: str, is_key: bool) -> Serde:  # noqa: ARG002, FBT001 - registry serdes need both
        """The serde to use for one topic's keys or values; most are the same for every topic."""
        return self

    def __repr__(self) -> str:
        return f"<serde {self.name}>"


def check_serde(given: Any, what: str) -> None:
    """Raise ConfigError for what is neither a serde nor None (not said)."""
    if given is not None and not isinstance(given, Serde):
        raise ConfigError(
            f"{what} is {given!r}: give a serde, such as serdes.string or serdes.json, or an instance of your own"
        )


def refuse_value(serde: str, value: Any, why: str) -> SerializationError:
    """The error for a value that a serde can't write; the caller raises it."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "…"
    return SerializationError(f"serde {serde} cannot write {type(value).__name__} {shown}: {why}")


def refuse_bytes(serde: str, data: bytes, why: str) -> DeserializationError:
    """The error for bytes that a serde can't read; the caller raises it."""
    shown = bytes(data[: _SHOWN_CHARS // 2]).hex()
    more = "…" if len(data) > _SHOWN_CHARS // 2 else ""
    return DeserializationError(f"serde {serde} cannot read {len(data)} bytes 0x{shown}{more}: {why}")
