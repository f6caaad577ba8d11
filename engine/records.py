"""The unit that moves through a task: a micro-batch held as columns.

Columns rather than rows, because Python pays per object and per call: an operator that leaves keys alone hands
the same list on, and C code (zip, dict, Counter) walks a column faster than any loop over rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any, NamedTuple

Headers = list[tuple[str, bytes | None]]


_INT64 = range(-(2**63), 2**63)


def event_time(given: Any, what: str) -> int:
    """A time that user code gave, as an int. Raises TypeError, or ValueError for what Kafka's 64 bits do not hold."""
    try:
        timestamp = index(given)
    except TypeError:
        raise TypeError(f"{what} {given!r}: give whole ms since 1970, an int") from None
    if timestamp not in _INT64:
        raise ValueError(f"{what} {timestamp}: a time in ms has 64 bits")
    return timestamp


class Record(NamedTuple):
    """One record as user code sees it: a deserialised key and value, event time in ms, headers."""

    key: Any
    value: Any
    timestamp: int
    headers: Headers | None = None

    def with_key(self, key: Any) -> Record:
        """The same record under another key."""
        return self._replace(key=key)

    def with_value(self, value: Any) -> Record:
        """The same record with another value."""
        return self._replace(value=value)

    def with_timestamp(self, timestamp: int) -> Record:
        """The same record at another event time in ms."""
        return self._replace(timestamp=timestamp)

    def with_headers(self, headers: Headers | None) -> Record:
        """The same record with other headers."""
        return self._replace(headers=headers)


class ValueAndTimestamp(NamedTuple):
    """What a timestamped store keeps under a key: the value and the event time in ms of its last change."""

    value: Any
    timestamp: int


class Windowed(NamedTuple):
    """A key within a window: `start` inclusive; `end` exclusive (sessions: inclusive), both event times in ms."""

    key: Any
    start: int
    end: int


class Tombstone:
    """A deletion at `timestamp` (ms), among the updates of a store. Falsy, so that a batch is searched for them at C speed."""

    __slots__ = ("timestamp",)

    def __init__(self, timestamp: int) -> None:
        self.timestamp = timestamp

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"Tombstone({self.timestamp})"


@dataclass(slots=True)
class Batch:
    """Records of one stream in order, as parallel columns of the same length.

    `olds` is None on a stream; on a table it holds what each update replaces (None: nothing, or not tracked).
    `latest` is None when every update is the newest of its key; a versioned table marks out-of-order ones False.
    `raw_keys` are the serialised keys under `key_serde`, kept while no operator has changed the key, so that a
    store with the same serde need not serialise them again.
    A column is never changed in place: batches share them.
    """

    keys: list[Any]
    values: list[Any]
    timestamps: list[int]
    olds: list[Any] | None = None
    latest: list[bool] | None = None
    headers: list[Headers | None] | None = None
    raw_keys: list[bytes | None] | None = None
    key_serde: Any = None
    topic: str | None = None
    offsets: list[int] | None = None

    def __len__(self) -> int:
        """Count the records."""
        return len(self.keys)

    def row(self, index: int) -> Batch:
        """A batch of the one record at `index`."""
        end = index + 1
        return Batch(
            self.keys[index:end],
            self.values[index:end],
            self.timestamps[index:end],
            None if self.olds is None else self.olds[index:end],
            None if self.latest is None else self.latest[index:end],
            None if self.headers is None else self.headers[index:end],
            None if self.raw_keys is None else self.raw_keys[index:end],
            self.key_serde,
            self.topic,
            None if self.offsets is None else self.offsets[index:end],
        )

    def take(self, indices: list[int]) -> Batch:
        """The records at `indices`, in that order."""

        def pick(column: list[Any] | None) -> list[Any] | None:
            return None if column is None else [column[i] for i in indices]

        return Batch(
            [self.keys[i] for i in indices],
            [self.values[i] for i in indices],
            [self.timestamps[i] for i in indices],
            pick(self.olds),
            pick(self.latest),
            pick(self.headers),
            pick(self.raw_keys),
            self.key_serde,
            self.topic,
            pick(self.offsets),
        )

    def others(self, indices: list[int]) -> list[int]:
        """The indices of all records but those at `indices`, in order."""
        gone = set(indices)
        return [row for row in range(len(self.keys)) if row not in gone]

    def without(self, indices: list[int]) -> Batch:
        """All records but those at `indices`."""
        return self.take(self.others(indices)) if indices else self

    def serialized_keys(self, serde: Any) -> list[Any]:
        """The keys' bytes under `serde` (None stays None), without serialising again where they are known."""
        if self.raw_keys is not None and self.key_serde is serde:
            return self.raw_keys
        return serde.serialize_many(self.keys)  # type: ignore[no-any-return]

    def with_values(self, values: list[Any]) -> Batch:
        """The same records with other values; keys, times and headers are shared."""
        return Batch(
            self.keys,
            values,
            self.timestamps,
            None,
            None,
            self.headers,
            self.raw_keys,
            self.key_serde,
            self.topic,
            self.offsets,
        )


@dataclass(slots=True)
class RawBatch:
    """Consecutive records of one topic partition as they came from the broker: bytes, offsets, event times in ms."""

    topic: str
    partition: int
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]
    headers: list[Headers | None] | None = None
