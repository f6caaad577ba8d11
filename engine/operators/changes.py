"""What a windowed aggregate sends on: updates of a table, at once or held back until the commit.

With the record cache on, the results are those without it, minus the superseded ones: per commit, one update of each
window that changed, in the order of their last changes, with the value as of the last commit as the old one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from engine.operators.context import NodeContext
from engine.records import Batch, Headers, Windowed


class Changes:
    """Updates in the order in which they were made, each with the row of the batch that made it."""

    holds_back = False

    def __init__(self) -> None:
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._olds: list[Any] = []
        self._timestamps: list[int] = []
        self._rows: list[int] = []

    def add(
        self,
        batch: Batch,  # noqa: ARG002 - for those that hold updates back, like the cell
        row: int,
        cell: Hashable,  # noqa: ARG002
        key: Windowed,
        new: Any,
        old: Any,
        timestamp: int,
    ) -> None:
        """Take an update made by a row of `batch`. `cell` tells windows apart; all updates until `take` are of one batch."""
        self._keys.append(key)
        self._values.append(new)
        self._olds.append(old)
        self._timestamps.append(timestamp)
        self._rows.append(row)

    def take(self, batch: Batch, *, with_headers: bool = True) -> Batch | None:
        """All updates made by `batch`, which are then forgotten; None when there are none."""
        if not self._keys:
            return None
        rows, headers, offsets = self._rows, batch.headers, batch.offsets
        out = Batch(
            self._keys,
            self._values,
            self._timestamps,
            self._olds,
            headers=[headers[row] for row in rows] if with_headers and headers is not None else None,
            topic=batch.topic,
            offsets=None if offsets is None else [offsets[row] for row in rows],
        )
        Changes.__init__(self)
        return out


class HeldBack(Changes):
    """The last update of each window since the last commit. Operators that write one store share one."""

    holds_back = True

    def __init__(self) -> None:
        super().__init__()
        self._forget()

    def _forget(self) -> None:
        self._touched: list[Hashable] = []
        self._first_olds: dict[Hashable, Any] = {}
        self._last: dict[Hashable, tuple[Windowed, Any, int]] = {}
        self._last_headers: dict[Hashable, Headers | None] = {}
        self._topic: str | None = None

    def add(self, batch: Batch, row: int, cell: Hashable, key: Windowed, new: Any, old: Any, timestamp: int) -> None:
        """Take an update in place of the one held for the same window; the older one's old value stays."""
        self._touched.append(cell)
        self._first_olds.setdefault(cell, old)
        self._last[cell] = (key, new, timestamp)
        if batch.headers is not None:
            self._last_headers[cell] = batch.headers[row]
        else:
            self._last_headers.pop(cell, None)
        self._topic = batch.topic

    def add_many(
        self,
        batch: Batch,
        cells: list[Any],
        keys: list[Windowed],
        news: list[Any],
        olds: list[Any],
        timestamps: list[int],
        headers: dict[Any, Headers | None],
    ) -> None:
        """`add` of distinct windows as columns; `headers` are those of each window's last record, or empty for none."""
        self._touched += cells
        first = dict(zip(cells, olds, strict=True))
        first.update(self._first_olds)
        self._first_olds = first
        if headers:
            self._last_headers.update(headers)
        elif self._last_headers:
            self._last_headers.update(dict.fromkeys(cells))
        self._last.update(zip(cells, zip(keys, news, timestamps, strict=True), strict=True))
        self._topic = batch.topic

    def take(self, batch: Batch, *, with_headers: bool = True) -> Batch | None:  # noqa: ARG002 - nothing goes on yet
        """Nothing: what is held waits for `release`."""
        return None

    def release(self) -> Batch | None:
        """The updates held back, in the order of their last changes; called at a commit.

        A window that came and went between two commits was never seen by anyone: it leaves no tombstone.
        """
        if not self._touched:
            return None
        order = list(dict.fromkeys(reversed(self._touched)))
        order.reverse()
        last, olds, all_headers, topic = self._last, self._first_olds, self._last_headers, self._topic
        self._forget()
        order = [cell for cell in order if last[cell][1] is not None or olds[cell] is not None]
        if not order:
            return None
        keys, news, timestamps = (list(column) for column in zip(*map(last.__getitem__, order), strict=True))
        headers = [all_headers.get(cell) for cell in order] if all_headers else None
        return Batch(keys, news, timestamps, list(map(olds.__getitem__, order)), headers=headers, topic=topic)


class Unheard(HeldBack):
    """Updates that nobody listens to: none is kept until the commit."""

    def add(self, batch: Batch, row: int, cell: Hashable, key: Windowed, new: Any, old: Any, timestamp: int) -> None:
        """Let it go."""


def changes_of(context: NodeContext, store: str, *, held_back: bool) -> Changes:
    """Where an operator puts its updates; those that write one store and hold updates back do so together."""
    if held_back and not context.children:
        return Unheard()
    if held_back:
        return context.shared(f"updates held back of {store}", HeldBack)  # type: ignore[no-any-return]
    return Changes()
