"""What stands beside a committed offset: Kafka Streams' `TopicPartitionMetadata`, so that stream time survives.

Base64 of a version byte and the partition's time as a big-endian int64; version 2 may carry times kept by processors
(name to ms, for emit-on-close). Both are read, version 2 is written. Pure functions; any thread.
"""

import base64
import binascii
import re
import struct
from typing import NamedTuple

from confluent_kafka import TopicPartition

UNKNOWN = -1
VERSION = 2
_HEAD = struct.Struct(">bq")
_COUNT = struct.Struct(">i")
_TIME = struct.Struct(">q")
# Nine bytes fill these characters without padding, so what follows can be told apart.
_HEAD_CHARACTERS = 12
# Whole groups of four characters, the last of them possibly padded.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


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


def beside(committed: TopicPartition) -> PartitionTime:
    """Read what stands beside a committed offset.

    The client hands the text over without its end: librdkafka copies the bytes without a terminating zero, and the Python
    client reads on to the next one, so anything may follow, also bytes that are no text.
    """
    try:
        return decode(committed.metadata)
    except UnicodeDecodeError as error:
        return decode(bytes(error.object[: error.start]).decode())


def decode(text: str | None) -> PartitionTime:
    """Read what was committed, whatever follows it; text that someone else's tool wrote means that the time is unknown."""
    try:
        version, time = _HEAD.unpack(base64.b64decode((text or "")[:_HEAD_CHARACTERS], validate=True))
        if version not in {1, VERSION}:
            return PartitionTime()
        return PartitionTime(time, _processors((text or "")[_HEAD_CHARACTERS:]) if version == VERSION else ())
    except (binascii.Error, struct.error, ValueError):
        return PartitionTime()


def _processors(text: str) -> tuple[tuple[str, int], ...]:
    """Times kept by processors; none when what stands here is not them, which is what follows a text that has none."""
    encoded = _BASE64.match(text)
    raw = base64.b64decode(encoded[0]) if encoded else b""
    found = []
    place = _COUNT.size
    try:
        for _ in range(_COUNT.unpack_from(raw)[0]):
            begin = place + _COUNT.size
            end = begin + _COUNT.unpack_from(raw, place)[0]
            if end <= begin:
                return ()
            found.append((raw[begin:end].decode(), _TIME.unpack_from(raw, end)[0]))
            place = end + _TIME.size
    except (struct.error, UnicodeDecodeError):
        return ()
    return tuple(found)
