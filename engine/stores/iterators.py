"""Iterators over a store that can't leak: they end themselves when exhausted, collected, or when their store closes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from weakref import WeakSet

from engine.errors import StoreError

T = TypeVar("T")


class StoreIterator(Iterator[T], Generic[T]):
    """Rows of a store in order, as of the moment it was made; a context manager too.

    It holds resources of the store (RocksDB: a snapshot) until it is exhausted, closed or garbage. `next` after
    `close`, or after the store was closed, raises StoreError.
    """

    __slots__ = ("__weakref__", "_rows")

    def __init__(self, rows: Iterator[T], open_iterators: WeakSet[Any]) -> None:
        self._rows: Iterator[T] | None = rows
        open_iterators.add(self)

    def __next__(self) -> T:
        if self._rows is None:
            raise StoreError("the iterator, or its store, was closed: open another one")
        try:
            return next(self._rows)
        except StopIteration:
            self._rows = iter(())
            raise

    def close(self) -> None:
        """Free what the iterator holds; calling it twice is allowed."""
        rows, self._rows = self._rows, None
        close = getattr(rows, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def merge_rows(
    overlay: Iterable[tuple[bytes, Any]], rows: Iterator[tuple[bytes, Any]], *, reverse: bool
) -> Iterator[tuple[bytes, Any]]:
    """Two sorted streams of (key, entry) as one; the overlay's entry wins, and a falsy entry hides the key."""
    row = next(rows, None)
    for key, entry in overlay:
        while row is not None and (row[0] > key if reverse else row[0] < key):
            yield row
            row = next(rows, None)
        if row is not None and row[0] == key:
            row = next(rows, None)
        if entry:
            yield key, entry
    if row is not None:
        yield row
        yield from rows
