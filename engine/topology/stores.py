"""Descriptions of state stores: what a `Materialized` or a `Stores.…` call fixes before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from engine.errors import ConfigError
from engine.names import check_name
from engine.topology.arguments import check_options

KINDS = ("key-value", "window", "session", "versioned")
BACKENDS = ("rocksdb", "memory", "lru")


@dataclass(frozen=True)
class StoreSpec:
    """One state store of a topology, complete enough to open it, to name its changelog and to describe it.

    Times are ms. `retention_ms` belongs to window and session stores, `history_ms` to versioned ones, `max_entries`
    to the LRU map. `emit_final` asks for the time-ordered layout that emit-on-close scans. `retain_duplicates` keeps
    every put of a key and time (join windows). A spec without serdes holds bytes. `max_bytes` bounds an in-memory
    store; `rocksdb` has settings from `rocksdb_settings`.
    """

    name: str
    kind: str = "key-value"
    backend: str = "rocksdb"
    key_serde: Any = None
    value_serde: Any = None
    timestamped: bool = False
    logging: bool = True
    topic_config: dict[str, str] = field(default_factory=dict)
    caching: bool = False
    retention_ms: int | None = None
    window_ms: int | None = None
    segment_interval_ms: int | None = None
    retain_duplicates: bool = False
    history_ms: int | None = None
    max_entries: int | None = None
    emit_final: bool = False
    max_bytes: int | None = None
    rocksdb: dict[str, Any] = field(default_factory=dict)
    # A table read straight from a topic keeps that topic as its changelog instead of writing one (optimised or global).
    source_topic: str | None = None
    # Class or factory of a store the user plugs in; None for the engine's own.
    supplier: Any = None

    def __post_init__(self) -> None:
        """Refuse what no store can be."""
        check_name(self.name, "store name")
        if self.kind not in KINDS:
            raise ConfigError(f"store {self.name}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.backend not in BACKENDS:
            raise ConfigError(f"store {self.name}: backend {self.backend!r} is none of {', '.join(BACKENDS)}")
        check_options(self, f"store {self.name}")

    def shape(self) -> dict[str, Any]:
        """Everything but serdes and supplier, as JSON can carry it: enough to build a store of the same layout."""
        left_out = {"key_serde", "value_serde", "supplier"}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in left_out}

    def with_(self, **changes: Any) -> StoreSpec:
        """A copy with some fields changed."""
        return replace(self, **changes)
