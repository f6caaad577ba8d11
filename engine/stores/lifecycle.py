"""The life of the engine's own stores: open, drain, commit, roll back, restore, close. Kinds fill in the rest.

A kind keeps its rows in tables (`engine.stores.table`), tells which (`_tables`), builds its changelog (`_drain`) and
turns changelog records back into rows (`_restored`).
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from engine import serdes
from engine.errors import NullKeyError, SerializationError, StoreError, StoreFull, TaskCorrupted
from engine.serdes import Serde
from engine.stores import layouts
from engine.stores.backend import DEFAULT, EVERYTHING, Backend, Write
from engine.stores.contract import ChangelogRecord, StoreContext
from engine.stores.iterators import StoreIterator
from engine.stores.memory_backend import MemoryBackend
from engine.stores.rocks_backend import RocksBackend
from engine.stores.table import Table
from engine.topology.stores import StoreSpec

T = TypeVar("T")

_FORMAT_VERSION = 1
# An idle store still tells that it is alive: its age decides whether the changelog may have forgotten deletions.
_IDLE_CHECKPOINT_MS = 30_000
# Uncommitted keys looked at to estimate a count.
_COUNT_SAMPLE = 1_000


class LayeredStore:
    """Base of the engine's own stores: `engine.stores.contract.Store` over a backend. Owner: the loop's thread."""

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        self.spec = spec
        self.context = context
        self.name = spec.name
        self.key_serde: Serde = spec.key_serde or serdes.bytes
        self.value_serde: Serde = spec.value_serde or serdes.bytes
        self.position: int | None = None
        self.checkpoint_at: int | None = None
        self._backend = backend
        self._open_iterators: WeakSet[Any] = WeakSet()
        self._closed = False
        self._read_meta()

    # What a kind fills in -------------------------------------------------------------------------------------------

    def _tables(self) -> Iterable[Table]:
        """All tables that may hold uncommitted writes."""
        raise NotImplementedError

    def _counted_tables(self) -> Iterable[Table]:
        """The tables whose rows are the store's entries; a kind leaves out what it keeps beside them."""
        return self._tables()

    def _drain(self) -> list[ChangelogRecord]:
        """Changelog records since the last drain."""
        raise NotImplementedError

    def _restored(self, records: Sequence[ChangelogRecord], change: Write) -> None:
        """Add the rows of changelog records to a change."""
        raise NotImplementedError

    def _meta(self) -> dict[str, int]:
        """Numbers of the kind that are committed with the rows, such as the observed time."""
        return {}

    def _adopt_meta(self, read: dict[str, int]) -> None:
        """Take over the committed numbers; called at open and after a rollback."""

    def _before_commit(self, change: Write) -> None:
        """Add what the kind wants in every commit, such as expired families to drop."""

    def _layout(self) -> str:
        """What the local bytes depend on; a store opened with another layout is refused."""
        return f"{self.spec.kind} timestamped={self.spec.timestamped}"

    # The contract ---------------------------------------------------------------------------------------------------

    @property
    def uncommitted_bytes(self) -> int:
        """See `Store`."""
        return sum(table.uncommitted_bytes for table in self._tables())

    def drain_changelog(self) -> list[ChangelogRecord]:
        """See `Store`. Raises SerializationError for an object that was kept and that the value serde refuses."""
        self._check_open()
        self._check_bound(self.uncommitted_bytes)
        try:
            return self._drain()
        except SerializationError as error:
            # The record that brought it is not known any more, so no handler can be asked: the words have to lead there.
            raise SerializationError(
                f"store {self.name}: {error}. An operator (an aggregator, a joiner, a mapper) gave the store this value: "
                "mend it, or give the store a serde that takes it"
            ) from error

    def commit(self, position: int | None) -> None:
        """See `Store`."""
        self._check_open()
        change = Write()
        for table in self._tables():
            table.collect(change)
        self._before_commit(change)
        self._write(change, self.position if position is None else position)
        for table in self._tables():
            table.committed()

    def rollback(self) -> None:
        """See `Store`."""
        self._check_open()
        self._close_iterators()
        for table in self._tables():
            table.forget()
        self._read_meta()

    def restore(self, records: Sequence[ChangelogRecord], position: int, *, current: bool = True) -> None:
        """See `Store`."""
        self._check_open()
        for table in self._tables():
            if not table.is_clean():
                raise StoreError(f"store {self.name}: restored with uncommitted writes; commit or roll back first")
            table.forget()
        change = Write()
        self._restored(records, change)
        self._before_commit(change)
        self._write(change, position, current=current)
        for table in self._tables():
            table.restored()
        self._check_bound(0)

    def flush(self) -> None:
        """See `Store`."""
        self._check_open()
        self._backend.flush()

    def close(self) -> None:
        """See `Store`."""
        if self._closed:
            return
        self._close_iterators()
        for table in self._tables():
            table.close()
        self._backend.close()
        self._closed = True

    def approximate_num_entries(self) -> int:
        """See `Store`. Exact in memory; on RocksDB an estimate that counts overwritten entries until compaction."""
        self._check_open()
        tables = list(self._counted_tables())
        committed = sum(self._backend.count(table.family) for table in tables)
        return max(committed + sum(table.net_entries(_COUNT_SAMPLE) for table in tables), 0)

    def bytes(self) -> int:
        """See `Store`."""
        return self._backend.bytes()

    @property
    def damaged(self) -> bool:
        """Whether committed rows could not be read: the store is to be rebuilt."""
        return bool(getattr(self._backend, "damaged", False))

    @property
    def backend(self) -> Backend:
        """The committed state itself, for verification, export and compaction."""
        return self._backend

    # For the kinds --------------------------------------------------------------------------------------------------

    def raw_key(self, key: Any) -> Any:
        """The bytes of a key. Raises NullKeyError for None."""
        if key is None:
            raise NullKeyError(f"store {self.name}: the key is None; a store has no entry without a key")
        return self.key_serde.serialize(key)

    def raw_bound(self, key: Any) -> Any:
        """The bytes of a bound; None is an open bound."""
        return None if key is None else self.key_serde.serialize(key)

    def _iterator(self, rows: Iterator[T]) -> StoreIterator[T]:
        return StoreIterator(rows, self._open_iterators)

    def _close_iterators(self) -> None:
        for iterator in list(self._open_iterators):
            iterator.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"store {self.name} is closed")

    def _check_bound(self, uncommitted: int) -> None:
        bound = self.spec.max_bytes
        if bound is None or self._backend.persistent:
            return
        held = self._backend.bytes() + uncommitted
        if held > bound:
            raise StoreFull(
                f"in-memory store {self.name} holds {held:,} bytes and may hold {bound:,}: raise max_bytes, "
                "use a persistent store, or spread the partitions over more instances"
            )

    def _write(self, change: Write, position: int | None, *, current: bool = True) -> None:
        now = int(time.time() * 1000)
        # On its way to the end it is as old as it was when it began; an empty one begins now.
        at = now if current or self.checkpoint_at is None else self.checkpoint_at
        idle = self.checkpoint_at is not None and at - self.checkpoint_at < _IDLE_CHECKPOINT_MS
        if idle and position == self.position and not (change.entries or change.drops or change.ranges):
            return
        numbers = {**self._meta(), "checkpoint_at": at}
        if position is not None:
            numbers["position"] = position
        change.meta = {name: layouts.LONG.pack(number) for name, number in numbers.items()}
        change.meta["format"] = self._format()
        change.meta["numbers"] = " ".join(numbers).encode()
        self._backend.write(change)
        self.position, self.checkpoint_at = position, at

    def _read_meta(self) -> None:
        found = self._backend.meta("format")
        if found is None and any(self._backend.page(family, EVERYTHING, 1) for family in self._backend.families()):
            # Families are flushed one by one, this one last: a kill within the first flush leaves rows alone. Of whatever
            # time they are, a changelog that has forgotten deletions since would not take them away.
            raise TaskCorrupted(
                f"store {self.name} has rows, and nothing that says how far they go: it must be rebuilt from its changelog"
            )
        if found is not None and found != self._format():
            raise TaskCorrupted(
                f"store {self.name} was written as {found.decode()!r} and is opened as {self._format().decode()!r}: "
                "it must be rebuilt from its changelog"
            )
        names = (self._backend.meta("numbers") or b"").decode().split()
        read = {name: layouts.LONG.unpack(self._backend.meta(name) or b"")[0] for name in names}
        self.position = read.get("position")
        self.checkpoint_at = read.get("checkpoint_at")
        self._adopt_meta(read)

    def _format(self) -> builtins.bytes:
        return f"{_FORMAT_VERSION} {self._layout()}".encode()


def make_backend(spec: StoreSpec, directory: Path | None, *, read_only: bool = False) -> Backend:
    """The backend that a spec asks for; raises StoreError when RocksDB is asked for without a directory."""
    if spec.backend in ("memory", "lru"):
        return MemoryBackend()
    if directory is None:
        raise StoreError(f"store {spec.name}: a RocksDB store needs a directory")
    return RocksBackend(directory, spec.rocksdb, read_only=read_only)


__all__ = ["DEFAULT", "LayeredStore", "make_backend"]
