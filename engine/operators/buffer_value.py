"""`BufferValue` and `ProcessorRecordContext` of Kafka Streams, in their own bytes: what buffers keep of a waiting record.

    context   int64 timestamp, int64 offset, text topic, int32 partition, int32 number of headers,
              per header: text name, data value
    values    data prior, data old, data new
    text/data int32 size ++ bytes; size -1: null; as the size of `old`, -2: the same bytes as `prior`

All integers are big-endian. The suppress buffer appends the int64 buffer time; the join buffer has it in its key.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from engine.records import Headers

_CONTEXT = struct.Struct(">qqi")
_TWO_INTS = struct.Struct(">ii")
_INT = struct.Struct(">i")
_NULL = _INT.pack(-1)
_SAME_AS_PRIOR = -2
_AS_PRIOR = _INT.pack(_SAME_AS_PRIOR)


class BufferValue(NamedTuple):
    """A waiting update: serialised values (`prior`: as of the buffering of its key's first update), and its origin."""

    timestamp: int
    offset: int
    topic: str
    partition: int
    headers: Headers | None
    prior: bytes | None
    old: bytes | None
    new: bytes | None


def _data(value: bytes | None) -> bytes:
    return _NULL if value is None else _INT.pack(len(value)) + value


def encode_buffer_value(
    *,
    timestamp: int,
    offset: int,
    topic: str | None,
    partition: int,
    headers: Headers | None,
    prior: bytes | None,
    old: bytes | None,
    new: bytes | None,
) -> bytes:
    """The bytes of a waiting record. A record that comes from no topic (a punctuation) has the empty one."""
    name = (topic or "").encode()
    parts = [_CONTEXT.pack(timestamp, offset, len(name)), name, _TWO_INTS.pack(partition, len(headers or ()))]
    for header, value in headers or ():
        parts += (_data(header.encode()), _data(value))
    if old is None:
        repeated = _NULL
    elif old == prior:
        repeated = _AS_PRIOR
    else:
        repeated = _data(old)
    return b"".join((*parts, _data(prior), repeated, _data(new)))


class _Reader:
    """A place in some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def integer(self) -> int:
        (value,) = _INT.unpack_from(self.data, self.at)
        self.at += _INT.size
        return int(value)

    def take(self, size: int) -> bytes | None:
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size : self.at]

    def sized(self) -> bytes | None:
        return self.take(self.integer())


def decode_buffer_value(data: bytes) -> BufferValue:
    """The waiting record that `encode_buffer_value` wrote; what follows it is left alone."""
    timestamp, offset, size = _CONTEXT.unpack_from(data)
    reader = _Reader(data)
    reader.at = _CONTEXT.size
    topic = (reader.take(size) or b"").decode()
    partition, count = reader.integer(), reader.integer()
    # -1 is what versions before headers wrote.
    headers: Headers = [((reader.sized() or b"").decode(), reader.sized()) for _ in range(max(count, 0))]
    prior = reader.sized()
    size = reader.integer()
    old = prior if size == _SAME_AS_PRIOR else reader.take(size)
    return BufferValue(timestamp, offset, topic, partition, headers or None, prior, old, reader.sized())
