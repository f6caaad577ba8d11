"""Window stores: values by key and window start, in memory and on RocksDB, with Kafka Streams' orders and expiry.

Order of iteration over several keys: RocksDB (segment, key, start, put), memory and time-ordered stores (start, key,
put). With `retain_duplicates` every put of a key and start is kept, told apart by a sequence number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import add
from typing import Any

from engine.errors import ConfigError
from engine.records import Tombstone, ValueAndTimestamp, Windowed
from engine.stores import layouts
from engine.stores.backend import Backend, Range, Write
from engine.stores.committed import CommittedWindows
from engine.stores.contract import ChangelogRecord, StoreContext
from engine.stores.iterators import StoreIterator
from engine.stores.key_rows import Row
from engine.stores.layouts import LONG, LONG_MAX, SEQUENCE_MAX
from engine.stores.segments import SegmentedStore
from engine.stores.table import Entry
from engine.topology.stores import StoreSpec

# A window by its key's bytes and its start.
RawWindow = tuple[bytes, int]


class WindowStore(SegmentedStore):
    """See the module's text. Times are ms; bounds of times and keys are inclusive, a None key bound is open.

    A timestamped store's values are `ValueAndTimestamp`; a bare value gets the current record's timestamp.
    """

    _suffix = layouts.WINDOW_SUFFIX

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        if spec.window_ms is None:
            raise ConfigError(f"store {spec.name}: a window store needs window_ms")
        self.window_ms = spec.window_ms
        self.retain_duplicates = spec.retain_duplicates
        self._sequence = 0  # of the last put, null ones included, because the changelog counts those too
        self._last_sequence = 0  # of the last put that was kept
        super().__init__(spec, backend, context)
        self._keeps_objects = self.value_serde.immutable

    # By the batch, on raw keys --------------------------------------------------------------------------------------

    def fetch_many(self, windows: Sequence[RawWindow]) -> dict[RawWindow, Entry | None]:
        """(value, timestamp) of each (raw key, start), None where there is nothing visible."""
        found = self.fetch_columns([key for key, _ in windows], [start for _, start in windows])
        return dict(zip(windows, found, strict=True))

    def fetch_columns(self, raw_keys: list[bytes], starts: list[int]) -> list[Entry | None]:
        """`fetch_many` as columns: the fastest way to read a batch. Not for stores that retain duplicates."""
        if not raw_keys:
            return []
        suffixes = {start: layouts.window_key(b"", start) for start in set(starts)}
        rows = list(map(add, raw_keys, map(suffixes.__getitem__, starts)))
        segments = {start: self.segment_of(start) for start in suffixes}
        oldest = self.oldest_visible()
        if len(set(segments.values())) == 1 and min(suffixes) >= oldest:
            table = self._rows.get(next(iter(segments.values())))
            nothing: list[Entry | None] = [None] * len(rows)
            found = nothing if table is None else table.find_column(rows)
        else:
            found = [
                self._find_row(row, start) if start >= oldest else None for row, start in zip(rows, starts, strict=True)
            ]
        if self._keeps_objects:
            return found
        values = self.value_serde.deserialize_many([None if entry is None else entry[0] for entry in found])
        return [entry and (value, entry[1]) for entry, value in zip(found, values, strict=True)]

    def write_many(self, updates: dict[RawWindow, Entry | Tombstone | None]) -> None:
        """Put (value, timestamp) under each (raw key, start), in order; None or a Tombstone deletes. Expired puts count."""
        if all(updates.values()):
            entries: list[Entry] = list(updates.values())  # type: ignore[arg-type]
            keys, starts = [key for key, _ in updates], [start for _, start in updates]
            self.write_columns(keys, starts, [entry[0] for entry in entries], [entry[1] for entry in entries])
            return
        for (key, start), entry in updates.items():
            self.put_raw(key, start, entry)

    def write_columns(self, raw_keys: list[bytes], starts: list[int], values: list[Any], timestamps: list[int]) -> None:
        """`write_many` of distinct windows without deletions, as columns: the fastest way to write a batch."""
        if not raw_keys:
            return
        lowest, highest = min(starts), max(starts)
        if self.retain_duplicates or not self._accepts_all(lowest, highest):
            for key, start, value, timestamp in zip(raw_keys, starts, values, timestamps, strict=True):
                self.put_raw(key, start, (value, timestamp))
            return
        self.observe(highest)
        if not self._keeps_objects:
            values = self.value_serde.serialize_many(values)
        suffixes = {start: layouts.window_key(b"", start) for start in set(starts)}
        rows = list(map(add, raw_keys, map(suffixes.__getitem__, starts)))
        self._put_rows(rows, starts, values, timestamps)
        self._known.wrote(raw_keys)
        if self._log is not None:
            self._log.extend(zip(rows, zip(values, timestamps, strict=True), strict=True))

    def put_raw(self, raw_key: bytes, start: int, entry: Entry | Tombstone | None) -> None:
        """Put one (value, timestamp); None or a Tombstone deletes. With duplicates a deletion does nothing but log."""
        if entry is None:
            entry = Tombstone(self.context.timestamp)
        if self.retain_duplicates:
            self._sequence = self._sequence % SEQUENCE_MAX + 1
        row = layouts.window_key(raw_key, start, self._sequence if self.retain_duplicates else 0)
        if entry and not self._keeps_objects:
            entry = (self.value_serde.serialize(entry[0]), entry[1])  # type: ignore[index]
        if self.retain_duplicates and not entry:
            # In memory even a put that does nothing moves the observed time, and counts if it is late.
            accepted = self.observe(start) if self._in_memory else True
        else:
            accepted = self.observe(start)
            if accepted:
                self._put_row(raw_key, row, start, self._sequence if self.retain_duplicates else 0, entry)
                self._last_sequence = self._sequence
        self.log_put(row, entry, accepted=accepted)

    def fetch_raw(
        self, raw_key: bytes, time_from: int, time_to: int, *, reverse: bool = False
    ) -> list[tuple[int, Entry]]:
        """(start, (value, timestamp)) of one key within a time range, by start, duplicates in the order of their puts."""
        decode = self._decode
        rows = self._rows_of_key(raw_key, time_from, time_to, reverse=reverse)
        if self._keeps_objects:
            return [(row.time, row.entry) for row in rows]
        return [(row.time, (decode(row.entry), row.entry[1])) for row in rows]

    # By the record, typed -------------------------------------------------------------------------------------------

    def put(self, key: Any, value: Any, window_start: int) -> None:
        """Set the value of a key's window; None deletes. A put behind the retention is dropped and counted."""
        self._check_open()
        raw = self.raw_key(key)
        timestamp = self.context.timestamp
        if self.spec.timestamped and isinstance(value, ValueAndTimestamp):
            value, timestamp = value
        if value is not None and self._keeps_objects:
            self.value_serde.serialize(value)  # a wrong type is the fault of this record, not of the next commit
        self.put_raw(raw, window_start, None if value is None else (value, timestamp))

    def fetch(self, key: Any, time_from: int, time_to: int | None = None) -> Any:
        """With one time: the value of the window that starts there, or None. With two: an iterator of (start, value).

        Stores that retain duplicates find only the very last put by a single time (RocksDB), or nothing (memory).
        """
        self._check_open()
        raw = self.raw_key(key)
        if time_to is not None:
            return self._by_start(raw, time_from, time_to, reverse=False)
        if time_from < self._oldest():
            return None
        if self.retain_duplicates and self._in_memory:
            return None
        return self._typed(self._find_row(layouts.window_key(raw, time_from, self._last_sequence), time_from))

    def backward_fetch(self, key: Any, time_from: int, time_to: int) -> StoreIterator[tuple[int, Any]]:
        """(start, value) of one key, the newest first."""
        self._check_open()
        return self._by_start(self.raw_key(key), time_from, time_to, reverse=True)

    def fetch_keys(
        self, key_from: Any, key_to: Any, time_from: int, time_to: int
    ) -> StoreIterator[tuple[Windowed, Any]]:
        """(Windowed(key, start, end), value) of a range of keys and times."""
        return self._windows(key_from, key_to, time_from, time_to, reverse=False)

    def backward_fetch_keys(
        self, key_from: Any, key_to: Any, time_from: int, time_to: int
    ) -> StoreIterator[tuple[Windowed, Any]]:
        """`fetch_keys` in reverse."""
        return self._windows(key_from, key_to, time_from, time_to, reverse=True)

    def fetch_all(self, time_from: int, time_to: int) -> StoreIterator[tuple[Windowed, Any]]:
        """(Windowed, value) of all keys within a time range."""
        return self._everything(time_from, time_to, reverse=False)

    def backward_fetch_all(self, time_from: int, time_to: int) -> StoreIterator[tuple[Windowed, Any]]:
        """`fetch_all` in reverse."""
        return self._everything(time_from, time_to, reverse=True)

    def all(self) -> StoreIterator[tuple[Windowed, Any]]:
        """(Windowed, value) of everything visible."""
        return self._everything(0, LONG_MAX, reverse=False)

    def backward_all(self) -> StoreIterator[tuple[Windowed, Any]]:
        """`all` in reverse."""
        return self._everything(0, LONG_MAX, reverse=True)

    def committed(self) -> CommittedWindows:
        """A view of committed state for any thread."""
        return CommittedWindows(self._backend, self.spec, self.interval_ms)

    # Within ---------------------------------------------------------------------------------------------------------

    def _oldest(self) -> int:
        # Kafka Streams' time-ordered stores show one millisecond more, or emit-on-close would miss the window that
        # closes exactly at the end of its retention.
        return self.oldest_visible() - (1 if self._by_time and not self._in_memory else 0)

    def _clipped(self, time_from: int, time_to: int) -> tuple[int, int]:
        return max(time_from, self._oldest(), 0), time_to

    def _rows_of_key(self, raw: bytes, time_from: int, time_to: int, *, reverse: bool) -> Iterable[Row]:
        low, high = self._clipped(time_from, time_to)
        if high < low:
            return []
        rows = self._known.between(raw, low, high)
        if rows is not None:
            return reversed(rows) if reverse else rows
        size = len(raw) + layouts.WINDOW_SUFFIX
        bounds = Range(layouts.window_key(raw, low), layouts.window_key(raw, high, SEQUENCE_MAX) + b"\x00", reverse)
        # A longer key can sort in between; it isn't this one.
        found = self._scan_rows(bounds, (low, high), lambda row: len(row) == size and row.startswith(raw))
        return (Row(self._time_of(row), self._tie_of(row), row, entry) for row, entry in found)

    def _rows_of_keys(
        self, lower: bytes | None, upper: bytes | None, times: tuple[int, int], *, reverse: bool
    ) -> Iterator[tuple[bytes, Entry]]:
        low, high = times
        highest = layouts.window_key(b"", max(min(high, self.observed), 0), SEQUENCE_MAX)
        bounds = Range(lower, None if upper is None else layouts.key_range_end(upper, highest) + b"\x00", reverse)

        def wanted(row: bytes) -> bool:
            key, start, _ = layouts.split_window_key(row)
            return low <= start <= high and (lower is None or key >= lower) and (upper is None or key <= upper)

        rows = self._scan_rows(bounds, times, wanted)
        return self._in_memory_order(rows, reverse=reverse) if self._in_memory else rows

    def _in_memory_order(self, rows: Iterator[tuple[bytes, Entry]], *, reverse: bool) -> Iterator[tuple[bytes, Entry]]:
        ordered = sorted(rows, key=lambda found: self._times_key(found[0]), reverse=reverse)
        return iter(ordered)

    def _by_start(self, raw: bytes, time_from: int, time_to: int, *, reverse: bool) -> StoreIterator[tuple[int, Any]]:
        rows = self._rows_of_key(raw, time_from, time_to, reverse=reverse)
        return self._iterator((row.time, self._typed(row.entry)) for row in rows)

    def _windows(
        self, key_from: Any, key_to: Any, time_from: int, time_to: int, *, reverse: bool
    ) -> StoreIterator[tuple[Windowed, Any]]:
        self._check_open()
        lower, upper = self.raw_bound(key_from), self.raw_bound(key_to)
        times = self._clipped(time_from, time_to)
        if times[1] < times[0] or (lower is not None and upper is not None and lower > upper):
            return self._iterator(iter(()))
        return self._iterator(self._typed_rows(self._rows_of_keys(lower, upper, times, reverse=reverse)))

    def _everything(self, time_from: int, time_to: int, *, reverse: bool) -> StoreIterator[tuple[Windowed, Any]]:
        if not self._by_time or self._in_memory:
            return self._windows(None, None, time_from, time_to, reverse=reverse)
        self._check_open()
        low, high = self._clipped(time_from, time_to)
        if high < low:
            return self._iterator(iter(()))
        bounds = Range(LONG.pack(low), None if high == LONG_MAX else LONG.pack(high + 1), reverse)
        return self._iterator(self._typed_rows(self._scan_times(bounds, (low, high))))

    def _typed_rows(self, rows: Iterable[tuple[bytes, Entry]]) -> Iterator[tuple[Windowed, Any]]:
        deserialize, size = self.key_serde.deserialize, self.window_ms
        for row, entry in rows:
            key, start, _ = layouts.split_window_key(row)
            yield Windowed(deserialize(key), start, min(start + size, LONG_MAX)), self._typed(entry)

    def _typed(self, entry: Entry | None) -> Any:
        if entry is None:
            return None
        value = self._decode(entry)
        return ValueAndTimestamp(value, entry[1]) if self.spec.timestamped else value

    def _decode(self, entry: Entry) -> Any:
        return entry[0] if self._keeps_objects else self.value_serde.deserialize(entry[0])

    def _time_of(self, row: bytes) -> int:
        time: int = LONG.unpack_from(row, len(row) - layouts.WINDOW_SUFFIX)[0]
        return time

    def _tie_of(self, row: bytes) -> int:
        return layouts.split_window_key(row)[2]

    def _bounds_of(self, key: bytes) -> Range:
        return Range(layouts.window_key(key, 0), layouts.window_key(key, LONG_MAX, SEQUENCE_MAX) + b"\x00")

    def _times_key(self, row: bytes) -> bytes:
        at = len(row) - layouts.WINDOW_SUFFIX
        return row[at : at + 8] + row[:at] + row[at + 8 :]

    def _row_of(self, times_key: bytes) -> bytes:
        return times_key[8:-4] + times_key[:8] + times_key[-4:]

    def _meta(self) -> dict[str, int]:
        return {**super()._meta(), "sequence": self._sequence, "last_sequence": self._last_sequence}

    def _adopt_meta(self, read: dict[str, int]) -> None:
        super()._adopt_meta(read)
        self._sequence = read.get("sequence", 0)
        self._last_sequence = read.get("last_sequence", 0)

    def _restored(self, records: Sequence[ChangelogRecord], change: Write) -> None:
        super()._restored(records, change)
        if self.retain_duplicates and records:
            self._sequence = max(self._sequence, *(layouts.split_window_key(key)[2] for key, _, _ in records))

    def _layout(self) -> str:
        return f"{super()._layout()} duplicates={self.retain_duplicates}"
