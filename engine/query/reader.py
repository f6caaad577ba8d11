"""Reads of the copies that this instance holds: committed rows, decoded, as the entries of an answer.

Called by routing once it has decided that a copy may be read; runs on the service's event loop (points) or on its
reader threads (pages), beside the engine's loop. Opens nothing and keeps nothing.
"""

import time
from dataclasses import dataclass
from typing import Any

from engine.query.cursor import Cursor
from engine.query.encoding import Codec
from engine.query.limits import FILTER_CHUNK_ROWS, FILTER_ROWS_MAX, FILTER_SECONDS_MAX, PAGE_BYTES_MAX
from engine.query.params import Question
from engine.query.ports import Readable, Scan
from engine.query.views import View, view_of
from engine.stores.contract import CommittedRow
from engine.stores.layouts import LONG, LONG_MAX


@dataclass(frozen=True, slots=True)
class Part:
    """What one partition gave to a page. `cursor` is where to go on in it, None when it has no more."""

    entries: list[dict[str, Any]]
    source: dict[str, Any]
    cursor: Cursor | None = None
    # Rows looked at: more than there are entries where a filter let some through only.
    scanned: int = 0

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return sum(entry["size"] or 0 for entry in self.entries)


def source(instance: str, handle: Readable) -> dict[str, Any]:
    """Say who answers: taken before the read, so that the content is at least as new as the position says."""
    return {
        "instance": instance,
        "partition": handle.partition,
        "role": handle.role,
        "position": handle.position,
        "lag": handle.lag,
        "error": None,
    }


def page(instance: str, handle: Readable, question: Question, limit: int, after: bytes | None) -> Part:
    """Read one partition's part of a page: at most `limit` entries behind `after`."""
    answered_by = source(instance, handle)
    view = view_of(handle.spec.kind, handle.committed())
    if question.where is not None and not question.is_point and not question.versions:
        return _filtered(view, handle, question, limit, after, answered_by)
    more = False
    if question.versions and question.exact is not None:
        rows, more = _versions(view, question, limit, after)
    elif question.is_point and question.exact is not None:
        row = view.get(question.exact) if question.as_of is None else view.as_of(question.exact, question.as_of)
        rows = [row] if row is not None else []
    else:
        rows, more = view.scan(_scan(question, limit, after))
    entries = [entry(row, handle, question.keys, question.values) for row in rows]
    if question.where is not None:
        entries = [each for each in entries if question.where(each)]
    last = Cursor(handle.partition, rows[-1].cursor) if rows and more else None
    return Part(entries, answered_by, last, len(rows))


def _scan(question: Question, limit: int, after: bytes | None) -> Scan:
    return Scan(
        lower=question.lower,
        upper=question.upper,
        prefix=question.prefix,
        time_from=question.time_from,
        time_to=question.time_to,
        after=after,
        reverse=question.reverse,
        limit=limit,
        bytes_max=PAGE_BYTES_MAX,
    )


def _versions(view: View, question: Question, limit: int, after: bytes | None) -> tuple[list[CommittedRow], bool]:
    """Read a key's versions, newest first; each one's cursor is the time from which it was valid."""
    assert question.exact is not None  # noqa: S101 - the caller has checked
    time_to = LONG_MAX if question.time_to is None else question.time_to
    before = None if after is None else LONG.unpack(after)[0]
    found = view.versions(question.exact, question.time_from or 0, time_to, limit + 1, before)
    rows = [row._replace(cursor=LONG.pack(row.timestamp or 0)) for row in found[:limit]]
    return rows, len(found) > limit


def _filtered(
    view: View, handle: Readable, question: Question, limit: int, after: bytes | None, answered_by: dict[str, Any]
) -> Part:
    """Read rows until `limit` of them pass, the rows have ended, or enough was looked at; the cursor says where."""
    assert question.where is not None  # noqa: S101 - the caller has checked
    entries: list[dict[str, Any]] = []
    scanned, size, until = 0, 0, time.monotonic() + FILTER_SECONDS_MAX
    while scanned < FILTER_ROWS_MAX and time.monotonic() < until:
        wanted = min(FILTER_CHUNK_ROWS, FILTER_ROWS_MAX - scanned)
        rows, more = view.scan(_scan(question, wanted, after))
        for row in rows:
            scanned += 1
            shown = entry(row, handle, question.keys, question.values)
            if question.where(shown):
                entries.append(shown)
                size += len(row.value)
                if len(entries) == limit or size >= PAGE_BYTES_MAX:
                    return Part(entries, answered_by, Cursor(handle.partition, row.cursor), scanned)
        if not more or not rows:
            return Part(entries, answered_by, None, scanned)
        after = rows[-1].cursor
    return Part(entries, answered_by, Cursor(handle.partition, after), scanned)


def entry(row: CommittedRow, handle: Readable, keys: Codec, values: Codec) -> dict[str, Any]:
    """One row as an answer shows it."""
    kind = handle.spec.kind
    bounds = {"start": row.start, "end": row.end}
    shown = {
        "key": keys.to_json(row.key),
        "value": values.to_json(row.value),
        "timestamp": row.timestamp,
        "partition": handle.partition,
        "window": bounds if kind == "window" else None,
        "session": bounds if kind == "session" else None,
        "size": len(row.value),
    }
    if kind == "versioned":
        shown |= {"valid_from": row.timestamp, "valid_to": row.valid_to}
    return shown


def lookups(instance: str, handle: Readable, raw: list[bytes], keys: Codec, values: Codec) -> Part:
    """Read several keys of one partition, in their order; absent ones come as `found: false`."""
    answered_by = source(instance, handle)
    view = view_of(handle.spec.kind, handle.committed())
    entries: list[dict[str, Any]] = []
    for key, row in zip(raw, view.get_many(raw), strict=True):
        if row is None:
            entries.append(absent(keys.to_json(key), handle.partition))
        else:
            entries.append({**entry(row, handle, keys, values), "found": True})
    return Part(entries, answered_by)


def absent(key: Any, partition: int, *, found: bool | None = False) -> dict[str, Any]:
    """The entry of a key that has none (`found` False), or of which nothing is known (None)."""
    return {
        "key": key,
        "value": None,
        "timestamp": None,
        "partition": partition,
        "window": None,
        "session": None,
        "size": None,
        "found": found,
    }
