"""What every state store answers to: its life, its changelog, its committed reads. Custom stores implement `Store`.

A store is one object with four layers: what is committed (memory or RocksDB), the overlay of writes that are not
committed yet, a cache of decoded objects, and the buffer of changelog records that are not drained yet. One thread, the
loop's, owns it; only what `committed()` returns may be used from other threads.

    open ──> restore* ──> (read and write ──> drain_changelog ──> commit | rollback)* ──> flush ──> close

- Uncommitted writes never reach the backend: a crash or a `rollback` leaves exactly the last commit.
- `commit(position)` writes the dirty entries and the changelog position in one step, so that they can't disagree.
- The store is at any time the fold of its changelog up to `position`, plus the overlay.

To plug in a store, give `StoreSpec.supplier` a callable `supplier(spec, directory, context) -> Store`. Its typed
methods are between it and the processors that use it; the engine itself calls only what stands in `Store`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, overload, runtime_checkable

# (key bytes, value bytes or None for a tombstone, timestamp in ms): a record of a changelog topic.
ChangelogRecord = tuple[bytes, bytes | None, int]


@dataclass(frozen=True, eq=False)
class ChangelogColumns(Sequence[ChangelogRecord]):
    """Changelog records as three columns of one length: what a restore hands to a store.

    A sequence of records like any other; a store that takes the columns as they are saves a tuple a record.
    """

    keys: Sequence[bytes]
    values: Sequence[bytes | None]
    timestamps: Sequence[int]

    def __len__(self) -> int:
        """How many records."""
        return len(self.keys)

    def __iter__(self) -> Iterator[ChangelogRecord]:
        """The records, oldest first."""
        return zip(self.keys, self.values, self.timestamps, strict=True)

    @overload
    def __getitem__(self, index: int) -> ChangelogRecord: ...
    @overload
    def __getitem__(self, index: slice) -> ChangelogColumns: ...
    def __getitem__(self, index: int | slice) -> ChangelogRecord | ChangelogColumns:
        """One record, or a part of the columns."""
        keys, values, timestamps = self.keys[index], self.values[index], self.timestamps[index]
        if isinstance(index, slice):
            return ChangelogColumns(keys, values, timestamps)  # type: ignore[arg-type]
        return keys, values, timestamps  # type: ignore[return-value]


class StoreContext(Protocol):
    """What a store sees of its task."""

    # Event time in ms of the record being processed: what plain stores log their changes with.
    timestamp: int

    def dropped(self, count: int) -> None:
        """Count puts that came after their window, session or history had expired."""


class CommittedRow(NamedTuple):
    """One committed entry as bytes, for readers of another thread.

    `timestamp` is None for stores that keep none. `start` and `end` bound a window or a session (ms; a window's end is
    exclusive, a session's inclusive); `valid_to` ends a version (None: the latest). `cursor` names the row's place in
    the store's order: give it as `start_after` to go on behind it.
    """

    key: bytes
    value: bytes
    timestamp: int | None = None
    start: int | None = None
    end: int | None = None
    valid_to: int | None = None
    cursor: bytes = b""


@runtime_checkable
class Store(Protocol):
    """A state store as the engine handles it. See the module's text for the order of calls."""

    spec: Any
    # Next changelog offset to apply: the committed state is exactly the fold of everything before it. None: unknown.
    position: int | None
    # Wall-clock ms of the last commit or restore that reached the backend; None for a store that never had one.
    checkpoint_at: int | None

    @property
    def uncommitted_bytes(self) -> int:
        """About how many bytes the overlay and the changelog buffer hold."""

    def drain_changelog(self) -> list[ChangelogRecord]:
        """The records to produce since the last drain, in order. Empty for a store that isn't logged.

        A store with caching gives the last value of each key; others give every put. Raises SerializationError if a
        value that was written is not what the value serde takes, StoreFull if a bounded store would pass its bound.
        """

    def commit(self, position: int | None) -> None:
        """Make the overlay permanent together with `position` (None leaves the position as it is).

        Writes that were not drained become permanent too, so drain first.
        """

    def rollback(self) -> None:
        """Forget everything since the last commit, and every cached object that could derive from it."""

    def restore(self, records: Sequence[ChangelogRecord], position: int, *, current: bool = True) -> None:
        """Apply changelog records, oldest first; `position` is the offset behind the last of them.

        `current` says whether that is the changelog's end: what is kept of `checkpoint_at` is when the store last stood
        there, since a deletion behind it may be forgotten from then on. Only while the overlay is empty. Writes no
        changelog. A record that has expired by now is left out.
        """

    def flush(self) -> None:
        """Bring what is committed to disk, where there is one; call it before a clean close."""

    def close(self) -> None:
        """Give up all resources, open iterators included. Uncommitted writes are lost. Calling it twice is allowed."""

    def approximate_num_entries(self) -> int:
        """About how many entries the store holds, uncommitted ones included.

        Windows and sessions count each; a versioned store counts the keys that have a value now, not their past.
        """

    def bytes(self) -> int:
        """Bytes on disk or in memory of what is committed."""

    def committed(self) -> Any:
        """A view of committed state that any thread may read while the loop writes (`engine.stores.committed`)."""
