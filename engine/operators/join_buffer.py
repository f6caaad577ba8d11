"""The buffer of a stream-table join with grace: records wait in it in order of (timestamp, key bytes, arrival).

Layout of Kafka Streams' RocksDBTimeOrderedKeyValueBuffer, so that its changelog can change hands: key is
`00 ++ int64 timestamp ++ key ++ int32 sequence`, value a BufferValue (record context, no prior, no old, the new value, put time 0).
"""

from __future__ import annotations

import struct
from typing import Any

from engine.operators.buffer_value import decode_buffer_value, encode_buffer_value
from engine.operators.context import NodeContext
from engine.records import Batch

_TIME = struct.Struct(">q")
_SEQUENCE = struct.Struct(">i")
_SEQUENCE_MAX = 2**31 - 1
# Rows of the first and of the last quarter of all numbers wait together only if the count began anew between them.
_QUARTER = 2**29
# Upstream's mark of keys that begin with a time.
_TIME_FIRST = b"\x00"
# Where other buffers write the time by which they are ordered.
_ORDERED_BY_KEY = bytes(8)


class JoinBuffer:
    """Owner: one join node. Its rows are in `store`, a plain store of bytes."""

    def __init__(self, store: Any, context: NodeContext, grace_ms: int, key_serde: Any, value_serde: Any) -> None:
        self._store = store
        self._context = context
        self._grace_ms = grace_ms
        self._key_serde = key_serde
        self._value_serde = value_serde
        self._observed = -1
        self._sequence = 0
        # Where the oldest row is, so that the store is only scanned when something is due.
        self._oldest: int | None = None
        early = -1
        with store.all() as rows:
            for key, _ in rows:
                timestamp = _TIME.unpack_from(key, 1)[0]
                self._oldest = timestamp if self._oldest is None else self._oldest
                self._observed = max(self._observed, timestamp)
                sequence = _sequence_of(key)
                self._sequence = max(self._sequence, sequence)
                early = max(early, sequence if sequence <= _QUARTER else -1)
        # Upstream counts from 0 again after a restart and may overwrite a waiting row; going on does not.
        if early >= 0 and self._sequence > _SEQUENCE_MAX - _QUARTER:
            self._sequence = early

    def put(self, record: Batch) -> bool:
        """Keep one record; False if it comes after its grace and must be joined at once."""
        timestamp = record.timestamps[0]
        self._observed = max(self._observed, timestamp)
        if timestamp < self._observed - self._grace_ms:
            return False
        self._sequence = self._sequence % _SEQUENCE_MAX + 1
        raw = record.serialized_keys(self._key_serde)[0]
        key = _TIME_FIRST + _TIME.pack(timestamp) + raw + _SEQUENCE.pack(self._sequence)
        value = encode_buffer_value(
            timestamp=timestamp,
            offset=0 if record.offsets is None else record.offsets[0],
            topic=record.topic,
            partition=self._context.partition,
            headers=None if record.headers is None else record.headers[0],
            prior=None,
            old=None,
            new=self._value_serde.serialize(record.values[0]),
        )
        self._write(key, value + _ORDERED_BY_KEY)
        self._oldest = timestamp if self._oldest is None else min(self._oldest, timestamp)
        return True

    def release(self) -> list[Batch]:
        """Take out every record whose grace has passed, oldest first."""
        due = self._observed - self._grace_ms
        if self._oldest is None or self._oldest > due:
            return []
        taken: list[tuple[bytes, bytes]] = []
        self._oldest = None
        with self._store.all() as rows:
            for key, value in rows:
                timestamp = _TIME.unpack_from(key, 1)[0]
                if timestamp > due:
                    self._oldest = timestamp
                    break
                taken.append((key, value))
        if any(_sequence_of(key) > self._sequence for key, _ in taken):
            # The count began anew behind these rows: of one time and key, they came first.
            taken.sort(key=lambda row: (row[0][:-4], _sequence_of(row[0]) <= self._sequence))
        for key, _ in taken:
            self._write(key, None)
        return [self._record(key, value) for key, value in taken]

    def _record(self, row: bytes, value: bytes) -> Batch:
        kept = decode_buffer_value(value)
        timestamp, raw_key = _TIME.unpack_from(row, 1)[0], row[9:-4]
        key = self._key_serde.deserialize(raw_key)
        return Batch(
            [key],
            [None if kept.new is None else self._value_serde.deserialize(kept.new)],
            [timestamp],
            headers=[kept.headers],
            raw_keys=[raw_key],
            key_serde=self._key_serde,
            topic=kept.topic,
            offsets=[kept.offset],
        )

    def _write(self, key: bytes, value: bytes | None) -> None:
        # The buffer's changelog rows carry no timestamp of their own, as upstream.
        kept = self._context.timestamp
        self._context.timestamp = None  # type: ignore[assignment]
        try:
            self._store.put(key, value)
        finally:
            self._context.timestamp = kept


def _sequence_of(row: bytes) -> int:
    return _SEQUENCE.unpack_from(row, len(row) - _SEQUENCE.size)[0]  # type: ignore[no-any-return]
