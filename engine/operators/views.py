"""Reads a table's rows for joins, as `engine.topology.views` describes: many keys in one fetch, or one as of a time."""

from __future__ import annotations

from typing import Any

from engine.errors import TopologyError
from engine.operators.context import NodeContext
from engine.operators.processor import apply_each
from engine.topology.suppressed import SuppressedView
from engine.topology.views import FilterView, JoinView, MapView, StoreView, TableView

# (value, timestamp in ms) of a row, or None where the table has none.
Row = tuple[Any, int] | None
# What user code between a store and the reader raised, by place: the row there is None, and its record is the handler's.
Failed = dict[int, Exception]


class Rows:
    """A view bound to the open stores of one task."""

    versioned = False

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:
        """The current row of each key; `raw_keys` are the same keys under the table's key serde.

        Where user code raised, the place and the error are put into `failed`; what a store raises is raised.
        """
        raise NotImplementedError

    def rows_as_of(self, keys: list[Any], timestamps: list[int], failed: Failed) -> list[Row]:
        """The row of each key that was valid at its time (ms), where `versioned`; `failed` as in `rows`."""
        raise NotImplementedError


def rows_at(places: list[int], table: Rows, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:
    """`table.rows` of the keys at `places` only; None elsewhere."""
    missed: Failed = {}
    found = table.rows([keys[place] for place in places], [raw_keys[place] for place in places], missed)
    failed.update({places[at]: error for at, error in missed.items()})
    rows: list[Row] = [None] * len(keys)
    for place, row in zip(places, found, strict=True):
        rows[place] = row
    return rows


class _StoreRows(Rows):
    """Rows of a key-value store."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:  # noqa: ARG002 - the bytes are enough
        found = self._store.fetch(set(raw_keys))
        return [found[raw] for raw in raw_keys]


class _VersionedRows(Rows):
    """Rows of a versioned store: the latest ones, or those of a time."""

    versioned = True

    def __init__(self, store: Any) -> None:
        self._store = store

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:  # noqa: ARG002 - versions go by key
        return [_row(self._store.get(key)) for key in keys]

    def rows_as_of(self, keys: list[Any], timestamps: list[int], failed: Failed) -> list[Row]:  # noqa: ARG002 - nothing is called
        return [_row(self._store.get(*asked)) for asked in zip(keys, timestamps, strict=True)]


def _row(version: Any) -> Row:
    return None if version is None else (version.value, version.timestamp)


class _DerivedRows(Rows):
    """Rows of a table that keeps nothing: its parent's, through a step that may take them away."""

    def __init__(self, parent: Rows, view: FilterView | MapView) -> None:
        self._parent = parent
        self._view = view
        self.versioned = parent.versioned

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:
        return self._stepped(keys, self._parent.rows(keys, raw_keys, failed), failed)

    def rows_as_of(self, keys: list[Any], timestamps: list[int], failed: Failed) -> list[Row]:
        return self._stepped(keys, self._parent.rows_as_of(keys, timestamps, failed), failed)

    def _stepped(self, keys: list[Any], found: list[Row], failed: Failed) -> list[Row]:
        return apply_each(self._step, failed.__setitem__, keys, found)[0]

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

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:
        lefts = self._left.rows(keys, raw_keys, failed)
        # As in Kafka Streams, the right side is asked only where its answer counts: what it calls may raise.
        outer = self._view.kind == "outer"
        asked = [place for place, row in enumerate(lefts) if (outer or row is not None) and place not in failed]
        rights = rows_at(asked, self._right, keys, raw_keys, failed)
        for place in failed:
            lefts[place] = None
        return apply_each(self._join, failed.__setitem__, keys, lefts, rights)[0]

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
