"""Handlers for a driver that skip every record that cannot be processed, as `processing_handler=skip` does."""

from __future__ import annotations

from typing import Any


class Skips:
    """`errors` are what the handlers were asked about, in order, and `keys` the keys of those records."""

    may_skip = True

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.keys: list[Any] = []

    def processing(self, _task_id: str, _node: str, batch: Any, row: int, error: Exception) -> None:
        self.errors.append(error)
        self.keys.append(batch.keys[row])

    serialization = processing

    def deserialization(self, raw: Any, row: int, error: Exception) -> None:
        self.errors.append(error)
        self.keys.append(raw.keys[row])
