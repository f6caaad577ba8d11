"""A key-value store under an operator: one fetch and one write a batch, and the updates that go on from it.

With the record cache on (`holds_back`), results are those without it minus the superseded ones: at a commit each key that
changed sends one update, in the order of the last changes, with what it replaces as of the commit before. That holds for
a key that came and went between two commits too: Kafka Streams' cache keeps silent about it, and then a join that saw it in
between is never taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from engine import serdes
from engine.operators.context import NodeContext
from engine.operators.private_copy import private_copy
from engine.operators.processor import checked_by
from engine.records import Batch, Headers, Tombstone

# A value and the event time of its last change, as stores hold it; None: nothing there.
Entry = tuple[Any, int]


@dataclass(slots=True)
class Updates:
    """Puts in order, as columns: the row of the batch that made each, its key's bytes, and what changed."""

    rows: list[int] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    news: list[Any] = field(default_factory=list)
    olds: list[Any] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)


class KeyedState:
    """See the module's text. `send_old` says whether anything below needs to know what an update replaces."""

    # Whether each put must reach the store before the next record is looked at.
    one_by_one = False

    def __init__(self, context: NodeContext, name: str, *, send_old: bool) -> None:
        self.context = context
        self.store = context.store(name)
        spec = self.store.spec
        self.send_old = send_old
        if spec.backend == "lru":
            # Each put may evict the key that the next record asks for.
            self.one_by_one = True
        self.holds_back = context.caching and spec.caching
        # Without a cache every put is a record of the changelog, superseded or not.
        self.logs_each = spec.logging and not spec.caching
        self._sends = bool(context.children)
        # Nobody listens and nothing is logged put by put: only the last value of each key counts.
        self.only_last = not self.logs_each and (self.holds_back or not self._sends)
        self.key_serde = self.store.key_serde
        self.value_serde = self.store.value_serde or serdes.bytes
        self.check = checked_by(context, self.value_serde)
        # Values that nobody can change in place need no copies; nor do those that nobody sees before they are replaced.
        # Where a record may be skipped, its call must leave what it was given as it was: an update before it holds that.
        unseen = self.only_last and not send_old and not context.may_skip
        self.immutable = self.value_serde.immutable or unseen
        self._touched: list[list[bytes]] = []
        self._olds: dict[bytes, Any] = {}
        self._headers: dict[bytes, Headers | None] = {}
        self._deleted_at: dict[bytes, int] = {}

    def copy(self, value: Any) -> Any:
        """A value that user code may change in place although an update or the store still holds the original."""
        return private_copy(value, self.value_serde)

    def fetch(self, batch: Batch, raws: list[bytes]) -> dict[bytes, Entry | None]:  # noqa: ARG002 - versions go by key
        """The entries of the batch's keys, whose bytes are `raws`."""
        return self.store.fetch(set(raws))  # type: ignore[no-any-return]

    # -- with every update ------------------------------------------------------------------------------------------------

    def apply(self, batch: Batch, updates: Updates, fetched: dict[bytes, Entry | None]) -> Batch | None:
        """Write updates that follow `fetched`, and return what goes on now: all of them, or nothing yet."""
        if self.one_by_one:
            # What a put evicts is logged with the time of its record.
            self.context.timestamp = batch.timestamps[0]
        entries: list[Any] = list(zip(updates.news, updates.timestamps, strict=True))
        if None in updates.news:
            times = batch.timestamps
            entries = [
                Tombstone(times[row]) if entry[0] is None else entry
                for row, entry in zip(updates.rows, entries, strict=True)
            ]
        puts = zip(updates.raws, entries, strict=True)
        if self.logs_each:
            self.store.write_each(list(puts))
        else:
            self.store.write(dict(puts))
        if not self._sends:
            return None
        if self.holds_back:
            changed = batch if len(updates.rows) == len(batch) else batch.take(updates.rows)
            self.hold(changed, updates.raws, fetched)
            if None in updates.news:
                self._deleted_at.update(zip(updates.raws, updates.timestamps, strict=True))
            return None
        return self._all(batch, updates)

    def _all(self, batch: Batch, updates: Updates) -> Batch | None:
        rows = updates.rows
        if not rows:
            return None
        changed = batch if len(rows) == len(batch) else batch.take(rows)
        return Batch(
            changed.keys,
            updates.news,
            updates.timestamps,
            updates.olds if self.send_old else [None] * len(rows),
            headers=changed.headers,
            raw_keys=changed.raw_keys,
            key_serde=changed.key_serde,
            topic=changed.topic,
            offsets=changed.offsets,
        )

    # -- with the last update of each key only ----------------------------------------------------------------------------

    def hold(self, batch: Batch, raws: list[bytes], fetched: dict[bytes, Entry | None] | None) -> None:
        """Remember that `raws` changed, in order, from what `fetched` had; `release` reads their new values.

        `fetched` is only looked at where old values are sent on.
        """
        if not self._sends or not raws:
            return
        self._touched.append(raws)
        if self.send_old and fetched is not None:
            olds = self._olds
            olds.update({raw: entry and entry[0] for raw, entry in fetched.items() if raw not in olds})
        if batch.headers is not None:
            self._headers.update(zip(raws, batch.headers, strict=True))
        elif self._headers:
            # Those of the last put count, as in Kafka Streams' cache, and this one has none.
            self._headers.update(dict.fromkeys(raws))

    def release(self) -> Batch | None:
        """At a commit: the last update of each key that changed since the one before."""
        if not self._touched:
            return None
        raws = list(dict.fromkeys(chain.from_iterable(map(reversed, reversed(self._touched)))))
        raws.reverse()
        found = self.store.fetch_column(raws)
        olds, headers, deleted_at = self._olds, self._headers, self._deleted_at
        self._touched, self._olds, self._headers, self._deleted_at = [], {}, {}, {}
        if None in found:
            # What no update of this operator deleted, a processor with the same store did.
            values = [None if entry is None else entry[0] for entry in found]
            timestamps = [
                entry[1] if entry is not None else deleted_at.get(raw, self.context.timestamp)
                for raw, entry in zip(raws, found, strict=True)
            ]
        else:
            values, timestamps = map(list, zip(*found, strict=True))
        return Batch(
            self.key_serde.deserialize_many(raws),
            values,
            timestamps,
            [olds[raw] for raw in raws] if self.send_old else [None] * len(raws),
            headers=[headers.get(raw) for raw in raws] if headers else None,
            raw_keys=[*raws],
            key_serde=self.key_serde,
        )


