"""`Stores`: descriptions of state stores for the Processor API and for `Materialized.as_`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine.errors import ConfigError
from engine.topology.durations import to_ms
from engine.topology.stores import StoreSpec


@dataclass(frozen=True)
class StoreSupplier:
    """A store's description that can be refined step by step; each method returns a new one."""

    spec: StoreSpec

    @property
    def name(self) -> str:
        """The store's name."""
        return self.spec.name

    def logging(self, enabled: bool = True, topic_config: dict[str, str] | None = None) -> StoreSupplier:  # noqa: FBT001, FBT002 - reads as Kafka Streams' own
        """With or without a changelog; `topic_config` overrides settings of its topic."""
        return StoreSupplier(self.spec.with_(logging=enabled, topic_config=dict(topic_config or {})))

    def caching(self, enabled: bool = True) -> StoreSupplier:  # noqa: FBT001, FBT002 - reads as Kafka Streams' own
        """With or without coalescing of changelog writes within a commit."""
        return StoreSupplier(self.spec.with_(caching=enabled))

    def retention(self, retention_ms: int | timedelta) -> StoreSupplier:
        """Keep windows or sessions for so long (ms); for versioned stores the history."""
        if self.spec.kind == "key-value":
            raise ConfigError(f"store {self.name}: a key-value store has no retention: use a window or versioned store")
        part = "history_ms" if self.spec.kind == "versioned" else "retention_ms"
        return StoreSupplier(self.spec.with_(**{part: _time(retention_ms, self.name, "retention")}))

    def serdes(self, key_serde: Any, value_serde: Any) -> StoreSupplier:
        """Read and write keys and values with these serdes."""
        return StoreSupplier(self.spec.with_(key_serde=key_serde, value_serde=value_serde))

    def max_bytes(self, limit: int) -> StoreSupplier:
        """Stop the engine with a clear error when an in-memory store holds more than `limit` bytes."""
        return StoreSupplier(self.spec.with_(max_bytes=limit))

    def rocksdb(self, **settings: Any) -> StoreSupplier:
        """Give RocksDB settings, such as `compression="zstd"`; `engine.topology.rocksdb_settings` has all of them.

        Raises ConfigError for others, and for a store that is not on RocksDB.
        """
        if self.spec.backend != "rocksdb":
            raise ConfigError(f"store {self.name} is not on RocksDB: it takes no RocksDB settings")
        return StoreSupplier(self.spec.with_(rocksdb={**self.spec.rocksdb, **settings}))


def _time(value: int | timedelta, name: str, what: str) -> int:
    if isinstance(value, timedelta):
        value = to_ms(value, "ms", f"store {name}: the {what}")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"store {name}: the {what} is {value!r}: give milliseconds, 0 or more")
    return value


def _window(
    name: str, backend: str, retention_ms: int | timedelta, window_ms: int | timedelta, settings: dict[str, Any]
) -> StoreSupplier:
    retention_ms, window_ms = _time(retention_ms, name, "retention"), _time(window_ms, name, "window size")
    if retention_ms < window_ms:
        raise ConfigError(f"store {name}: the retention ({retention_ms} ms) is shorter than a window ({window_ms} ms)")
    return StoreSupplier(StoreSpec(name, "window", backend, retention_ms=retention_ms, window_ms=window_ms, **settings))


