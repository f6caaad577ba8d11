"""One row of a versioned store's segment: the versions of a key whose validity ended within the segment's interval.

Kafka Streams' own format: int64 next ++ int64 min ++ (int64 timestamp ++ int32 size)* from the newest version to the oldest
++ the values from the oldest to the newest. `next` is when the newest version ceased to be valid; a size of -1 is a
tombstone. A row is *degenerate* when it only says "deleted at this time": one tombstone whose timestamp equals `next`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

_HEAD = struct.Struct(">qq")
_VERSION = struct.Struct(">qi")
_TOMBSTONE = -1


class Found(NamedTuple):
    """A version within a row: its place (0: the newest) and its validity, `valid_to` exclusive."""

    place: int
    valid_from: int
    valid_to: int
    value: bytes | None


class VersionRow:
    """A row in memory. `versions` are (timestamp, value or None), the newest first; never empty."""

    __slots__ = ("next_timestamp", "versions")

    def __init__(self, next_timestamp: int, versions: list[tuple[int, bytes | None]]) -> None:
        self.next_timestamp = next_timestamp
        self.versions = versions

    @classmethod
    def of(cls, value: bytes | None, valid_from: int, valid_to: int) -> Self:
        """A row of one version."""
        return cls(valid_to, [(valid_from, value)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a row."""
        next_timestamp, oldest = _HEAD.unpack_from(data)
        versions: list[tuple[int, bytes | None]] = []
        at, end = _HEAD.size, len(data)
        timestamp = None
        while timestamp != oldest:
            timestamp, size = _VERSION.unpack_from(data, at)
            at += _VERSION.size
            if size == _TOMBSTONE:
                versions.append((timestamp, None))
            else:
                versions.append((timestamp, data[end - size : end]))
                end -= size
        return cls(next_timestamp, versions)

    def encode(self) -> bytes:
        """Write the row."""
        head = [_HEAD.pack(self.next_timestamp, self.min_timestamp)]
        head += [_VERSION.pack(at, _TOMBSTONE if value is None else len(value)) for at, value in self.versions]
        return b"".join([*head, *(value for _, value in reversed(self.versions) if value)])

    @property
    def min_timestamp(self) -> int:
        """The timestamp of the oldest version."""
        return self.versions[-1][0]

    @property
    def degenerate(self) -> bool:
        """Whether the row only marks a deletion."""
        return self.next_timestamp == self.min_timestamp

    def find(self, timestamp: int) -> Found:
        """The version valid at a time that lies within the row: min <= timestamp < next."""
        return next(found for found in self.all() if found.valid_from <= timestamp)

    def all(self) -> list[Found]:
        """All versions, tombstones included, the newest first."""
        ends = [self.next_timestamp, *(timestamp for timestamp, _ in self.versions)]
        return [Found(i, at, ends[i], value) for i, (at, value) in enumerate(self.versions)]

    def insert_as_latest(self, valid_from: int, valid_to: int, value: bytes | None) -> None:
        """Add a version on top. What the row holds from `valid_from` on is cut off; a gap becomes a tombstone."""
        if valid_from < self.next_timestamp:
            self._truncate(valid_from)
        if self.degenerate:
            self.versions = []
        if self.next_timestamp != valid_from:
            self.versions.insert(0, (self.next_timestamp, None))
        self.versions.insert(0, (valid_from, value))
        self.next_timestamp = valid_to

    def insert_as_earliest(self, timestamp: int, value: bytes | None) -> None:
        """Add a version below all others; it is valid until the oldest of them, or until a deletion that it explains."""
        if self.degenerate:
            self.versions = []
        self.versions.append((timestamp, value))

    def _truncate(self, timestamp: int) -> None:
        if timestamp <= self.min_timestamp:
            self.versions = [(timestamp, None)]
        else:
            self.versions = [version for version in self.versions if version[0] < timestamp]
        self.next_timestamp = timestamp