class VersionedState(KeyedState):
    """The same over a versioned store: a put may be refused as too old, or change only the past."""

    one_by_one = True

    def __init__(self, context: NodeContext, name: str, *, send_old: bool) -> None:
        super().__init__(context, name, send_old=send_old)
        self.holds_back = self.only_last = False

    def fetch(self, batch: Batch, raws: list[bytes]) -> dict[bytes, Entry | None]:
        """The latest versions of the batch's keys."""
        found = {}
        for key, raw in zip(batch.keys, raws, strict=True):
            version = self.store.get(key)
            found[raw] = None if version is None else (version.value, version.timestamp)
        return found

    def apply(self, batch: Batch, updates: Updates, fetched: dict[bytes, Entry | None]) -> Batch | None:  # noqa: ARG002 - nothing is held back
        """Put a single update; it goes on unless the store refused it, marked if it is not the latest of its key."""
        if not updates.rows:
            return None
        row = updates.rows[0]
        valid_to = self.store.put(batch.keys[row], updates.news[0], updates.timestamps[0])
        if valid_to == self.store.NOT_PUT or not self._sends:
            return None
        out = self._all(batch, updates)
        if out is not None and valid_to != self.store.LATEST:
            out.latest = [False]
        return out


def open_state(context: NodeContext, name: str, *, send_old: bool, versioned: bool) -> KeyedState:
    """The state of an operator in the store `name`."""
    return (VersionedState if versioned else KeyedState)(context, name, send_old=send_old)


def by_row(batch: Batch, process: Callable[[Batch], Batch | None]) -> Batch | None:
    """Process each record alone, and return all that comes out as one batch."""
    return concatenated([out for row in range(len(batch)) if (out := process(batch.row(row))) is not None])


def concatenated(batches: list[Batch]) -> Batch | None:
    """Batches of one stream, one after the other; None for none."""
    if len(batches) <= 1:
        return batches[0] if batches else None
    first = batches[0]

    def column(name: str, missing: Any) -> Any:
        parts = [(getattr(batch, name), len(batch)) for batch in batches]
        if all(part is None for part, _ in parts):
            return None
        return [item for part, count in parts for item in (part if part is not None else [missing] * count)]

    same_keys = all(batch.raw_keys is not None and batch.key_serde is first.key_serde for batch in batches)
    same_offsets = all(batch.offsets is not None and batch.topic == first.topic for batch in batches)
    return Batch(
        column("keys", None),
        column("values", None),
        column("timestamps", None),
        column("olds", None),
        column("latest", missing=True),
        column("headers", None),
        column("raw_keys", None) if same_keys else None,
        first.key_serde if same_keys else None,
        first.topic,
        column("offsets", None) if same_offsets else None,
    )


def with_key_and_value(batch: Batch, context: NodeContext) -> Batch:
    """The batch without records that lack a key or a value, which an aggregation drops and counts."""
    if None not in batch.keys and None not in batch.values:
        return batch
    kept = [
        row
        for row, (key, value) in enumerate(zip(batch.keys, batch.values, strict=True))
        if key is not None and value is not None
    ]
    context.dropped(len(batch) - len(kept), "null key or value")
    return batch.take(kept)
