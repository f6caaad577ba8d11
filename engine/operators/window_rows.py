"""Reads rows of windowed and of suppressed tables for those that look tables up (joins, mostly)."""

from __future__ import annotations

from typing import Any

from engine.operators.context import NodeContext
from engine.operators.suppress import suppress_buffer
from engine.operators.suppress_buffer import SuppressBuffer
from engine.operators.views import Failed, Row, Rows, open_view, rows_at
from engine.topology.suppressed import SuppressedView


class WindowRows(Rows):
    """Rows of a window or session store; keys are `Windowed`. A session's time is its end."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:  # noqa: ARG002 - stores have bytes of their own
        """The current row of each key."""
        store = self._store
        if store.spec.kind == "session":
            found = [store.fetch_session(*key) for key in keys]
            return [None if value is None else (value, key.end) for key, value in zip(keys, found, strict=True)]
        return [store.fetch(key.key, key.start) for key in keys]


class SuppressedRows(Rows):
    """Rows of a suppressed table: those that wait still have their prior value, whose time nobody knows (-1)."""

    def __init__(self, buffer: SuppressBuffer, parent: Any, value_serde: Any) -> None:
        self._buffer = buffer
        self._parent = parent
        self._value_serde = value_serde

    def rows(self, keys: list[Any], raw_keys: list[bytes], failed: Failed) -> list[Row]:
        """The current row of each key."""
        waiting = [self._buffer.get(raw) for raw in raw_keys]
        # As in Kafka Streams, what stands above is not asked about a row that waits: what it calls may raise.
        asked = [place for place, held in enumerate(waiting) if held is None]
        found = rows_at(asked, self._parent, keys, raw_keys, failed)
        for place, held in enumerate(waiting):
            if held is not None and (prior := held.update.prior) is not None:
                found[place] = (self._value_serde.deserialize(prior), -1)
        return found


def open_suppressed(view: SuppressedView, context: NodeContext) -> SuppressedRows:
    """Bind the view of a suppressed table to its buffer and to what stands above it."""
    return SuppressedRows(suppress_buffer(context, view.buffer), open_view(view.parent, context), view.value_serde)
