"""Java's own serdes: big-endian numbers, UTF-8 text, a UUID as its text, a boolean as one byte.

Each runs its many-forms through `map` over one C function and only on failure goes back, value by value, for the error.
"""

from __future__ import annotations

import struct
import uuid as uuid_module
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from engine.serdes.serde import Serde, refuse_bytes, refuse_value

_CODEC_ERRORS = (TypeError, ValueError, AttributeError, struct.error, OverflowError)


class _Fast(Serde):
    """A serde over one C function each way. `encode` and `decode` raise one of _CODEC_ERRORS for what they refuse."""

    immutable = True

    def __init__(self, name: str, takes: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> None:
        self.name = name
        self._takes = takes
        self._encode = encode
        self._decode = decode

    def serialize(self, value: Any) -> bytes:
        try:
            return self._encode(value)
        except _CODEC_ERRORS as error:
            raise refuse_value(self.name, value, f"it takes {self._takes} ({error})") from error

    def deserialize(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except _CODEC_ERRORS as error:
            raise refuse_bytes(self.name, data, str(error)) from error

    def serialize_many(self, values: Iterable[Any]) -> list[Any]:
        values = values if isinstance(values, (list, tuple)) else list(values)
        try:
            return list(map(self._encode, values))
        except _CODEC_ERRORS:
            # Either a None, which passes through, or a bad value, for which `serialize` finds the words.
            return super().serialize_many(values)

    def deserialize_many(self, data: Iterable[bytes | None]) -> list[Any]:
        data = data if isinstance(data, (list, tuple)) else list(data)
        try:
            return list(map(self._decode, data))
        except _CODEC_ERRORS:
            return super().deserialize_many(data)


class _Number(_Fast):
    """A number of fixed size in Java's byte order."""

    def __init__(self, name: str, takes: str, layout: str) -> None:
        self._layout = struct.Struct(layout)
        super().__init__(name, takes, self._layout.pack, self._read)

    def _read(self, data: bytes) -> Any:
        return self._layout.unpack(data)[0]

    def deserialize_many(self, data: Iterable[bytes | None]) -> list[Any]:
        data = data if isinstance(data, (list, tuple)) else list(data)
        try:
            # `unpack` gives tuples of one; chaining them is twice as fast as indexing each.
            return list(chain.from_iterable(map(self._layout.unpack, data)))
        except _CODEC_ERRORS:
            return super().deserialize_many(data)


class _Bytes(Serde):
    """Bytes as they are."""

    name = "bytes"
    immutable = True

    def serialize(self, value: Any) -> bytes:
        if type(value) is bytes:
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise refuse_value(self.name, value, "it takes bytes")

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize_many(self, values: Iterable[Any]) -> list[Any]:
        found = list(values)
        return found if _AS_THEY_ARE.issuperset(map(type, found)) else super().serialize_many(found)

    def deserialize_many(self, data: Iterable[bytes | None]) -> list[Any]:
        return list(data)


# What the bytes serde hands on without a look at each value.
_AS_THEY_ARE = frozenset({bytes, type(None)})


def _encode_boolean(value: bool) -> bytes:  # noqa: FBT001 - the value itself, not a switch
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise TypeError("not a bool")


def _decode_boolean(data: bytes) -> bool:
    if data == b"\x01":
        return True
    if data == b"\x00":
        return False
    raise ValueError("a boolean is one byte, 0 or 1")


def _encode_uuid(value: uuid_module.UUID) -> bytes:
    if not isinstance(value, uuid_module.UUID):
        raise TypeError("not a uuid.UUID")
    return str(value).encode()


def _decode_uuid(data: bytes) -> uuid_module.UUID:
    text = data.decode()
    value = uuid_module.UUID(text)
    if str(value) != text.lower():
        # Python's parser also takes braces and URNs; Java's does not, and another spelling is another key.
        raise ValueError("a UUID is 36 characters, 8-4-4-4-12")
    return value


raw = _Bytes()
string = _Fast("string", "str without lone surrogates", str.encode, bytes.decode)
int32 = _Number("int32", "int from -2^31 to 2^31-1", ">i")
int64 = _Number("int64", "int from -2^63 to 2^63-1", ">q")
double = _Number("double", "float", ">d")
boolean = _Fast("boolean", "True or False", _encode_boolean, _decode_boolean)
uuid = _Fast("uuid", "uuid.UUID", _encode_uuid, _decode_uuid)
