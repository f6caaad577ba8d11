"""Byte layouts of store keys and values, exactly as Kafka Streams writes them to changelogs. All integers big-endian.

    key-value      key                                        value
    timestamped    key                                        value, its timestamp in the record's timestamp
    window         key ++ int64 start ++ int32 sequence       value (sequence 0 unless duplicates are retained)
    session        key ++ int64 end ++ int64 start            value
    versioned      key                                        value, the version's timestamp in the record's timestamp
    join side      int64 timestamp ++ byte (1 left, 0 right) ++ key

Locally a timestamped value is int64 timestamp ++ value. Local layouts beyond that are each store's own business.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from operator import add
from typing import Any

from engine.stores.contract import ChangelogColumns

LONG = struct.Struct(">q")
_WINDOW = struct.Struct(">qi")
_SESSION = struct.Struct(">qq")
_JOIN_SIDE = struct.Struct(">qB")
LONG_MAX = 2**63 - 1
LONG_MIN = -(2**63)
SEQUENCE_MAX = 2**31 - 1

WINDOW_SUFFIX = _WINDOW.size
SESSION_SUFFIX = _SESSION.size


def timestamped(value: bytes, timestamp: int) -> bytes:
    """A timestamped value as it lies in the store."""
    return LONG.pack(timestamp) + value


def timestamped_many(values: Iterable[bytes], timestamps: Iterable[int]) -> list[bytes]:
    """`timestamped` of each pair, at the speed of C."""
    return list(map(add, map(LONG.pack, timestamps), values))


def split_timestamped(data: bytes) -> tuple[bytes, int]:
    """The value and the timestamp of a stored timestamped value."""
    return data[8:], LONG.unpack_from(data)[0]


def window_key(key: bytes, start: int, sequence: int = 0) -> bytes:
    """A window store's changelog key."""
    return key + _WINDOW.pack(start, sequence)


def split_window_key(data: bytes) -> tuple[bytes, int, int]:
    """Key, start and sequence of a window store's changelog key."""
    start, sequence = _WINDOW.unpack_from(data, len(data) - WINDOW_SUFFIX)
    return data[:-WINDOW_SUFFIX], start, sequence


def session_key(key: bytes, start: int, end: int) -> bytes:
    """A session store's changelog key: the end comes before the start."""
    return key + _SESSION.pack(end, start)


def split_session_key(data: bytes) -> tuple[bytes, int, int]:
    """Key, start and end of a session store's changelog key."""
    end, start = _SESSION.unpack_from(data, len(data) - SESSION_SUFFIX)
    return data[:-SESSION_SUFFIX], start, end


def session_start(data: bytes) -> int:
    """The start in a session store's changelog key."""
    start: int = LONG.unpack_from(data, len(data) - LONG.size)[0]
    return start


def join_side_key(key: bytes, timestamp: int, *, left: bool) -> bytes:
    """The key of a pending row of a left or outer stream-stream join."""
    return _JOIN_SIDE.pack(timestamp, left) + key


def split_join_side_key(data: bytes) -> tuple[bytes, int, bool]:
    """Key, timestamp and "is of the left side" of a pending row's key."""
    timestamp, left = _JOIN_SIDE.unpack_from(data)
    return data[_JOIN_SIDE.size :], timestamp, bool(left)


def after_prefix(prefix: bytes) -> bytes | None:
    """The smallest key behind every key that starts with `prefix`; None if there is none (all bytes are 0xFF)."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def key_range_end(key: bytes, suffix: bytes) -> bytes:
    """An upper bound (inclusive) of `k ++ s` over all keys k ≤ `key` and suffixes s ≤ `suffix`.

    A key that is a proper prefix of `key` can sort behind it once a suffix follows, so every prefix has its say.
    """
    certain = max(len(key) - len(suffix), 0)
    for size in range(certain):
        if suffix > key[size : size + len(suffix)]:
            # A longer prefix can sort behind this one only if what it adds is still the suffix's own beginning.
            return max(key[:longer] + suffix for longer in range(size, size + len(suffix)))
    return max(key[:size] + suffix for size in range(certain, len(key) + 1))


def columns(records: Sequence[tuple[bytes, bytes | None, int]]) -> tuple[Sequence[Any], ...]:
    """Changelog records as three columns; three empty ones for none."""
    if isinstance(records, ChangelogColumns):
        return records.keys, records.values, records.timestamps
    return tuple(zip(*records, strict=True)) if records else ((), (), ())