class Stores:
    """Factories of store descriptions, named as in Kafka Streams. Serdes left out mean bytes, or those of the operator.

    Times are milliseconds, or a `datetime.timedelta`.
    """

    @staticmethod
    def persistent_key_value(
        name: str, key_serde: Any = None, value_serde: Any = None, *, timestamped: bool = False
    ) -> StoreSupplier:
        """Key to value on RocksDB; `timestamped` keeps a `ValueAndTimestamp` under each key."""
        return StoreSupplier(StoreSpec(name, "key-value", "rocksdb", key_serde, value_serde, timestamped=timestamped))

    @staticmethod
    def in_memory_key_value(
        name: str, key_serde: Any = None, value_serde: Any = None, *, timestamped: bool = False
    ) -> StoreSupplier:
        """Key to value in memory; rebuilt from the changelog at each start."""
        return StoreSupplier(StoreSpec(name, "key-value", "memory", key_serde, value_serde, timestamped=timestamped))

    @staticmethod
    def lru_map(
        name: str, max_entries: int, key_serde: Any = None, value_serde: Any = None, *, timestamped: bool = False
    ) -> StoreSupplier:
        """Key to value in memory, at most `max_entries`: the least recently used one leaves first."""
        spec = StoreSpec(name, "key-value", "lru", key_serde, value_serde, timestamped=timestamped)
        return StoreSupplier(spec.with_(max_entries=max_entries))

    @staticmethod
    def persistent_window(
        name: str,
        retention_ms: int | timedelta,
        window_ms: int | timedelta,
        key_serde: Any = None,
        value_serde: Any = None,
        *,
        retain_duplicates: bool = False,
        timestamped: bool = False,
        segment_interval_ms: int | None = None,
    ) -> StoreSupplier:
        """Key and window start to value on RocksDB, in segments that expire as wholes."""
        settings = {
            "key_serde": key_serde,
            "value_serde": value_serde,
            "retain_duplicates": retain_duplicates,
            "timestamped": timestamped,
            "segment_interval_ms": segment_interval_ms,
        }
        return _window(name, "rocksdb", retention_ms, window_ms, settings)

    @staticmethod
    def in_memory_window(
        name: str,
        retention_ms: int | timedelta,
        window_ms: int | timedelta,
        key_serde: Any = None,
        value_serde: Any = None,
        *,
        retain_duplicates: bool = False,
        timestamped: bool = False,
    ) -> StoreSupplier:
        """Key and window start to value in memory."""
        settings = {
            "key_serde": key_serde,
            "value_serde": value_serde,
            "retain_duplicates": retain_duplicates,
            "timestamped": timestamped,
        }
        return _window(name, "memory", retention_ms, window_ms, settings)

    @staticmethod
    def persistent_session(
        name: str,
        retention_ms: int | timedelta,
        key_serde: Any = None,
        value_serde: Any = None,
        *,
        segment_interval_ms: int | None = None,
    ) -> StoreSupplier:
        """Key and session to value on RocksDB."""
        spec = StoreSpec(name, "session", "rocksdb", key_serde, value_serde, segment_interval_ms=segment_interval_ms)
        return StoreSupplier(spec.with_(retention_ms=_time(retention_ms, name, "retention")))

    @staticmethod
    def in_memory_session(
        name: str, retention_ms: int | timedelta, key_serde: Any = None, value_serde: Any = None
    ) -> StoreSupplier:
        """Key and session to value in memory."""
        spec = StoreSpec(name, "session", "memory", key_serde, value_serde)
        return StoreSupplier(spec.with_(retention_ms=_time(retention_ms, name, "retention")))

    @staticmethod
    def persistent_versioned(
        name: str,
        history_ms: int | timedelta,
        key_serde: Any = None,
        value_serde: Any = None,
        *,
        segment_interval_ms: int | None = None,
    ) -> StoreSupplier:
        """Key to its versions on RocksDB; reads as of a time go back `history_ms` behind the newest one."""
        spec = StoreSpec(name, "versioned", "rocksdb", key_serde, value_serde, segment_interval_ms=segment_interval_ms)
        return StoreSupplier(spec.with_(history_ms=_time(history_ms, name, "history retention")))

    @staticmethod
    def custom(
        name: str, supplier: Any, kind: str = "key-value", key_serde: Any = None, value_serde: Any = None, **shape: Any
    ) -> StoreSupplier:
        """A store of the user's own, made by `supplier` (see `engine.stores`); `shape` are fields of its description."""
        return StoreSupplier(StoreSpec(name, kind, "memory", key_serde, value_serde, supplier=supplier, **shape))
