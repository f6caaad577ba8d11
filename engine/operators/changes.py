"""What a windowed aggregate sends on: updates of a table, at once or held back until the commit.

With the record cache on, the results are those without it, minus the superseded ones: per commit, one update of each
window that changed, in the order of their last changes, with the value as of the last commit as the old one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from engine.records import Batch, Headers, Windowed


class Changes:
    """Updates in the order in which they were made, ready to become a batch. Owned by one operator."""

    holds_back = False

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.olds: list[Any] = []
        self.timestamps: list[int] = []
        self.headers: list[Headers | None] = []

    def add(
        self,
        cell: Hashable,  # noqa: ARG002 - for those that hold updates back
        key: Windowed,
        new: Any,
        old: Any,
        timestamp: int,
        headers: Headers | None = None,
    ) -> None:
        """Take an update. `cell` identifies the window among all keys; it only matters to updates that are held back."""
        self.keys.append(key)
        self.values.append(new)
        self.olds.append(old)
        self.timestamps.append(timestamp)
        self.headers.append(headers)

    def take(self) -> Batch | None:
        """All updates so far, which are then forgotten; None when there are none."""
        if not self.keys:
            return None
        headers = self.headers if any(self.headers) else None
        batch = Batch(self.keys, self.values, self.timestamps, self.olds, None, headers)
        self._clear()
        return batch


class HeldBack(Changes):
    """The last update of each window since the last commit."""

    holds_back = True

    def __init__(self) -> None:
        super().__init__()
        self._cells: dict[Hashable, tuple[Windowed, Any, Any, int, Headers | None]] = {}

    def add(
        self, cell: Hashable, key: Windowed, new: Any, old: Any, timestamp: int, headers: Headers | None = None
    ) -> None:
        """Take an update in place of the one held for the same window; the older one's old value stays."""
        superseded = self._cells.pop(cell, None)
        self._cells[cell] = (key, new, old if superseded is None else superseded[2], timestamp, headers)

    def take(self) -> Batch | None:
        """The updates held back, in the order of their last changes.

        A window that came and went between two commits was never seen by anyone: it leaves no tombstone.
        """
        rows = [row for row in self._cells.values() if row[1] is not None or row[2] is not None]
        self._cells = {}
        for key, new, old, timestamp, headers in rows:
            super().add(None, key, new, old, timestamp, headers)
        return super().take()
