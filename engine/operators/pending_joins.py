"""Rows of an outer stream-stream join that have not met a match yet, in the store both sides share.

Layout of Kafka Streams: the key is `int64 timestamp ++ side (1 left, 0 right) ++ key`, the value a list of this side's
values of that key and time, `01 ++ int32 count ++ (int32 size ++ side ++ value)*`. The store's order is thus
(time, right before left, key).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

_TIME = struct.Struct(">q")
_INT = struct.Struct(">i")
LEFT, RIGHT = b"\x01", b"\x00"
# Kafka's ListSerializer: each element carries its size.
_VARIABLE_SIZE = b"\x01"


class Pending(NamedTuple):
    """One key's waiting values of one side at one time."""

    raw: bytes
    timestamp: int
    is_left: bool
    raw_key: bytes
    values: list[bytes]


class PendingJoins:
    """Owner: both sides' nodes of one join in one task. `store` is a plain store of bytes."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def add(self, timestamp: int, *, is_left: bool, raw_key: bytes, raw_value: bytes) -> None:
        """Let a record wait."""
        side = LEFT if is_left else RIGHT
        key = _TIME.pack(timestamp) + side + raw_key
        element = side + raw_value
        before = self._store.get(key)
        count, rest = (0, b"") if before is None else (_INT.unpack_from(before, 1)[0], before[5:])
        self._store.put(key, _VARIABLE_SIZE + _INT.pack(count + 1) + rest + _INT.pack(len(element)) + element)

    def matched(self, timestamp: int, *, is_left: bool, raw_key: bytes) -> None:
        """Forget every value of that key, time and side: it has met a match."""
        key = _TIME.pack(timestamp) + (LEFT if is_left else RIGHT) + raw_key
        if self._store.get(key) is not None:
            self._store.put(key, None)

    def emitted(self, pending: Pending) -> None:
        """Forget what was sent on without a match."""
        self._store.put(pending.raw, None)

    def rows(self) -> Iterator[Pending]:
        """Everything that waits, in the store's order."""
        with self._store.all() as rows:
            for key, value in rows:
                yield Pending(key, _TIME.unpack_from(key)[0], key[8:9] == LEFT, key[9:], _values(value))

    def oldest(self) -> int | None:
        """The time of the oldest row."""
        return next((row.timestamp for row in self.rows()), None)


def _values(data: bytes) -> list[bytes]:
    found, at = [], 5
    for _ in range(_INT.unpack_from(data, 1)[0]):
        size = _INT.unpack_from(data, at)[0]
        found.append(data[at + 5 : at + 4 + size])  # without the side's byte
        at += 4 + size
    return found
