"""Which partition a key belongs to: Kafka's default partitioner, bit for bit.

Java producers, Kafka Streams and librdkafka's `murmur2_random` all place a key by this hash, so a query can find the
owner of a key without asking a broker. Pure functions; any thread may call them.
"""

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


@lru_cache(maxsize=256)
def _words(count: int) -> struct.Struct:
    """Return the reader of `count` little-endian 4-byte blocks; keys of one store share few lengths."""
    return struct.Struct(f"<{count}I")


def murmur2(key: bytes) -> int:
    """Hash `key` as Java's `Utils.murmur2` does, as a signed 32-bit number."""
    length = len(key)
    count = length >> 2
    hashed = _SEED ^ length
    for word in _words(count).unpack_from(key) if count else ():
        mixed = (word * _MULTIPLIER) & _MASK
        mixed = ((mixed ^ (mixed >> 24)) * _MULTIPLIER) & _MASK
        hashed = ((hashed * _MULTIPLIER) & _MASK) ^ mixed
    if length & 3:
        # Java's fall-through switch over the tail reads it as one little-endian number.
        hashed = ((hashed ^ int.from_bytes(key[count << 2 :], "little")) * _MULTIPLIER) & _MASK
    hashed = ((hashed ^ (hashed >> 13)) * _MULTIPLIER) & _MASK
    hashed ^= hashed >> 15
    return hashed - 0x100000000 if hashed & 0x80000000 else hashed


def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition of serialised `key` among `partitions` (at least 1), as Kafka's default partitioner does."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
