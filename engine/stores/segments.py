"""Rows that live in time segments and expire with them: what window and session stores share.

A segment holds the rows whose time (a window's start, a session's end) falls into its interval; on RocksDB it is a column
family, dropped as a whole. A row is visible while its time is above `observed - retention`, whatever segment it is in;
`observed` is the largest time ever put. The rules of expiry differ by backend, as they do in Kafka Streams:

- RocksDB refuses a put whose segment is older than the segment of `observed - retention`;
- memory refuses a put whose time is not above `observed - retention`.

Rows lie in the order of their changelog keys (key first). Stores that are scanned by time (`emit_final`) keep a second
family per segment, `times-<id>`, with the rows' names in time order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from engine.errors import ConfigError
from engine.records import Tombstone
from engine.stores import layouts
from engine.stores.backend import DEFAULT, Backend, Columns, Range, Write
from engine.stores.contract import ChangelogRecord, StoreContext
from engine.stores.key_rows import KeyRows, Row
from engine.stores.lifecycle import LayeredStore
from engine.stores.table import Entry, Table
from engine.topology.stores import StoreSpec

_SEGMENT = "segment-"
_TIMES = "times-"
# Kafka Streams' segments: half the retention, but not below a minute.
_INTERVAL_MS_MIN = 60_000
_NOTHING_OBSERVED = -1


class SegmentedStore(LayeredStore):
    """Base of window and session stores. A kind says what a row's time and its place in time order are."""

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        if spec.retention_ms is None:
            raise ConfigError(f"store {spec.name}: a {spec.kind} store needs retention_ms")
        self.retention_ms = spec.retention_ms
        self.interval_ms = spec.segment_interval_ms or max(spec.retention_ms // 2, _INTERVAL_MS_MIN)
        # Largest time put, in ms; -1 before the first.
        self.observed = _NOTHING_OBSERVED
        self._in_memory = not backend.persistent
        self._by_time = spec.emit_final
        self._rows: dict[int, Table] = {}
        self._times: dict[int, Table] = {}
        self._first_live = 0  # segments with a lower id are gone
        self._log: list[tuple[bytes, Entry | Tombstone]] | None = [] if self._logs_each(spec) else None
        # Puts that had expired: Kafka Streams logs them all the same.
        self._refused: dict[bytes, Entry | Tombstone] = {}
        self._known = KeyRows(self._load_key)
        # Knows the value serde and holds nothing.
        self._codec = Table(backend, DEFAULT, spec.value_serde, timestamped=spec.timestamped)
        super().__init__(spec, backend, context)
        for family in backend.families():
            if family.startswith(_SEGMENT):
                self._row_table(int(family.removeprefix(_SEGMENT)))
            elif family.startswith(_TIMES):
                self._time_table(int(family.removeprefix(_TIMES)))
        if not self._rows:
            self._known.begin_empty()

    # What a kind fills in -------------------------------------------------------------------------------------------

    def _time_of(self, row: bytes) -> int:
        """The time that decides about a row's segment and expiry."""
        raise NotImplementedError

    def _tie_of(self, row: bytes) -> int:
        """What orders the rows of one key and time."""
        raise NotImplementedError

    def _bounds_of(self, key: bytes) -> Range:
        """A range that holds every row of a key (and maybe rows of longer keys)."""
        raise NotImplementedError

    # Bytes of a row's name behind its key.
    _suffix: int

    def _times_key(self, row: bytes) -> bytes:
        """The row's name in time order."""
        raise NotImplementedError

    def _row_of(self, times_key: bytes) -> bytes:
        """The row that a name in time order stands for."""
        raise NotImplementedError

    # Expiry ---------------------------------------------------------------------------------------------------------

    def segment_of(self, time: int) -> int:
        """The segment of a time. Java's division: towards zero."""
        return int(time / self.interval_ms) if time < 0 else time // self.interval_ms

    def oldest_visible(self) -> int:
        """The smallest time at which a row is still visible."""
        return self.observed - self.retention_ms + 1

    def _oldest(self) -> int:
        """The smallest time that searches give; a kind's layout may show more than `oldest_visible`."""
        return self.oldest_visible()

    def observe(self, time: int) -> bool:
        """Move `observed` on to the time of a put; returns whether the put is accepted, and counts it if not."""
        self.observed = max(self.observed, time)
        self._first_live = max(self._first_live, self.segment_of(self.observed - self.retention_ms))
        if self._in_memory:
            accepted = time > self.observed - self.retention_ms
        else:
            accepted = self.segment_of(time) >= self._first_live
        if not accepted:
            self.context.dropped(1)
        return accepted

    def _accepts_all(self, lowest: int, highest: int) -> bool:
        """Whether puts between these times would all be accepted, in whatever order they come."""
        horizon = max(self.observed, highest) - self.retention_ms
        return lowest > horizon if self._in_memory else self.segment_of(lowest) >= self.segment_of(horizon)

    # Rows -----------------------------------------------------------------------------------------------------------

    def _put_row(self, key: bytes, row: bytes, time: int, tie: int, entry: Entry | Tombstone) -> None:
        """Put one row of a key. `tie` orders rows of one time (see `_tie_of`)."""
        self._known.prepare(key)
        segment = self.segment_of(time)
        (self._rows.get(segment) or self._row_table(segment)).set(row, entry)
        if self._by_time:
            mark: Entry | Tombstone = (b"", 0) if entry else entry
            self._time_table(segment).set(self._times_key(row), mark)
        self._known.put(key, Row(time, tie, row, entry), present=bool(entry), oldest=self._oldest())  # type: ignore[arg-type]

    def _put_rows(self, rows: list[bytes], times: list[int], values: list[Any], timestamps: list[int]) -> None:
        """Put distinct rows that are known to be accepted. The caller tells `_known` about the keys."""
        segments = [self.segment_of(time) for time in times]
        for segment in sorted(set(segments)):
            chosen = [i for i, found in enumerate(segments) if found == segment]
            whole = len(chosen) == len(rows)
            part = rows if whole else [rows[i] for i in chosen]
            self._row_table(segment).set_columns(
                part,
                values if whole else [values[i] for i in chosen],
                timestamps if whole else [timestamps[i] for i in chosen],
            )
            if self._by_time:
                marks = [self._times_key(row) for row in part]
                self._time_table(segment).set_columns(marks, [b""] * len(marks), [0] * len(marks))

    def _find_row(self, row: bytes, time: int) -> Entry | None:
        table = self._rows.get(self.segment_of(time))
        return None if table is None else table.find(row)

    def expect_searches(self) -> None:
        """Say at the start that single keys will be searched: from an empty store on, new keys then cost no look."""
        self._known.expect()

    def write_rows(self, held: dict[int, dict[bytes, Entry | Tombstone]]) -> None:
        """Put rows by segment. They were accepted, `_known` has them and they are logged."""
        for segment, rows in held.items():
            (self._rows.get(segment) or self._row_table(segment)).set_entries(rows)
            if self._by_time:
                marks = {self._times_key(row): (b"", 0) if entry else entry for row, entry in rows.items()}
                self._time_table(segment).set_entries(marks)

    def log_put(self, row: bytes, entry: Entry | Tombstone, *, accepted: bool = True) -> None:
        """Note a put for the changelog, if puts are logged one by one or it was refused."""
        if self._log is not None:
            self._log.append((row, entry))
        elif not accepted and self.spec.logging:
            self._refused[row] = entry

    def _scan_rows(
        self, bounds: Range, times: tuple[int, int], wanted: Callable[[bytes], bool]
    ) -> Iterator[tuple[bytes, Entry]]:
        """(row, entry) of the segments of a time range (both ends inclusive), in the order of segment and row."""
        scans = [table.scan(bounds) for table in self._searched(self._rows, times, reverse=bounds.reverse)]
        return (found for found in chain.from_iterable(scans) if wanted(found[0]))

    def _scan_times(self, bounds: Range, times: tuple[int, int]) -> Iterator[tuple[bytes, Entry]]:
        """All rows of the segments of a time range in time order; `bounds` are of time-ordered names."""
        scans = [table.scan(bounds) for table in self._searched(self._times, times, reverse=bounds.reverse)]
        rows = (self._row_of(name) for name, _ in chain.from_iterable(scans))
        found = ((row, self._find_row(row, self._time_of(row))) for row in rows)
        return ((row, entry) for row, entry in found if entry is not None)

    def _searched(self, tables: dict[int, Table], times: tuple[int, int], *, reverse: bool) -> list[Table]:
        first = max(self.segment_of(times[0]), self._first_live)
        last = self.segment_of(times[1])
        return [tables[i] for i in sorted(tables, reverse=reverse) if first <= i <= last]

    def _load_key(self, key: bytes, clean: bool) -> Iterator[Row]:  # noqa: FBT001 - `KeyRows` calls it by place
        """Every live row of a key; from the backend alone if none is uncommitted."""
        bounds = self._bounds_of(key)
        size = len(key) + self._suffix
        for table in self._searched(self._rows, (self._oldest(), layouts.LONG_MAX), reverse=False):
            for row, entry in table.scan_committed(bounds) if clean else table.scan(bounds):
                if len(row) == size and row.startswith(key):
                    yield Row(self._time_of(row), self._tie_of(row), row, entry)

    def _row_table(self, segment: int) -> Table:
        """The table of a segment's rows, made when it is first written."""
        if segment not in self._rows:
            family = f"{_SEGMENT}{segment}"
            serde, timestamped = self.spec.value_serde, self.spec.timestamped
            self._rows[segment] = Table(self._backend, family, serde, timestamped=timestamped)
        return self._rows[segment]

    def _time_table(self, segment: int) -> Table:
        """The table of a segment's rows in time order."""
        if segment not in self._times:
            self._times[segment] = Table(self._backend, f"{_TIMES}{segment}", None, timestamped=False)
        return self._times[segment]

    # Life -----------------------------------------------------------------------------------------------------------

    def _tables(self) -> Iterable[Table]:
        return [*self._rows.values(), *self._times.values()]

    def _counted_tables(self) -> Iterable[Table]:
        return self._rows.values()

    @staticmethod
    def _logs_each(spec: StoreSpec) -> bool:
        return spec.logging and (spec.retain_duplicates or not spec.caching)

    def _drain(self) -> list[ChangelogRecord]:
        if self._log is not None:
            log, self._log = self._log, []
            return self._encoded(log)
        if not self.spec.logging:
            return []
        refused, self._refused = self._refused, {}
        records: list[ChangelogRecord] = []
        for table in self._rows.values():
            records.extend(zip(*table.drain()[:3], strict=True))
        if refused:
            # A row that is refused once is refused for good, so what was accepted of it came before.
            records = [record for record in records if record[0] not in refused]
            records.extend(self._encoded(list(refused.items())))
        return records

    def _encoded(self, log: list[tuple[bytes, Entry | Tombstone]]) -> list[ChangelogRecord]:
        if not log:
            return []
        values, timestamps, _ = self._codec.encode([entry for _, entry in log])
        return list(zip([row for row, _ in log], values, timestamps, strict=True))

    def _before_commit(self, change: Write) -> None:
        for prefix, tables in ((_SEGMENT, self._rows), (_TIMES, self._times)):
            for segment in [i for i in tables if i < self._first_live]:
                tables.pop(segment).close()
                family = f"{prefix}{segment}"
                change.entries.pop(family, None)
                change.drops.append(family)

    def commit(self, position: int | None) -> None:
        """See `Store`."""
        super().commit(position)
        self._known.committed()

    def close(self) -> None:
        """See `Store`."""
        self._known.close()
        super().close()

    def _meta(self) -> dict[str, int]:
        return {"observed": self.observed, "first_live": self._first_live}

    def _adopt_meta(self, read: dict[str, int]) -> None:
        self.observed = read.get("observed", _NOTHING_OBSERVED)
        self._first_live = read.get("first_live", 0)
        self._refused = {}
        self._known.forget()
        if self._log is not None:
            self._log = []

    def _layout(self) -> str:
        return f"{super()._layout()} interval={self.interval_ms} by_time={self._by_time}"

    def _restored(self, records: Sequence[ChangelogRecord], change: Write) -> None:
        if not records:
            return
        self._known.forget()
        times = [self._time_of(key) for key, _, _ in records]
        self.observed = max(self.observed, *times)
        self._first_live = max(self._first_live, self.segment_of(self.observed - self.retention_ms))
        oldest = self.oldest_visible() if self._in_memory else self._first_live * self.interval_ms
        by_segment: dict[int, dict[bytes, tuple[bytes | None, int]]] = {}
        for time, (key, value, timestamp) in zip(times, records, strict=True):
            if time >= oldest:
                by_segment.setdefault(self.segment_of(time), {})[key] = (value, timestamp)
        for segment, rows in by_segment.items():
            self._restore_segment(segment, rows, change)

    def _restore_segment(self, segment: int, rows: dict[bytes, tuple[bytes | None, int]], change: Write) -> None:
        puts = [(key, value, timestamp) for key, (value, timestamp) in rows.items() if value is not None]
        deletes = [key for key, (value, _) in rows.items() if value is None]
        table = self._row_table(segment)
        columns = table.local_columns(*layouts.columns(puts))
        columns.deletes = deletes
        change.add(table.family, columns)
        if self._by_time:
            names = [self._times_key(key) for key, _, _ in puts]
            marks = Columns(names, [b""] * len(names), [self._times_key(key) for key in deletes])
            change.add(self._time_table(segment).family, marks)
