"""Versioned stores: every key's value as of any time within the history, as Kafka Streams' RocksDBVersionedStore answers.

The newest version of a key lies in `default` and never expires. Older ones lie in `segments`, each in the segment in
which its validity *ended*, so that whole segments can go once they are older than the history; a row there is a
`VersionRow`. A tombstone has no place in `default`: it lies in the segment of its own timestamp.

The wart that comes with this: a tombstone with the timestamp of the latest version only removes that version. Unless an
older interval already ends there, nothing remembers the deletion, and a later put of an older timestamp counts as latest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from sortedcontainers import SortedSet

from engine.errors import ConfigError, InvalidBounds
from engine.records import Tombstone
from engine.stores.backend import DEFAULT, Backend, Range, Write
from engine.stores.committed import CommittedVersions
from engine.stores.contract import ChangelogRecord, StoreContext
from engine.stores.iterators import StoreIterator
from engine.stores.layouts import LONG, LONG_MAX, LONG_MIN
from engine.stores.lifecycle import LayeredStore
from engine.stores.table import Table
from engine.stores.versions import VersionRow
from engine.topology.stores import StoreSpec

# What `put` returns for the latest version of its key, and for a put that was older than the history.
PUT_RETURN_VALID_TO_UNDEFINED = -1
NOT_PUT = LONG_MIN

SEGMENTS = "segments"
_NOTHING_OBSERVED = -1
# Marks "nothing later than the put was found": it will be the latest version.
_LATEST = LONG_MIN


class VersionedRecord(NamedTuple):
    """A value valid from `timestamp` (inclusive) to `valid_to` (exclusive; None: it is the latest), in ms."""

    value: Any
    timestamp: int
    valid_to: int | None = None


def default_segment_interval_ms(history_ms: int) -> int:
    """Kafka Streams' segment interval for a history: more segments the longer it is."""
    for limit, parts, least in ((60_000, 3, 2_000), (300_000, 5, 20_000), (3_600_000, 12, 60_000)):
        if history_ms <= limit:
            return max(history_ms // parts, least)
    return max(history_ms // 24, 300_000)


class VersionedStore(LayeredStore):
    """See the module's text. History and grace are one: a put older than `observed - history_ms` is not put."""

    # What `put` returns, for operators, which do not import stores.
    NOT_PUT = NOT_PUT
    LATEST = PUT_RETURN_VALID_TO_UNDEFINED

    def __init__(self, spec: StoreSpec, backend: Backend, context: StoreContext) -> None:
        if spec.history_ms is None:
            raise ConfigError(f"store {spec.name}: a versioned store needs history_ms")
        self.history_ms = spec.history_ms
        self.interval_ms = spec.segment_interval_ms or default_segment_interval_ms(spec.history_ms)
        self.observed = _NOTHING_OBSERVED
        self._latest = Table(backend, DEFAULT, None, timestamped=True)
        self._past = Table(backend, SEGMENTS, None, timestamped=False)
        self._first_live = 0
        self._ids: SortedSet = SortedSet()  # segments that hold rows
        self._log: list[ChangelogRecord] = []
        super().__init__(spec, backend, context)

    # Typed ----------------------------------------------------------------------------------------------------------

    def put(self, key: Any, value: Any, timestamp: int) -> int:
        """Add a version; None is a deletion at that time. Returns when the version ceases to be valid.

        PUT_RETURN_VALID_TO_UNDEFINED if it is the latest, NOT_PUT (counted as dropped) if it is older than the history.
        """
        self._check_open()
        raw = self.raw_key(key)
        return self.put_raw(raw, None if value is None else self.value_serde.serialize(value), timestamp)

    def put_raw(self, raw: bytes, data: bytes | None, timestamp: int) -> int:
        """`put` of bytes."""
        if self.spec.logging:
            self._log.append((raw, data, timestamp))
        if self._is_late(timestamp):
            return NOT_PUT
        self.observed = max(self.observed, timestamp)
        return self._put(raw, data, timestamp, self.observed)

    def delete(self, key: Any, timestamp: int) -> VersionedRecord | None:
        """Delete as of a time; returns the version that was valid then, or None (also if the time is too old)."""
        self._check_open()
        raw = self.raw_key(key)
        if self.spec.logging:
            self._log.append((raw, None, timestamp))
        if self._is_late(timestamp):
            return None
        found = self._as_of(raw, timestamp)
        self.observed = max(self.observed, timestamp)
        self._put(raw, None, timestamp, self.observed)
        return self._answer(found)

    def get(self, key: Any, as_of: int | None = None) -> VersionedRecord | None:
        """The latest version of a key, or the one valid at `as_of`.

        Before `observed - history_ms` only the latest version can be found, if it was valid then already. The answer's
        `valid_to` is None in any case: `get_versions` and `get_raw` tell it.
        """
        self._check_open()
        raw = self.raw_key(key)
        return self._answer(self.get_raw(raw, as_of))

    def get_raw(self, raw: bytes, as_of: int | None = None) -> VersionedRecord | None:
        """`get` of bytes: the record's value is bytes, and `valid_to` says when a later version follows."""
        return self._latest_of(raw) if as_of is None else self._as_of(raw, as_of)

    def get_versions(
        self,
        key: Any,
        time_from: int = LONG_MIN,
        time_to: int = LONG_MAX,
        order: Literal["ascending", "descending"] = "descending",
    ) -> StoreIterator[VersionedRecord]:
        """The versions of a key that were valid at any time from `time_from` to `time_to`, both inclusive.

        Raises InvalidBounds when `time_from` is behind `time_to`.
        """
        self._check_open()
        raw = self.raw_key(key)
        if time_from > time_to:
            raise InvalidBounds(f"store {self.name}: versions from {time_from} to {time_to}: the times are reversed")
        found = list(self._versions(raw, time_from, time_to))
        if order == "ascending":
            found.reverse()
        return self._iterator(record for record in map(self._typed, found) if record is not None)

    def committed(self) -> CommittedVersions:
        """A view of committed state for any thread."""
        return CommittedVersions(self._backend, self.history_ms, self.interval_ms)

    # Reading --------------------------------------------------------------------------------------------------------

    def segment_of(self, time: int) -> int:
        """The segment of a time. Java's division: towards zero."""
        return -(-time // self.interval_ms) if time < 0 else time // self.interval_ms

    def _latest_of(self, raw: bytes) -> VersionedRecord | None:
        entry = self._latest.find(raw)
        return None if entry is None else VersionedRecord(*entry)

    def _as_of(self, raw: bytes, time: int) -> VersionedRecord | None:
        latest = self._latest_of(raw)
        if latest is not None and latest.timestamp <= time:
            return latest
        if time < self.observed - self.history_ms:
            return None
        for _, row in self._rows_from(raw, time):
            if row.next_timestamp <= time:
                return None
            if row.min_timestamp <= time:
                found = row.find(time)
                return None if found.value is None else VersionedRecord(found.value, found.valid_from, found.valid_to)
        return None

    def _versions(self, raw: bytes, time_from: int, time_to: int) -> Iterator[VersionedRecord]:
        latest = self._latest_of(raw)
        if latest is not None and latest.timestamp <= time_to:
            yield latest
        if time_to < self.observed - self.history_ms:
            return
        newest = self.segment_of(time_to)
        for segment, row in self._rows_from(raw, max(time_from, 0)):
            # A version lies in the segment in which its validity ended; as upstream, later segments are not looked at.
            if segment > newest:
                continue
            for found in row.all():
                if found.value is not None and found.valid_from <= time_to and found.valid_to > time_from:
                    yield VersionedRecord(found.value, found.valid_from, found.valid_to)

    def _rows_from(self, raw: bytes, time: int) -> Iterator[tuple[int, VersionRow]]:
        """(segment, row) of a key from the newest segment down to the one of `time`."""
        lowest = max(self.segment_of(time), self._first_live)
        for segment in list(self._ids.irange(lowest, reverse=True)):
            row = self._row(segment, raw)
            if row is not None:
                yield segment, row

    def _row(self, segment: int, raw: bytes) -> VersionRow | None:
        entry = self._past.find(LONG.pack(segment) + raw)
        return None if entry is None else VersionRow.decode(entry[0])

    def _typed(self, found: VersionedRecord | None) -> VersionedRecord | None:
        return found and found._replace(value=self.value_serde.deserialize(found.value))

    def _answer(self, found: VersionedRecord | None) -> VersionedRecord | None:
        """A typed getter's answer. As in Kafka Streams it leaves the end of validity out; `get_raw` gives it."""
        return found and VersionedRecord(self.value_serde.deserialize(found.value), found.timestamp)

    # Writing --------------------------------------------------------------------------------------------------------

    def _is_late(self, timestamp: int) -> bool:
        late = timestamp < self.observed - self.history_ms
        if late:
            self.context.dropped(1)
        return late

    def _put(self, raw: bytes, data: bytes | None, timestamp: int, observed: int) -> int:
        """Find the version's place from the newest to the oldest and put it there; returns its valid_to."""
        self._first_live = max(self._first_live, self.segment_of(observed - self.history_ms))
        latest = self._latest_of(raw)
        if latest is not None and timestamp >= latest.timestamp:
            if timestamp > latest.timestamp:
                self._add_on_top(self.segment_of(timestamp), raw, latest, timestamp)
            self._set_latest(raw, data, timestamp)
            return PUT_RETURN_VALID_TO_UNDEFINED
        valid_to = _LATEST if latest is None else latest.timestamp
        for segment, row in self._rows_from(raw, timestamp):
            if row.next_timestamp <= timestamp:
                break
            if row.min_timestamp <= timestamp:
                return self._put_into(segment, row, raw, data, timestamp)
            if row.min_timestamp < observed - self.history_ms:
                # Only while restoring: the whole batch's time has passed already, and the version with it.
                return NOT_PUT
            valid_to = row.min_timestamp
        if valid_to == _LATEST:
            self._put_newest(raw, data, timestamp)
            return PUT_RETURN_VALID_TO_UNDEFINED
        self._put_before(raw, data, timestamp, valid_to)
        return valid_to

    def _put_into(self, segment: int, row: VersionRow, raw: bytes, data: bytes | None, timestamp: int) -> int:
        """Put a version into a row whose interval contains its timestamp."""
        found = row.find(timestamp)
        older = self.segment_of(timestamp)
        if found.valid_from == timestamp:
            row.versions[found.place] = (timestamp, data)
        elif older != segment:
            # What was valid until now ends at the new timestamp, hence in an older segment: it moves there.
            moved = VersionedRecord(found.value, found.valid_from, timestamp)
            self._add_on_top(older, raw, moved, timestamp)
            row.versions[found.place] = (timestamp, data)
        else:
            row.versions.insert(found.place, (timestamp, data))
        self._save(segment, raw, row)
        return found.valid_to

    def _put_newest(self, raw: bytes, data: bytes | None, timestamp: int) -> None:
        """Put a version behind which nothing is known."""
        if data is not None:
            self._set_latest(raw, data, timestamp)
            return
        segment = self.segment_of(timestamp)
        if segment < self._first_live:
            return
        row = self._row(segment, raw)
        if row is None:
            self._save(segment, raw, VersionRow.of(None, timestamp, timestamp))
        elif row.next_timestamp != timestamp:
            row.insert_as_latest(row.next_timestamp, timestamp, None)
            self._save(segment, raw, row)

    def _put_before(self, raw: bytes, data: bytes | None, timestamp: int, valid_to: int) -> None:
        """Put a version that ends at `valid_to` where the next one begins, and whose segment has no place for it yet."""
        segment = self.segment_of(valid_to)
        if segment < self._first_live:
            return
        row = self._row(segment, raw)
        if row is None:
            row = VersionRow.of(data, timestamp, valid_to)
        elif row.next_timestamp <= timestamp:
            row.insert_as_latest(timestamp, valid_to, data)
        else:
            row.insert_as_earliest(timestamp, data)
        self._save(segment, raw, row)

    def _add_on_top(self, segment: int, raw: bytes, version: VersionedRecord, valid_to: int) -> None:
        """Put a version that ends at `valid_to` on top of a segment's row; an expired segment keeps nothing."""
        if segment < self._first_live:
            return
        row = self._row(segment, raw)
        if row is None:
            row = VersionRow.of(version.value, version.timestamp, valid_to)
        else:
            row.insert_as_latest(version.timestamp, valid_to, version.value)
        self._save(segment, raw, row)

    def _set_latest(self, raw: bytes, data: bytes | None, timestamp: int) -> None:
        self._latest.set(raw, Tombstone(timestamp) if data is None else (data, timestamp))

    def _save(self, segment: int, raw: bytes, row: VersionRow) -> None:
        self._past.set(LONG.pack(segment) + raw, (row.encode(), 0))
        self._ids.add(segment)

    # Life -----------------------------------------------------------------------------------------------------------

    def _tables(self) -> Iterable[Table]:
        return (self._latest, self._past)

    def _counted_tables(self) -> Iterable[Table]:
        # Keys that are there now; their past is no more of them.
        return (self._latest,)

    def _drain(self) -> list[ChangelogRecord]:
        log, self._log = self._log, []
        return log

    def _restored(self, records: Sequence[ChangelogRecord], change: Write) -> None:
        end = max([self.observed, *(timestamp for _, _, timestamp in records)])
        for key, value, timestamp in records:
            # What was late when it was first put is late again.
            if timestamp >= self.observed - self.history_ms:
                self.observed = max(self.observed, timestamp)
                self._put(key, value, timestamp, end)
        for table in self._tables():
            table.collect(change)

    def _before_commit(self, change: Write) -> None:
        expired = list(self._ids.irange(maximum=self._first_live, inclusive=(True, False)))
        if expired:
            change.ranges.append((SEGMENTS, LONG.pack(0), LONG.pack(self._first_live)))
            live = LONG.pack(self._first_live)
            for part in change.entries.get(SEGMENTS, []):
                kept = [(key, value) for key, value in zip(part.keys, part.values, strict=True) if key >= live]
                part.keys, part.values = [key for key, _ in kept], [value for _, value in kept]
            self._ids.difference_update(expired)

    def _meta(self) -> dict[str, int]:
        return {"observed": self.observed, "first_live": self._first_live}

    def _adopt_meta(self, read: dict[str, int]) -> None:
        self.observed = read.get("observed", _NOTHING_OBSERVED)
        self._first_live = read.get("first_live", 0)
        self._log = []
        self._ids = SortedSet(self._segments_held())

    def _segments_held(self) -> Iterator[int]:
        """The segments that have committed rows, by jumping from the first row of one to the first of the next."""
        lower = LONG.pack(0)
        while (first := next(self._backend.scan(SEGMENTS, Range(lower)), None)) is not None:
            segment = LONG.unpack_from(first[0])[0]
            yield segment
            lower = LONG.pack(segment + 1)

    def _layout(self) -> str:
        return f"{super()._layout()} interval={self.interval_ms}"
