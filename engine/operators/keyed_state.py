"""A key-value store under an operator: one fetch and one write a batch, and the updates that go on from it.

With the record cache on (`holds_back`), results are those without it minus the superseded ones: at a commit each key that
changed sends one update, in the order of the last changes, with what it replaces as of the commit before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine import serdes
from engine.operators.context import NodeContext
from engine.operators.private_copy import private_copy
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

    def __init__(self, context: NodeContext, name: str, *, send_old: bool) -> None:
        self.store = context.store(name)
        spec = self.store.spec
        self.send_old = send_old
        self.holds_back = context.caching and spec.caching
        # Without a cache every put is a record of the changelog, superseded or not.
        self.logs_each = spec.logging and not spec.caching
        # Nobody listens and nothing is logged put by put: only the last value of each key counts.
        self.only_last = not self.logs_each and (self.holds_back or not context.children)
        self._sends = bool(context.children)
        self.key_serde = self.store.key_serde
        self.value_serde = self.store.value_serde or serdes.bytes
        self._touched: list[Iterable[bytes]] = []
        self._olds: dict[bytes, Any] = {}
        self._headers: dict[bytes, Headers | None] = {}
        self._deleted_at: dict[bytes, int] = {}

    def copy(self, value: Any) -> Any:
        """A value that user code may change in place although an update or the store still holds the original."""
        return private_copy(value, self.value_serde)

    # -- with every update ------------------------------------------------------------------------------------------------

    def apply(self, batch: Batch, updates: Updates, fetched: dict[bytes, Entry | None]) -> Batch | None:
        """Write updates that follow `fetched`, and return what goes on now: all of them, or nothing yet."""
        from_puts = zip(updates.news, updates.timestamps, strict=True)
        puts: list[tuple[bytes, Any]] = [
            (raw, Tombstone(batch.timestamps[row]) if entry[0] is None else entry)
            for row, raw, entry in zip(updates.rows, updates.raws, from_puts, strict=True)
        ]
        if self.logs_each:
            self.store.write_each(puts)
        else:
            self.store.write(dict(puts))
        if not self._sends:
            return None
        if self.holds_back:
            self._hold(batch, updates, fetched)
            return None
        return self._all(batch, updates)

    def _all(self, batch: Batch, updates: Updates) -> Batch | None:
        rows = updates.rows
        if not rows:
            return None
        if len(rows) == len(batch):
            keys, raws, headers, offsets = batch.keys, batch.raw_keys, batch.headers, batch.offsets
        else:
            keys = [batch.keys[row] for row in rows]
            raws = None if batch.raw_keys is None else [batch.raw_keys[row] for row in rows]
            headers = None if batch.headers is None else [batch.headers[row] for row in rows]
            offsets = None if batch.offsets is None else [batch.offsets[row] for row in rows]
        return Batch(
            keys,
            updates.news,
            updates.timestamps,
            updates.olds if self.send_old else [None] * len(rows),
            headers=headers,
            raw_keys=raws,
            key_serde=batch.key_serde,
            topic=batch.topic,
            offsets=offsets,
        )

    def _hold(self, batch: Batch, updates: Updates, fetched: dict[bytes, Entry | None]) -> None:
        self.hold(updates.raws, fetched)
        for row, raw, new in zip(updates.rows, updates.raws, updates.news, strict=True):
            if new is None:
                self._deleted_at[raw] = batch.timestamps[row]
        if batch.headers is not None:
            self._headers.update((raw, batch.headers[row]) for row, raw in zip(updates.rows, updates.raws, strict=True))

    # -- with the last update of each key only ----------------------------------------------------------------------------

    def hold(self, raws: list[bytes], fetched: dict[bytes, Entry | None]) -> None:
        """Remember that `raws` changed, in order, from what `fetched` had; `release` reads their new values."""
        self._touched.append(raws)
        olds = self._olds
        if self.send_old:
            for raw, entry in fetched.items():
                if raw not in olds:
                    olds[raw] = None if entry is None else self.copy(entry[0])
        else:
            # Without old values it only matters whether there was one: a key that came and went leaves no tombstone.
            for raw in fetched.keys() - olds.keys():
                olds[raw] = fetched[raw] is not None

    def hold_headers(self, raws: list[bytes], headers: list[Headers | None]) -> None:
        """Remember the headers of the last update of each key."""
        self._headers.update(zip(raws, headers, strict=True))

    def release(self) -> Batch | None:
        """At a commit: the last update of each key that changed since the one before."""
        if not self._touched:
            return None
        last_first = dict.fromkeys(raw for raws in reversed(self._touched) for raw in reversed(list(raws)))
        raws = list(last_first)
        raws.reverse()
        entries = self.store.fetch(raws)
        olds, headers, deleted_at = self._olds, self._headers, self._deleted_at
        self._touched, self._olds, self._headers, self._deleted_at = [], {}, {}, {}
        if deleted_at:
            raws = [raw for raw in raws if entries[raw] is not None or olds[raw] not in (None, False)]
        if not raws:
            return None
        found = [entries[raw] for raw in raws]
        return Batch(
            self.key_serde.deserialize_many(raws),
            [None if entry is None else entry[0] for entry in found],
            [deleted_at[raw] if entry is None else entry[1] for raw, entry in zip(raws, found, strict=True)],
            [olds[raw] for raw in raws] if self.send_old else [None] * len(raws),
            headers=[headers.get(raw) for raw in raws] if headers else None,
            raw_keys=raws,  # type: ignore[arg-type]
            key_serde=self.key_serde,
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
