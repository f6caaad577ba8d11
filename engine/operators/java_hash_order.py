"""The order in which Java walks a `HashSet<Bytes>`: the one in which Kafka Streams logs a suppress buffer's changes.

No reader depends on it; it makes our changelogs equal to Kafka Streams' byte for byte, which is how they are compared.
"""

from __future__ import annotations

from collections.abc import Collection

# Hashing is a Python loop over each key: a commit of more keys than this is logged in the order of their first change.
KEYS_MAX = 1_000
_LOAD_PERCENT = 75


def java_hash_order(keys: Collection[bytes], capacity: int) -> tuple[list[bytes], int]:
    """`keys` (in the order of insertion) as a set with a table of `capacity` returns them, and its capacity now."""
    while len(keys) * 100 > capacity * _LOAD_PERCENT:
        capacity *= 2
    if len(keys) > KEYS_MAX:
        return list(keys), capacity

    def bucket(key: bytes) -> int:
        spread = _hash(key)
        return (spread ^ spread >> 16) & (capacity - 1)

    # Keys of a bucket stay in the order of insertion, and `sorted` is stable.
    return sorted(keys, key=bucket), capacity


def _hash(key: bytes) -> int:
    """`java.util.Arrays.hashCode(byte[])`, as an unsigned number."""
    result = 1
    for byte in key:
        result = result * 31 + (byte - 256 if byte > 127 else byte)  # noqa: PLR2004 - Java's bytes are signed
    return result & 0xFFFFFFFF
