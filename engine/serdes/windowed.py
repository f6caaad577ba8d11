"""Serdes of windowed keys on topics, in Java's bytes.

`TimeWindowedSerializer` writes key ++ int64 start (no end: the reader knows the size); the session one key ++ int64 end
++ int64 start. Store keys carry a sequence number as well and are `engine.stores.layouts`' business.
"""

from __future__ import annotations

import struct
from typing import Any

from engine.records import Windowed
from engine.serdes.serde import Serde, refuse_bytes, refuse_value

_LONG = struct.Struct(">q")
_TWO_LONGS = struct.Struct(">qq")
_LONG_MAX = 2**63 - 1


class TimeWindowedSerde(Serde):
    """`Windowed(key, start, end)` of a window of `size_ms`; `end` is start + size and isn't written."""

    def __init__(self, inner: Serde, size_ms: int) -> None:
        self.inner = inner
        self.time_bytes = _LONG.size
        self.size_ms = size_ms
        self.name = f"time-windowed-{inner.name}"
        self.immutable = inner.immutable
        self.needs_topic = inner.needs_topic

    def serialize(self, value: Any) -> bytes:
        """See `Serde`."""
        if not isinstance(value, Windowed):
            raise refuse_value(self.name, value, "it takes engine.records.Windowed")
        return self.inner.serialize(value.key) + _LONG.pack(value.start)

    def deserialize(self, data: bytes) -> Windowed:
        """See `Serde`."""
        if len(data) < _LONG.size:
            raise refuse_bytes(self.name, data, "a windowed key ends with the 8 bytes of its start")
        (start,) = _LONG.unpack_from(data, len(data) - _LONG.size)
        return Windowed(self.inner.deserialize(data[: -_LONG.size]), start, min(start + self.size_ms, _LONG_MAX))

    def for_topic(self, topic: str, is_key: bool) -> Serde:  # noqa: FBT001 - the contract of `Serde`
        """See `Serde`."""
        inner = self.inner.for_topic(topic, is_key)
        return self if inner is self.inner else TimeWindowedSerde(inner, self.size_ms)


class SessionWindowedSerde(Serde):
    """`Windowed(key, start, end)` of a session; both bounds are inclusive and written."""

    def __init__(self, inner: Serde) -> None:
        self.inner = inner
        self.time_bytes = _TWO_LONGS.size
        self.name = f"session-windowed-{inner.name}"
        self.immutable = inner.immutable
        self.needs_topic = inner.needs_topic

    def serialize(self, value: Any) -> bytes:
        """See `Serde`."""
        if not isinstance(value, Windowed):
            raise refuse_value(self.name, value, "it takes engine.records.Windowed")
        return self.inner.serialize(value.key) + _TWO_LONGS.pack(value.end, value.start)

    def deserialize(self, data: bytes) -> Windowed:
        """See `Serde`."""
        if len(data) < _TWO_LONGS.size:
            raise refuse_bytes(self.name, data, "a session key ends with the 16 bytes of its end and its start")
        end, start = _TWO_LONGS.unpack_from(data, len(data) - _TWO_LONGS.size)
        return Windowed(self.inner.deserialize(data[: -_TWO_LONGS.size]), start, end)

    def for_topic(self, topic: str, is_key: bool) -> Serde:  # noqa: FBT001 - the contract of `Serde`
        """See `Serde`."""
        inner = self.inner.for_topic(topic, is_key)
        return self if inner is self.inner else SessionWindowedSerde(inner)


def placing_bytes(serde: Serde | None, raw_key: bytes) -> bytes:
    """The part of a serialised key that decides about its partition: all windows of a key lie in the key's own."""
    size = getattr(serde, "time_bytes", 0)
    return raw_key[:-size] if size else raw_key
