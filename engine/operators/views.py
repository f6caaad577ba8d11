"""Reads a table's rows for joins, as `engine.topology.views` describes: many keys in one fetch, or one as of a time."""

from __future__ import annotations

from typing import Any

from engine.errors import TopologyError
from engine.operators.context import NodeContext
from engine.topology.suppressed import SuppressedView
from engine.topology.views import FilterView, JoinView, MapView, StoreView, TableView

# (value, timestamp in ms) of a row, or None where the table has none.
Row = tuple[Any, int] | None


class Rows:
    """A view bound to the open stores of one task."""

    versioned = False

    def rows(self, keys: list[Any], raw_keys: list[bytes]) -> list[Row]:
        """The current row of each key; `raw_keys` are the same keys under the table's key serde."""
        raise NotImplementedError

    def row_as_of(self, key: Any, timestamp: int) -> Row:
        """The row of `key` that was valid at `timestamp`, where `versioned`."""
        raise NotImplementedError


class _StoreRows(Rows):
    """Rows of a key-value store."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def rows(self, keys: list[Any], raw_keys: list[bytes]) -> list[Row]:  # noqa: ARG002 - the bytes are enough
        found = self._store.fetch(set(raw_keys))
        return [found[raw] for raw in raw_keys]


class _VersionedRows(Rows):
    """Rows of a versioned store: the latest ones, or those of a time."""

    versioned = True

    def __init__(self, store: Any) -> None:
        self._store = store

    def rows(self, keys: list[Any], raw_keys: list[bytes]) -> list[Row]:  # noqa: ARG002 - versions go by key
        return [_row(self._store.get(key)) for key in keys]

    def row_as_of(self, key: Any, timestamp: int) -> Row:
        return _row(self._store.get(key, timestamp))


def _row(version: Any) -> Row:
    return None if version is None else (version.value, version.timestamp)


class _DerivedRows(Rows):
    """Rows of a table that keeps nothing: its parent's, through a step that may take them away."""

    def __init__(self, parent: Rows, view: FilterView | MapView) -> None:
        self._parent = parent
        self._view = view
        self.versioned = parent.versioned

    def rows(self, keys: list[Any], raw_keys: list[bytes]) -> list[Row]:
        found = self._parent.rows(keys, raw_keys)
        return [self._step(key, row) for key, row in zip(keys, found, strict=True)]

    def row_as_of(self, key: Any, timestamp: int) -> Row:
        return self._step(key, self._parent.row_as_of(key, timestamp))

    def _step(self, key: Any, row: Row) -> Row:
        if row is None:
            return None
        view = self._view
        if isinstance(view, FilterView):
            return row if bool(view.predicate(key, row[0])) != view.negate else None
        value = view.mapper(key, row[0]) if view.with_key else view.mapper(row[0])
        return None if value is None else (value, row[1])


class _JoinedRows(Rows):
    """Rows of a join that keeps nothing: both sides' rows, joined again."""

    def __init__(self, left: Rows, right: Rows, view: JoinView) -> None:
        self._left, self._right, self._view = left, right, view

    def rows(self, keys: list[Any], raw_keys: list[bytes]) -> list[Row]:
        lefts, rights = self._left.rows(keys, raw_keys), self._right.rows(keys, raw_keys)
        return [self._join(*pair) for pair in zip(keys, lefts, rights, strict=True)]

    def _join(self, key: Any, left: Row, right: Row) -> Row:
        kind = self._view.kind
        if (left is None and (right is None or kind != "outer")) or (right is None and kind == "inner"):
            return None
        value = self._view.joiner(key, None if left is None else left[0], None if right is None else right[0])
        return None if value is None else (value, max(row[1] for row in (left, right) if row is not None))


def open_view(view: TableView, context: NodeContext) -> Rows:
    """Bind a view to the task's stores."""
    from engine.operators import window_rows  # noqa: PLC0415 - it is built on this module

    if isinstance(view, StoreView):
        store = context.store(view.store)
        if store.spec.kind in {"window", "session"}:
            return window_rows.WindowRows(store)
        return _VersionedRows(store) if view.versioned else _StoreRows(store)
    if isinstance(view, FilterView | MapView):
        return _DerivedRows(open_view(view.parent, context), view)
    if isinstance(view, SuppressedView):
        return window_rows.open_suppressed(view, context)
    if isinstance(view, JoinView):
        return _JoinedRows(open_view(view.left, context), open_view(view.right, context), view)
    raise TopologyError(f"nothing reads a table through {type(view).__name__}")
