"""What stands beside a committed offset: Kafka Streams' `TopicPartitionMetadata`, so that stream time survives.

Base64 of a version byte and the partition's time as a big-endian int64; version 2 may carry times kept by processors
(name to ms, for emit-on-close). Both are read, version 2 is written. Pure functions; any thread.
"""

import base64
import binascii
import struct
from typing import NamedTuple

UNKNOWN = -1
VERSION = 2
_HEAD = struct.Struct(">bq")
_COUNT = struct.Struct(">i")
_TIME = struct.Struct(">q")


class PartitionTime(NamedTuple):
    """The highest event time of a partition's processed records in ms (-1: none), and processors' own times."""

    time: int = UNKNOWN
    processors: tuple[tuple[str, int], ...] = ()


def encode(time: int, processors: tuple[tuple[str, int], ...] = ()) -> str:
    """Text to commit with an offset."""
    raw = _HEAD.pack(VERSION, time)
    if processors:
        raw += _COUNT.pack(len(processors))
        for name, at in processors:
            key = name.encode()
            raw += _COUNT.pack(len(key)) + key + _TIME.pack(at)
    return base64.b64encode(raw).decode()


def decode(text: str | None) -> PartitionTime:
    """Read what was committed; text that someone else's tool wrote there means that the time is unknown."""
    if not text:
        return PartitionTime()
    try:
        raw = base64.b64decode(text, validate=True)
        version, time = _HEAD.unpack_from(raw)
        if version not in {1, VERSION}:
            return PartitionTime()
        return PartitionTime(time, _processors(raw[_HEAD.size :]) if version == VERSION else ())
    except (binascii.Error, struct.error, ValueError):
        return PartitionTime()


def _processors(raw: bytes) -> tuple[tuple[str, int], ...]:
    if not raw:
        return ()
    found = []
    place = _COUNT.size
    for _ in range(_COUNT.unpack_from(raw)[0]):
        end = place + _COUNT.size + _COUNT.unpack_from(raw, place)[0]
        found.append((raw[place + _COUNT.size : end].decode(), _TIME.unpack_from(raw, end)[0]))
        place = end + _TIME.size
    return tuple(found)
