"""Where committed state lies: ordered bytes in named families, written in one step. Memory and RocksDB answer alike.

A family is a key space of its own (RocksDB: a column family): `default` for entries, one per window segment. Meta
values (position, observed time …) are written in the same step as the entries they belong to.

The loop's thread writes, reads and scans; `page`, `lookup`, `meta` and `families` may be called from any thread and see
committed state. Once closed they raise StoreError: an emptied store must not look like one that holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

DEFAULT = "default"


class Range(NamedTuple):
    """Keys from `lower` (inclusive) to `upper` (exclusive); None leaves a side open."""

    lower: bytes | None = None
    upper: bytes | None = None
    reverse: bool = False


EVERYTHING = Range()


@dataclass
class Columns:
    """Keys to put with their values, as parallel columns, and keys to delete. Puts come first."""

    keys: Sequence[bytes] = ()
    values: Sequence[bytes] = ()
    deletes: Iterable[bytes] = ()


@dataclass
class Write:
    """One atomic change: ranges (family, lower, upper exclusive) to delete, columns to apply, families to drop, meta."""

    entries: dict[str, list[Columns]] = field(default_factory=dict)
    # Ranges to delete, before the entries are applied.
    ranges: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)
    meta: dict[str, bytes] = field(default_factory=dict)

    def add(self, family: str, columns: Columns) -> None:
        """Append columns for a family; later ones win."""
        self.entries.setdefault(family, []).append(columns)


class Backend(Protocol):
    """Committed state of one store."""

    # Whether the rows survive the process.
    persistent: bool

    def get_many(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """The value of each key, None where there is none; an unknown family is empty."""

    def scan(self, family: str, bounds: Range) -> Iterator[tuple[bytes, bytes]]:
        """Rows in byte order, as of the first `next`. Letting go of the iterator frees what it holds.

        A later commit may show in the rest of a scan (memory) or not (RocksDB).
        """

    def families(self) -> list[str]:
        """Names of the families that exist, `default` included; safe from any thread."""

    def write(self, change: Write) -> None:
        """Apply a change as one step: after a crash either all of it is there or nothing."""

    def meta(self, name: str) -> bytes | None:
        """A meta value; safe from any thread."""

    def page(self, family: str, bounds: Range, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows in byte order; safe from any thread."""

    def lookup(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """`get_many`, safe from any thread."""

    def count(self, family: str) -> int:
        """About how many rows a family has."""

    def bytes(self) -> int:
        """Bytes that the rows take."""

    def flush(self) -> None:
        """Bring everything written to disk."""

    def close(self) -> None:
        """Let go of files and memory; twice is allowed."""
