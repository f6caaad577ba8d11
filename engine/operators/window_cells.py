"""The windows that one micro-batch touches: read from the store together, written back together, in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Cell = tuple[bytes, int]  # serialised key, window start in ms


class WindowCells:
    """A write-behind view of a window store for the length of one `process` call.

    A window that can still change is visible in its store (retention is at least size plus grace), so what this view
    remembers is what the store would answer. `one_put_each` keeps every put apart, because an uncached store logs each
    one: a second put of a cell first writes what is pending.
    """

    def __init__(self, store: Any, *, one_put_each: bool) -> None:
        self._store = store
        self._one_put_each = one_put_each
        self._known: dict[Cell, Any] = {}
        self._pending: dict[Cell, Any] = {}

    def load(self, cells: Iterable[Cell]) -> None:
        """Read cells in one go, ahead of `get`."""
        wanted = [cell for cell in dict.fromkeys(cells) if cell not in self._known]
        if wanted:
            self._known.update(zip(wanted, self._store.fetch_many(wanted), strict=True))

    def get(self, cell: Cell) -> Any:
        """The cell's (value, timestamp), or None."""
        if cell not in self._known:
            self.load((cell,))
        return self._known[cell]

    def put(self, cell: Cell, entry: Any) -> None:
        """Set the cell to (value, timestamp), or delete it with None."""
        if self._one_put_each and cell in self._pending:
            self.write()
        self._known[cell] = self._pending[cell] = entry

    def write(self) -> None:
        """Hand pending puts to the store; what is scanned after this sees them."""
        if self._pending:
            self._store.write_many(self._pending)
            self._pending = {}

    def forget(self) -> None:
        """Write, and forget what was read: other operators may use the store before the next batch."""
        self.write()
        self._known = {}
