"""The windows that one micro-batch touches: read from the store together, written back together, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.records import Tombstone

Cell = tuple[bytes, int]  # serialised key, window start in ms


def fetch_by_start(store: Any, cells: Sequence[Cell]) -> list[Any]:
    """What a window store holds in each cell: (value, timestamp) or None. One read for each start, where reads are fast."""
    starts = {start for _, start in cells}
    if len(starts) == 1:
        return store.fetch_columns([raw for raw, _ in cells], [start for _, start in cells])  # type: ignore[no-any-return]
    found: dict[Cell, Any] = {}
    for start in starts:
        chosen = [cell for cell in cells if cell[1] == start]
        found.update(zip(chosen, store.fetch_columns([raw for raw, _ in chosen], [start] * len(chosen)), strict=True))
    return [found[cell] for cell in cells]


class WindowCells:
    """A write-behind view of a window store for the length of one `process` call.

    A window that can still change is visible in its store (retention is at least size plus grace), so what this view
    remembers is what the store would answer. Only a new operator over an old store can write windows that nobody sees
    any more: those are not remembered. A store without caching logs every put: there, a second put of a cell first writes
    what is pending.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._one_put_each = not store.spec.caching
        self._oldest = store.oldest_visible()
        self._known: dict[Cell, Any] = {}
        self._pending: dict[Cell, Any] = {}

    def load(self, cells: Iterable[Cell]) -> None:
        """Read cells in one go, ahead of `get`."""
        wanted = [cell for cell in dict.fromkeys(cells) if cell not in self._known]
        if wanted:
            self._known.update(zip(wanted, fetch_by_start(self._store, wanted), strict=True))

    def get(self, cell: Cell) -> Any:
        """The cell's (value, timestamp), or None."""
        if cell not in self._known:
            self.load((cell,))
        return self._known[cell]

    def put(self, cell: Cell, value: Any, timestamp: int) -> None:
        """Set the cell's value and timestamp."""
        self._change(cell, (value, timestamp))
        self._known[cell] = (value, timestamp) if cell[1] >= self._oldest else None

    def delete(self, cell: Cell, now: int) -> None:
        """Remove the cell; `now` is the time of the record that does it, which the changelog shows."""
        self._change(cell, Tombstone(now))
        self._known[cell] = None

    def _change(self, cell: Cell, entry: Any) -> None:
        if self._one_put_each and cell in self._pending:
            self.write()
        self._pending[cell] = entry

    def write(self) -> None:
        """Hand pending puts to the store; what is scanned after this sees them."""
        if self._pending:
            self._store.write_many(self._pending)
            self._pending = {}
