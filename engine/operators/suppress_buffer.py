"""What a suppression holds back: `InMemoryTimeOrderedKeyValueChangeBuffer` of Kafka Streams, to the byte of its changelog.

The rows live in a plain store of bytes (serialised key -> BufferValue ++ int64 buffer time), which logs them, restores
them and forgets them on an abort. This is the index over it: owned by one suppress node, made anew with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Any, NamedTuple

from engine.operators.buffer_value import BufferValue, decode_buffer_value, encode_buffer_value
from engine.operators.context import NodeContext
from engine.operators.java_hash_order import java_hash_order

_TIME = struct.Struct(">q")
# Kafka Streams' accounting of a row: the buffer time, then timestamp, offset and partition of the record's context.
_ROW_BYTES = 8
_CONTEXT_BYTES = 8 + 8 + 4


class Held(NamedTuple):
    """A row: `time` is when it became first of its key, which fixes its place."""

    time: int
    update: BufferValue


class SuppressBuffer:
    """Waiting updates, one a key, in the order of (buffer time, key bytes).

    Changes reach the store at `write`, at a commit: only the last state of a key is logged, a tombstone if it left.
    """

    def __init__(self, store: Any, context: NodeContext) -> None:
        self._store = store
        self._context = context
        self._held: dict[bytes, Held] = {}
        self._order: list[tuple[int, bytes]] = []
        self._dirty: dict[bytes, None] = {}
        self._hash_capacity = 16
        self.bytes = 0
        with store.all() as rows:
            for raw, value in rows:
                self._hold(raw, Held(_TIME.unpack(value[-_TIME.size :])[0], decode_buffer_value(value)))

    def __len__(self) -> int:
        """Count the keys that wait."""
        return len(self._held)

    def get(self, raw: bytes) -> Held | None:
        """The row of a key."""
        return self._held.get(raw)

    def put(self, raw: bytes, time: int, update: BufferValue) -> None:
        """Hold an update. The key's earlier one gives it its place and its prior value (of `old`, else)."""
        known = self._held.get(raw)
        if known is None:
            self._hold(raw, Held(time, update._replace(prior=update.old)))
        else:
            self.bytes -= _size(raw, known.update)
            replaced = Held(known.time, update._replace(prior=known.update.prior))
            self._held[raw] = replaced
            self.bytes += _size(raw, replaced.update)
        self._dirty[raw] = None

    def oldest_time(self) -> int | None:
        """The smallest buffer time; None when nothing waits."""
        return self._order[0][0] if self._order else None

    def evict(self) -> tuple[bytes, BufferValue]:
        """Take out the first row."""
        _, raw = heappop(self._order)
        update = self._held.pop(raw).update
        self.bytes -= _size(raw, update)
        self._dirty[raw] = None
        return raw, update

    def write(self) -> None:
        """Bring what changed since the last call to the store, in Kafka Streams' order; called at a commit."""
        if not self._dirty:
            return
        dirty, self._hash_capacity = java_hash_order(self._dirty, self._hash_capacity)
        # The rows of the changelog carry the producer's time, not the record's, as in Kafka Streams.
        kept = self._context.timestamp
        self._context.timestamp = None  # type: ignore[assignment]
        try:
            self._put_all(dirty)
        finally:
            self._context.timestamp = kept
        self._dirty = {}

    def _put_all(self, raws: Iterable[bytes]) -> None:
        for raw in raws:
            held = self._held.get(raw)
            if held is None:
                self._store.put(raw, None)
            else:
                self._store.put(raw, encode_buffer_value(**held.update._asdict()) + _TIME.pack(held.time))

    def _hold(self, raw: bytes, held: Held) -> None:
        self._held[raw] = held
        heappush(self._order, (held.time, raw))
        self.bytes += _size(raw, held.update)


def _size(raw: bytes, update: BufferValue) -> int:
    """The bytes that a row counts for, as Kafka Streams estimates them: text by character, values once each."""
    size = _ROW_BYTES + len(raw) + _CONTEXT_BYTES + len(update.topic)
    size += sum(len(name) + len(value or b"") for name, value in update.headers or ())
    size += len(update.prior or b"") + len(update.new or b"")
    return size + (0 if update.old is None or update.old == update.prior else len(update.old))
