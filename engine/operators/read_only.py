"""A global table's store as processors see it: its topic alone writes it, as in Kafka Streams."""

from __future__ import annotations

from typing import Any

from engine.errors import UnsupportedOperation

# What changes a key-value store, whichever protocol it is called by.
_CHANGES = frozenset(
    {
        "put",
        "put_all",
        "put_if_absent",
        "delete",
        "write",
        "write_each",
        "write_columns",
        "commit",
        "rollback",
        "restore",
        "close",
    }
)


class ReadOnlyStore:
    """Everything of a store but what changes it. Owner: the loop's thread, as of the store."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in _CHANGES:
            spec = self._store.spec
            raise UnsupportedOperation(
                f"store {spec.name} is a global table, which every instance reads: write to its topic {spec.source_topic} instead"
            )
        return getattr(self._store, name)
