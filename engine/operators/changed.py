"""A table's change as bytes, on its way through a repartition topic: Kafka Streams' ChangedSerializer.

`new ++ 01`, `old ++ 00`, or, when both are there, `zigzag varint size of new ++ new ++ old ++ 02`.
"""

from __future__ import annotations

from engine.errors import DeserializationError, SerializationError

_OLD, _NEW, _BOTH = 0, 1, 2
# What Kafka Streams versions before 3.4 to 3.6 wrote in between: the same with a byte before the last, "is latest".
_WITH_LATEST = 3


def encode(new: bytes | None, old: bytes | None) -> bytes:
    """The bytes of a change; raises SerializationError when there is nothing on either side."""
    if new is None:
        if old is None:
            raise SerializationError("a table's change from nothing to nothing cannot go through a repartition topic")
        return old + b"\x00"
    if old is None:
        return new + b"\x01"
    return _varint(len(new)) + new + old + b"\x02"


def decode(data: bytes) -> tuple[bytes | None, bytes | None]:
    """The new and the old bytes of a change; raises DeserializationError for anything else."""
    if not data:
        raise DeserializationError("a table's change is empty where one byte at least says what it holds")
    kind, body = data[-1], data[:-1]
    if kind >= _WITH_LATEST:
        kind, body = kind - _WITH_LATEST, body[:-1]
    if kind == _OLD:
        return None, body
    if kind == _NEW:
        return body, None
    if kind == _BOTH:
        size, start = _read_varint(body)
        if start + size <= len(body):
            return body[start : start + size], body[start + size :]
    raise DeserializationError(f"0x{data[:40].hex()} is not a table's change in Kafka Streams' format")


def _varint(number: int) -> bytes:
    """Kafka's zigzag varint of a size."""
    rest = number << 1
    out = bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _read_varint(data: bytes) -> tuple[int, int]:
    """The size at the beginning of `data`, and where it ends."""
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            return value >> 1, place + 1
    raise DeserializationError("a table's change ends within its first number")
