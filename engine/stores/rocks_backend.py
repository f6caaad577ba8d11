"""Committed state in RocksDB: one database per store, a column family per family, one for the meta values.

Without a write-ahead log: the changelog topic is the log. `atomic_flush` then keeps entries and position together,
whatever a `kill -9` leaves (without it data was found on disk whose position was not). `raw_mode` always: rocksdict's
default mode unpickles what it reads.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from rocksdict import AccessType, Rdict, RdictIter, ReadOptions, WriteBatch, WriteOptions

from engine.errors import DiskFull, StateDirectoryLocked, StatehouseError, StoreError, TaskCorrupted
from engine.stores import manifest
from engine.stores.backend import DEFAULT, EVERYTHING, Columns, Range, Write
from engine.stores.rocks_facts import facts
from engine.stores.rocks_options import database_options, make_options

log = logging.getLogger(__name__)

_META = "meta"
_SORT_FROM = 1_000
# Up to so many entries a count is exact: a few ms of scanning. People notice when 16 keys are "about 415".
_COUNT_EXACTLY_MAX = 5_000
# What a rebuild can't mend, in the operating system's words.
_ENVIRONMENT = ("Permission denied", "Read-only file system", "Too many open files")
_NO_ROOM = ("No space left", "Disk quota", "File too large", "Max allowed space was reached")
# Another thread's call is in the way: no damage. Words of rocksdict, and of RocksDB whose work was cancelled.
_CANCELLED = "Shutdown in progress"
_IN_USE = ("Already borrowed", "Already mutably borrowed", "DB instance already closed", _CANCELLED)
# A stop waits no longer than this for a compaction; RocksDB asks at every row whether it should end.
_COMPACTION_END_SECONDS = 10.0
# Lies in a generation that was found damaged after it had opened: it is rebuilt at its next opening, whoever that is.
_DAMAGED = "DAMAGED"
_SIZE_PROPERTIES = ("rocksdb.live-sst-files-size", "rocksdb.cur-size-all-mem-tables")


Row = tuple[bytes, bytes]


class RocksBackend:
    """`engine.stores.backend.Backend` on disk. `directory` is the generation's own; it is made if missing.

    Opened `read_only` it takes no lock, so that several processes may read one directory that nobody writes any more.
    """

    persistent = True

    def __init__(self, directory: Path, overrides: dict[str, Any], *, read_only: bool = False) -> None:
        self.directory = directory
        self._overrides = overrides
        # Held by readers of other threads and by whoever drops a family or closes: a page never meets a freed handle.
        self._gate = threading.Lock()
        # Held while a compaction runs, which lends RocksDB's handles out for as long, so not under the gate.
        self._compaction = threading.Lock()
        # Set under the gate as soon as closing begins.
        self._closed = False
        self._damage: str | None = None
        self._refuse_damaged()
        # rocksdict's stub calls it a method; it is a property.
        self._writing = WriteOptions()
        self._writing.disable_wal = True  # type: ignore[method-assign, assignment]
        if not read_only:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        access = AccessType.read_only() if read_only else AccessType.read_write()
        made = database_options(overrides)
        with self._named_errors("opened"):
            existing = _families_in(directory)
            names = {DEFAULT, _META, *existing}
            families = {name: make_options(overrides) for name in names}
            self._db: Rdict | None = Rdict(str(directory), made, column_families=families, access_type=access)
        self._spaces: dict[str, Rdict] = {name: self._db.get_column_family(name) for name in names if name != DEFAULT}
        self._spaces[DEFAULT] = self._db
        self._handles = {name: self._db.get_column_family_handle(name) for name in names}
        # Entries of each family as counted since the last write (None: too many to count).
        self._counts: dict[str, int | None] = {}

    @property
    def damaged(self) -> bool:
        """Whether rows could not be read since it was opened."""
        return self._damage is not None

    def get_many(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """See `Backend`."""
        space = self._spaces.get(family)
        if space is None:
            return [None] * len(keys)
        try:
            found: list[bytes | None] = space.get(keys)  # type: ignore[arg-type, assignment]
        except Exception as error:
            raise self._named(error, "read") from error
        return found

    def lookup(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """See `Backend`."""
        with self._gate:
            self._open_database()
            return self.get_many(family, keys)

    def scan(self, family: str, bounds: Range) -> Iterator[tuple[bytes, bytes]]:
        """See `Backend`. The rows are those of this moment: RocksDB's iterator is a snapshot."""
        space = self._spaces.get(family)
        if space is None or (bounds.lower is not None and bounds.upper is not None and bounds.lower >= bounds.upper):
            return iter(())
        options = ReadOptions()
        if bounds.upper is not None:
            options.set_iterate_upper_bound(bounds.upper)
        iterator = space.iter(options)
        if bounds.reverse:
            # Within the upper bound the last row is the first one wanted.
            iterator.seek_to_last()
        elif bounds.lower is None:
            iterator.seek_to_first()
        else:
            iterator.seek(bounds.lower)
        rows = self._rows(options, iterator, forward=not bounds.reverse)
        # rocksdict 0.3.29 does not heed a lower bound, so a backward scan is stopped by hand.
        if bounds.reverse and (lower := bounds.lower):
            return takewhile(lambda row: row[0] >= lower, rows)
        return rows

    def page(self, family: str, bounds: Range, limit: int) -> list[tuple[bytes, bytes]]:
        """See `Backend`."""
        with self._gate:
            self._open_database()
            return list(islice(self.scan(family, bounds), limit))

    def families(self) -> list[str]:
        """See `Backend`."""
        with self._gate:
            self._open_database()
            return [name for name in self._spaces if name != _META]

    def write(self, change: Write) -> None:
        """See `Backend`: one WriteBatch. Families are made before it; those to drop are dropped behind it."""
        database = self._open_database()
        self._report_damage()
        batch = WriteBatch(raw_mode=True)
        for family, lower, upper in change.ranges:
            if family in self._handles:
                batch.delete_range(lower, upper, self._handles[family])
        for family, parts in change.entries.items():
            if family not in self._spaces:
                with self._named_errors("given a column family"):
                    self._create(family)
            batch.set_default_column_family(self._handles[family])
            for part in parts:
                _fill(batch, part)
        if change.meta:
            batch.set_default_column_family(self._handles[_META])
            for name, value in change.meta.items():
                batch.put(name.encode(), value)
        with self._named_errors("written"):
            if not batch.is_empty():
                database.write(batch, self._writing)
                self._counts.clear()
            for family in change.drops:
                self._drop(family)

    def meta(self, name: str) -> bytes | None:
        """See `Backend`."""
        with self._gate:
            self._open_database()
            with self._named_errors("read"):
                value: bytes | None = self._spaces[_META].get(name.encode())
            return value

    def count(self, family: str) -> int:
        """See `Backend`: exact for small stores, else RocksDB's estimate, in which overwritten entries count twice."""
        space = self._spaces.get(family)
        if space is None:
            return 0
        self._report_damage()
        if family not in self._counts:
            counted = sum(1 for _ in islice(self.scan(family, EVERYTHING), _COUNT_EXACTLY_MAX + 1))
            self._counts[family] = counted if counted <= _COUNT_EXACTLY_MAX else None
        exact = self._counts[family]
        return exact if exact is not None else space.property_int_value("rocksdb.estimate-num-keys") or 0

    def bytes(self) -> int:
        """See `Backend`: table files and memtables."""
        with self._gate:
            if self._db is None:
                return 0
            return sum(s.property_int_value(name) or 0 for s in self._spaces.values() for name in _SIZE_PROPERTIES)

    def compact(self) -> None:
        """Compact every family; blocks for as long as it takes, so call it from a thread of its own.

        Raises StoreError if the store closes meanwhile: what was compacted by then is, and nothing is lost.
        """
        with self._compaction:
            for family in list(self._spaces):
                self._compact_family(family)
            # RocksDB's call does not tell that it was cancelled.
            self._refuse_closed()

    def property(self, name: str, family: str = DEFAULT) -> str | None:
        """A RocksDB property such as `rocksdb.levelstats`; safe from any thread."""
        with self._gate:
            self._open_database()
            value: str | None = self._spaces[family].property_value(name)
            return value

    def facts(self) -> dict[str, Any]:
        """What RocksDB tells of itself (`engine.stores.rocks_facts`); safe from any thread."""
        with self._gate:
            database = self._open_database()
            with self._named_errors("asked"):
                return facts(database, self._spaces)

    def flush(self) -> None:
        """See `Backend`. The position's family goes last: data ahead of its position only means a replay."""
        self._open_database()
        with self._named_errors("flushed"):
            self._flush_families()

    def close(self) -> None:
        """See `Backend`. All iterators must be gone by now: a live one would keep the directory locked.

        A compaction that runs is cancelled and waited for, 10 s at most.
        """
        with self._gate:
            if self._db is None:
                return
            self._closed = True
        with self._named_errors("closed"), ExitStack() as closing:
            closing.callback(self._let_go)
            # Not under the gate, which a compaction needs to learn that it is to end.
            if self._compaction.locked():
                self._end_compaction(self._db)

    def _compact_family(self, family: str) -> None:
        """Compact a family, unless it was dropped or closing has begun since."""
        with self._gate:
            self._refuse_closed()
            space = self._spaces.get(family)
        if space is not None:
            with self._named_errors("compacted"):
                space.compact_range(None, None)

    def _end_compaction(self, database: Rdict) -> None:
        """Have the compaction end that another thread runs."""
        try:
            # RocksDB flushes no more once its work is cancelled.
            self._flush_families()
        finally:
            database.cancel_all_background(False)  # noqa: FBT003 - rocksdict takes it by place
            if self._compaction.acquire(timeout=_COMPACTION_END_SECONDS):
                self._compaction.release()
            else:
                log.warning("the compaction of the store in %s does not end; it closes with it", self.directory)

    def _flush_families(self) -> None:
        for name, space in self._spaces.items():
            if name != _META:
                space.flush()
        self._spaces[_META].flush()

    def _let_go(self) -> None:
        """Close every family. RocksDB flushes here, which a full disk fails: each is let go of all the same."""
        with self._gate, ExitStack() as closing:
            # The last to be pushed is the first to close: the database itself closes last.
            for each in sorted(self._spaces.values(), key=lambda space: space is not self._db):
                closing.callback(_close, each)
            self._handles, self._spaces, self._db = {}, {}, None

    def _rows(self, _options: ReadOptions, iterator: RdictIter, *, forward: bool) -> Iterator[Row]:
        """What an iterator has from where it stands, to its end.

        A damaged block ends an iterator as the last row does; only its status tells which it was, and rocksdict's own
        `items()` does not ask for it. The options are kept alive here: the iterator points into their bound.
        """
        valid, key, value = iterator.valid, iterator.key, iterator.value
        step = iterator.next if forward else iterator.prev
        try:
            with self._named_errors("read"):
                while valid():
                    yield key(), value()
                    step()
                iterator.status()
        finally:
            # A live iterator keeps the directory locked, and an error's traceback would keep this frame.
            del iterator, valid, key, value, step

    @contextmanager
    def _named_errors(self, attempt: str) -> Iterator[None]:
        try:
            yield
        except StatehouseError:
            raise
        except Exception as error:
            raise self._named(error, attempt) from error

    def _named(self, error: Exception, attempt: str) -> StatehouseError:
        """The error by what happens next; rocksdict raises plain Exceptions with RocksDB's words."""
        words = str(error)
        if self._closed and attempt != "closed":
            return StoreError(f"the store in {self.directory} was closed meanwhile ({words})")
        what = f"the store in {self.directory} cannot be {attempt} ({words})"
        if "LOCK:" in words or "lock hold" in words:
            return StateDirectoryLocked(
                f"{what}: another process holds it, or an iterator that was not closed. Stop the other process, or give "
                "this one another state directory"
            )
        if any(sign in words for sign in _IN_USE):
            return StoreError(f"{what}: another thread still uses it")
        if any(sign in words for sign in _NO_ROOM):
            return DiskFull(f"{what}: there is no room left. Make room and start again: what is missing is replayed")
        if any(sign in words for sign in _ENVIRONMENT):
            return StoreError(f"{what}: the disk or its limits are at fault; mend them and start again")
        corrupted = f"{what}: it must be rebuilt from its changelog"
        if attempt != "opened":
            self._mark_damaged(corrupted)
        return TaskCorrupted(corrupted)

    def _mark_damaged(self, why: str) -> None:
        """Have the next opening rebuild the store: most damage shows only where it is read, and opens well."""
        self._damage = why
        try:
            (self.directory / _DAMAGED).write_text(why)
        except OSError as error:
            log.warning("%s; that could not be noted beside it: %s", why, error)

    def _refuse_damaged(self) -> None:
        marker = self.directory / _DAMAGED
        if marker.exists():
            raise TaskCorrupted(
                marker.read_text(errors="replace") or f"the store in {self.directory} was found damaged"
            )

    def _report_damage(self) -> None:
        """Tell the loop, whose task has to be taken over again, of damage that another thread may have met."""
        if self._damage is not None:
            raise TaskCorrupted(self._damage)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"the store in {self.directory} was closed meanwhile")

    def _open_database(self) -> Rdict:
        if self._db is None:
            raise StoreError(f"the store in {self.directory} is closed")
        return self._db

    def _create(self, family: str) -> None:
        database = self._open_database()
        space = database.create_column_family(family, make_options(self._overrides))
        with self._gate:
            self._spaces[family] = space
            self._handles[family] = database.get_column_family_handle(family)

    def _drop(self, family: str) -> None:
        with self._gate:
            if self._spaces.pop(family, None) is not None:
                del self._handles[family]
                self._open_database().drop_column_family(family)


def _families_in(directory: Path) -> list[str]:
    """The column families of a database; none where there is no database yet."""
    if not (directory / "CURRENT").exists():
        return []
    manifest.check(directory)
    found: list[str] = Rdict.list_cf(str(directory))
    return found


def _close(database: Rdict) -> None:
    try:
        database.close()
    except Exception as error:
        # It closes all the same, and was flushed before its work was cancelled.
        if _CANCELLED not in str(error):
            raise


def _fill(batch: WriteBatch, part: Columns) -> None:
    keys, values = part.keys, part.values
    if len(keys) >= _SORT_FROM:
        # A memtable is a skip list: in key order its inserts meet warm memory and cost a third less.
        rows = dict(zip(keys, values, strict=True))
        keys = sorted(rows)
        values = list(map(rows.__getitem__, keys))
    # A deque of length 0 drains an iterator at the speed of C: 0.11 µs a row against 0.2 in a loop.
    deque(map(batch.put, keys, values), 0)
    deque(map(batch.delete, part.deletes), 0)
