"""One ordered key space of a store: cache, overlay and what was drained, above a family of the backend.

Entries are tuples `(value, timestamp)`. The value is the object itself if the value serde is immutable, and is then
serialised once, when the changelog is drained; otherwise it is the bytes, and every reader gets an object of his own.

    written ──> _fresh ──drain──> _drained ──collect──> backend        `_live` answers reads for all of them

Invariant: every uncommitted key is in `_live`. So a hot key costs a dict lookup, and nothing else is done per key in
Python: columns are built by zip, map and dict.update. Owner: the loop's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sortedcontainers import SortedSet

from engine import serdes
from engine.errors import StoreError
from engine.records import Tombstone
from engine.serdes import Serde
from engine.stores import layouts, memory_budget
from engine.stores.backend import EVERYTHING, Backend, Columns, Range, Write
from engine.stores.iterators import merge_rows

# (value or its bytes, timestamp in ms). Stores that keep no timestamps have -1 once an entry comes from the backend.
Entry = tuple[Any, int]
NO_TIMESTAMP = -1
# What the interpreter spends on a cached entry beyond the bytes of its value: dict slot, key, tuple, two ints.
_ENTRY_OVERHEAD_BYTES = 250
# Sizes are estimated from so many values of a batch: measuring each would cost as much as writing it.
_SAMPLE = 8
_OBJECT_BYTES = 16
_lookups = memory_budget.record_lookups


class Drained(NamedTuple):
    """Changes as columns: local keys, value bytes (None: deleted), timestamps."""

    keys: Sequence[bytes]
    values: Sequence[bytes | None]
    timestamps: Sequence[int]
    has_deletes: bool


class Table:
    """See the module's text. `timestamped`: the timestamp is kept with the value in the backend."""

    def __init__(self, backend: Backend, family: str, value_serde: Serde | None, *, timestamped: bool) -> None:
        self._backend = backend
        self.family = family
        self.serde: Serde = value_serde or serdes.bytes
        self.keeps_objects = self.serde.immutable
        self._timestamped = timestamped
        self._live: dict[bytes, Entry | None] = {}
        self._old: dict[bytes, Entry | None] = {}
        self._fresh: dict[bytes, Entry | Tombstone] = {}
        # One batch as columns (keys, values, timestamps), kept only while `_fresh` is empty: drained without a detour.
        self._columns: tuple[list[bytes], list[Any], list[int]] | None = None
        self._drained: list[Drained] = []
        # Sorted uncommitted keys; None until the first scan after a commit.
        self._index: SortedSet | None = None
        self._value_bytes = _OBJECT_BYTES
        self.uncommitted_bytes = 0
        # Whether `_live` holds all there is, as it does from an empty start until something is given up: a key that it
        # lacks is then known to be absent. A new window segment answers its first fetches without asking the backend.
        self._complete = self._is_empty()

    # Reading -------------------------------------------------------------------------------------------------------

    def find(self, key: bytes) -> Entry | None:
        """The entry of a key, uncommitted writes included."""
        _lookups.total += 1
        try:
            return self._live[key]
        except KeyError:
            self._load([key])
            return self._live[key]

    def find_many(self, keys: Iterable[bytes]) -> dict[bytes, Entry | None]:
        """The entries of `keys`, in one multi-get for those that the cache lacks."""
        keys = keys if isinstance(keys, (list, tuple, dict, set, frozenset)) else list(keys)
        _lookups.total += len(keys)
        live = self._live
        try:
            return {key: live[key] for key in keys}
        except KeyError:
            self._load(list(dict.fromkeys(key for key in keys if key not in live)))
            return {key: live[key] for key in keys}

    def find_column(self, keys: list[bytes]) -> list[Entry | None]:
        """`find_many` as a column beside `keys`: half its cost, which is mostly the making of the dict."""
        _lookups.total += len(keys)
        live = self._live
        try:
            return list(map(live.__getitem__, keys))
        except KeyError:
            self._load(list(dict.fromkeys(key for key in keys if key not in live)))
            return list(map(live.__getitem__, keys))

    def scan(self, bounds: Range) -> Iterator[tuple[bytes, Entry]]:
        """(key, entry) in byte order, as of now: writes during the iteration don't show."""
        uncommitted = self._uncommitted_in(bounds)
        committed = self._backend.scan(self.family, bounds)
        decoded = self._decode_rows(committed)
        return merge_rows(uncommitted, decoded, reverse=bounds.reverse) if uncommitted else decoded

    def scan_committed(self, bounds: Range) -> Iterator[tuple[bytes, Entry]]:
        """`scan` of a range in which nothing is uncommitted; the caller knows that."""
        return self._decode_rows(self._backend.scan(self.family, bounds))

    def is_clean(self) -> bool:
        """Whether nothing is uncommitted."""
        return not self._fresh and not self._drained and self._columns is None

    # Writing -------------------------------------------------------------------------------------------------------

    def set(self, key: bytes, entry: Entry | Tombstone) -> None:
        """Write one entry; its value is an object or bytes as `keeps_objects` says."""
        self._spread()
        self._fresh[key] = entry
        if entry:
            self._live[key] = entry  # type: ignore[assignment]
            self.uncommitted_bytes += _ENTRY_OVERHEAD_BYTES + len(key) + _size(entry[0])  # type: ignore[index]
        else:
            self._live[key] = None
            self.uncommitted_bytes += _ENTRY_OVERHEAD_BYTES + len(key)
        if self._index is not None:
            self._index.add(key)

    def set_many(self, updates: dict[bytes, Entry]) -> None:
        """Write a batch without tombstones. The dict is not kept."""
        if not updates:
            return
        self._spread()
        self._live.update(updates)
        if self._fresh:
            self._fresh.update(updates)
        else:
            self._fresh = updates.copy()  # type: ignore[assignment]
        if self._index is not None:
            self._index.update(updates)
        sample = [len(key) + _size(entry and entry[0]) for key, entry in islice(updates.items(), _SAMPLE)]
        self.uncommitted_bytes += len(updates) * (_ENTRY_OVERHEAD_BYTES + sum(sample) // len(sample))

    def set_entries(self, updates: dict[bytes, Entry | Tombstone]) -> None:
        """Write a batch in which there may be tombstones. The dict is not kept."""
        self.set_many(updates)  # type: ignore[arg-type]
        if not all(updates.values()):
            self._live.update(dict.fromkeys(key for key, entry in updates.items() if not entry))

    def set_columns(self, keys: list[bytes], values: list[Any], timestamps: list[int]) -> None:
        """Write a batch of distinct keys without tombstones. The lists are kept: they must not change any more."""
        if not keys:
            return
        entries = zip(values, timestamps, strict=True)
        self._live.update(zip(keys, entries, strict=True))
        if self._index is not None:
            self._index.update(keys)
        if self._fresh or self._columns is not None:
            self._spread()
            self._fresh.update(zip(keys, zip(values, timestamps, strict=True), strict=True))
        else:
            self._columns = (keys, values, timestamps)
        sample = [len(key) + _size(value) for key, value in islice(zip(keys, values, strict=True), _SAMPLE)]
        self.uncommitted_bytes += len(keys) * (_ENTRY_OVERHEAD_BYTES + sum(sample) // len(sample))

    def _spread(self) -> None:
        """Turn a batch of columns into fresh entries, because something else is written before the drain."""
        if self._columns is not None:
            keys, values, timestamps = self._columns
            self._fresh = dict(zip(keys, zip(values, timestamps, strict=True), strict=True))
            self._columns = None

    # Draining and committing ---------------------------------------------------------------------------------------

    def encode(self, entries: Iterable[Entry | Tombstone]) -> tuple[Sequence[bytes | None], Sequence[int], bool]:
        """Columns of value bytes and timestamps, and whether any is a deletion. Raises SerializationError."""
        entries = entries if isinstance(entries, list) else list(entries)
        values: Sequence[Any]
        timestamps: Sequence[int]
        has_deletes = not all(entries)
        if not entries:
            return (), (), False
        if has_deletes:
            values = [entry[0] if entry else None for entry in entries]  # type: ignore[index]
            timestamps = [entry[1] if entry else entry.timestamp for entry in entries]  # type: ignore[index]
        else:
            values, timestamps = zip(*entries, strict=True)
        raws = self.serde.serialize_many(values) if self.keeps_objects else values
        return raws, timestamps, has_deletes

    def drain(self) -> Drained:
        """What changed since the last drain, the last value of each key, in the order of first change."""
        if self._columns is not None:
            keys, objects, timestamps = self._columns
            raws = self.serde.serialize_many(objects) if self.keeps_objects else objects
            drained = Drained(keys, raws, timestamps, has_deletes=False)
        else:
            drained = Drained(list(self._fresh), *self.encode(list(self._fresh.values())))
        if drained.keys:
            self._fresh, self._columns = {}, None
            self._drained.append(drained)
            sample = [len(value) for value in islice(drained.values, _SAMPLE) if value is not None]
            if sample:
                self._value_bytes = (self._value_bytes + sum(sample) // len(sample)) // 2
        return drained

    def collect(self, change: Write) -> None:
        """Add everything uncommitted to a change of the backend."""
        if self._fresh or self._columns is not None:
            self.drain()
        for part in self._drained:
            change.add(self.family, self._local(part))

    def committed(self) -> None:
        """The change was applied: what was uncommitted is now merely cached."""
        self._drained = []
        self._index = None
        self.uncommitted_bytes = 0
        held = (len(self._live) + len(self._old)) * (_ENTRY_OVERHEAD_BYTES + self._value_bytes)
        # Two generations: what nobody asked for while the younger one filled up goes at once, without any bookkeeping
        # per key. Only here, because uncommitted keys must stay in `_live`.
        if held > memory_budget.object_cache_share(id(self), held):
            self._old, self._live = self._live, {}
            self._complete = False

    def restored(self) -> None:
        """Rows were written to the backend past this table."""
        self.committed()
        self._complete = False

    def forget(self) -> None:
        """Drop the overlay and every cached object."""
        self._live, self._old, self._fresh = {}, {}, {}
        self._columns = None
        self._drained = []
        self._index = None
        self.uncommitted_bytes = 0
        self._complete = self._is_empty()

    def close(self) -> None:
        """Forget, and leave the memory budget."""
        self._live, self._old, self._fresh, self._columns, self._drained = {}, {}, {}, None, []
        memory_budget.leave(id(self))

    def decode(self, entry: Entry) -> Any:
        """The value object of an entry."""
        return entry[0] if self.keeps_objects else self.serde.deserialize(entry[0])

    def local_columns(self, keys: Sequence[bytes], values: Sequence[bytes], timestamps: Sequence[int]) -> Columns:
        """Columns as the backend keeps them."""
        return Columns(keys, layouts.timestamped_many(values, timestamps) if self._timestamped else values)

    def net_entries(self, sample_max: int) -> int:
        """How many entries the overlay adds to the backend (negative: removes); from a sample if it is large."""
        self._spread()
        uncommitted = dict.fromkeys(key for part in self._drained for key in part.keys)
        uncommitted.update(dict.fromkeys(self._fresh))
        if not uncommitted:
            return 0
        sample = list(islice(uncommitted, sample_max))
        there = self._backend.get_many(self.family, sample)
        net = sum((self._live[key] is not None) - (old is not None) for key, old in zip(sample, there, strict=True))
        return net * len(uncommitted) // len(sample)

    def _is_empty(self) -> bool:
        return next(self._backend.scan(self.family, EVERYTHING), None) is None

    def _load(self, keys: list[bytes]) -> None:
        """Bring keys that `_live` lacks into it, from the older generation or from the backend."""
        if self._complete:
            self._live.update(dict.fromkeys(keys))
            return
        if self._old:
            old = self._old
            self._live.update({key: old[key] for key in keys if key in old})
            keys = [key for key in keys if key not in old]
        if not keys:
            return
        _lookups.misses += len(keys)
        raws = self._backend.get_many(self.family, keys)
        sample = [len(raw) for raw in islice(raws, _SAMPLE) if raw is not None]
        if sample:
            self._value_bytes = (self._value_bytes + sum(sample) // len(sample)) // 2
        self._live.update(zip(keys, self._decode_raws(raws), strict=True))

    def _decode_raws(self, raws: list[bytes | None]) -> list[Entry | None]:
        if self._timestamped:
            unpack = layouts.LONG.unpack_from
            timestamps = [NO_TIMESTAMP if raw is None else unpack(raw)[0] for raw in raws]
            raws = [raw if raw is None else raw[8:] for raw in raws]
        else:
            timestamps = [NO_TIMESTAMP] * len(raws)
        values = self.serde.deserialize_many(raws) if self.keeps_objects else raws
        # A value that decodes to None (JSON null) is a value: absence is told from the bytes.
        return [
            None if raw is None else (value, timestamp)
            for raw, value, timestamp in zip(raws, values, timestamps, strict=True)
        ]

    def _decode_rows(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, Entry]]:
        serde, timestamped, keeps_objects = self.serde, self._timestamped, self.keeps_objects
        for key, raw in rows:
            value, timestamp = layouts.split_timestamped(raw) if timestamped else (raw, NO_TIMESTAMP)
            yield key, (serde.deserialize(value) if keeps_objects else value, timestamp)

    def _uncommitted_in(self, bounds: Range) -> list[tuple[bytes, Entry | None]]:
        if self.is_clean():
            return []
        if self._index is None:
            self._spread()
            self._index = SortedSet(self._fresh)
            for part in self._drained:
                self._index.update(part.keys)
        if bounds.lower is not None and bounds.upper is not None and bounds.lower >= bounds.upper:
            return []
        live = self._live
        keys = self._index.irange(bounds.lower, bounds.upper, inclusive=(True, False), reverse=bounds.reverse)
        return [(key, live[key]) for key in keys]

    def _local(self, part: Drained) -> Columns:
        if not part.has_deletes:
            return self.local_columns(part.keys, part.values, part.timestamps)  # type: ignore[arg-type]
        puts = [row for row in zip(part.keys, part.values, part.timestamps, strict=True) if row[1] is not None]
        columns = self.local_columns(*zip(*puts, strict=True)) if puts else Columns()
        columns.deletes = [key for key, value in zip(part.keys, part.values, strict=True) if value is None]
        return columns


def _size(value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        return _OBJECT_BYTES


def check_entries(store: str, updates: dict[bytes, Any]) -> None:
    """Raise StoreError for what is neither (value, timestamp), None nor a Tombstone."""
    for key, entry in updates.items():
        if entry is not None and not isinstance(entry, (tuple, Tombstone)):
            raise StoreError(f"store {store}: the update of key {key!r} is not (value, timestamp), None or Tombstone")
