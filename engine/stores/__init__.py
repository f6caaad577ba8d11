"""State stores: one contract, every kind in memory and on RocksDB."""

from __future__ import annotations

from engine.records import Tombstone
from engine.stores.contract import ChangelogRecord, CommittedRow, Store, StoreContext
from engine.stores.opening import open_store

__all__ = ["ChangelogRecord", "CommittedRow", "Store", "StoreContext", "Tombstone", "open_store"]
