"""What a user says beside an operator: serdes, names, how a result is stored. Plain values in Kafka Streams' words.

Serdes left out are taken from upstream where the operator leaves keys or values alone, as in Kafka Streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, TypeVar

from engine.errors import ConfigError, TopologyError
from engine.names import check_name
from engine.topology.arguments import check_options
from engine.topology.durations import to_ms
from engine.topology.stores import StoreSpec
from engine.topology.suppliers import StoreSupplier

Options = TypeVar("Options", "Joined", "StreamJoined", "TableJoined")
Given = TypeVar("Given")
OFFSET_RESETS = (None, "earliest", "latest")
BACKENDS_BY_STORE = {"rocksdb": "rocksdb", "in-memory": "memory", "memory": "memory"}


def _check_optional(name: str | None, what: str) -> None:
    if name is not None:
        check_name(name, what)


def _in_ms(options: Any, part: str) -> None:
    """Keep a time that may be given as a timedelta in ms."""
    given = getattr(options, part)
    if isinstance(given, timedelta):
        object.__setattr__(options, part, to_ms(given, "ms", part))


@dataclass(frozen=True)
class Named:
    """A name for one operator, shown in descriptions."""

    name: str

    def __post_init__(self) -> None:
        """Refuse names that could not be part of a topic's."""
        check_name(self.name, "operator name")


def name_of(named: Named | str | None) -> str | None:
    """The text of a `Named`, of a plain name, or of nothing."""
    if isinstance(named, str):
        return Named(named).name
    return None if named is None else of_type(Named, named, "an operator's name").name


@dataclass(frozen=True)
class Consumed:
    """How a topic is read.

    `timestamp_extractor(record, partition_time) -> ms` replaces the record's own time; a negative one drops the record.
    `offset_reset` is `earliest`, `latest`, or None for the configured default.
    """

    key_serde: Any = None
    value_serde: Any = None
    timestamp_extractor: Callable[..., int] | None = None
    offset_reset: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse unknown resets, and what is no serde or extractor."""
        check_options(self, "Consumed")
        if self.offset_reset not in OFFSET_RESETS:
            raise ConfigError(f"Consumed: offset_reset {self.offset_reset!r} is neither 'earliest' nor 'latest'")
        _check_optional(self.name, "Consumed name")


@dataclass(frozen=True)
class Produced:
    """How a topic is written. `partitioner(topic, key, value, partitions) -> int | None` replaces murmur2 of the key."""

    key_serde: Any = None
    value_serde: Any = None
    partitioner: Callable[..., int | None] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no serde or partitioner."""
        check_options(self, "Produced")
        _check_optional(self.name, "Produced name")


@dataclass(frozen=True)
class Grouped:
    """How a stream or table is grouped: `name` names the repartition topic, when there is one."""

    name: str | None = None
    key_serde: Any = None
    value_serde: Any = None

    def __post_init__(self) -> None:
        """Refuse names that no topic can have, and what is no serde."""
        _check_optional(self.name, "Grouped name")
        check_options(self, "Grouped")


@dataclass(frozen=True)
class Joined:
    """How a stream meets a table: `name` names the repartition topic of a re-keyed stream, and the buffer of `grace_ms`.

    `value_serde` is the stream's, `other_value_serde` the table's. With `grace_ms` (or a timedelta) stream records wait
    so long in stream time, so that the (versioned) table can catch up.
    """

    name: str | None = None
    key_serde: Any = None
    value_serde: Any = None
    other_value_serde: Any = None
    grace_ms: Any = None

    def __post_init__(self) -> None:
        """Refuse names that no topic can have, negative times, and what is no serde."""
        _check_optional(self.name, "Joined name")
        _in_ms(self, "grace_ms")
        check_options(self, "Joined")


@dataclass(frozen=True)
class StreamJoined:
    """How two streams meet: `name` names the join's stores and the repartition topics of re-keyed sides.

    `this_store` and `other_store` are suppliers from `Stores` for the two window stores; `store_name` names the stores
    when it should differ from `name`. `single_store` joins a stream with itself on one store (Kafka Streams'
    `single.store.self.join`).
    """

    name: str | None = None
    key_serde: Any = None
    value_serde: Any = None
    other_value_serde: Any = None
    single_store: bool = False
    store_name: str | None = None
    this_store: StoreSupplier | None = None
    other_store: StoreSupplier | None = None
    logging: bool = True
    topic_config: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that no topic can have, and what is no serde or supplier."""
        check_options(self, "StreamJoined")
        _check_optional(self.name, "StreamJoined name")
        _check_optional(self.store_name, "StreamJoined store name")
        for supplier in (self.this_store, self.other_store):
            if supplier is not None:
                of_type(StoreSupplier, supplier, "StreamJoined: a store")


@dataclass(frozen=True)
class TableJoined:
    """How two tables meet on a foreign key: `name` names the internal topics of the subscription and its response.

    `partitioner` is the one by which the left table's topic is written, `other_partitioner` the right one's, where that is
    not Kafka's own; they are called with the table's key, and None for the value.
    """

    name: str | None = None
    partitioner: Callable[..., int | None] | None = None
    other_partitioner: Callable[..., int | None] | None = None

    def __post_init__(self) -> None:
        """Refuse names that no topic can have, and what is no partitioner."""
        _check_optional(self.name, "TableJoined name")
        check_options(self, "TableJoined")


@dataclass(frozen=True)
class Repartitioned:
    """A repartition asked for by hand; `partitions` None takes as many as upstream has."""

    name: str
    key_serde: Any = None
    value_serde: Any = None
    partitions: int | None = None
    partitioner: Callable[..., int | None] | None = None

    def __post_init__(self) -> None:
        """Refuse names that no topic can have, topics without partitions, and what is no serde or partitioner."""
        check_name(self.name, "Repartitioned name")
        check_options(self, f"Repartitioned {self.name}")


@dataclass(frozen=True)
class Materialized:
    """How a result is stored, under which name. `store` is `rocksdb` (default) or `in-memory`; `as_` takes a supplier.

    `retention_ms` (or a timedelta) is for windows and sessions. `logging=False` gives up the changelog, and with it the store's survival.
    `caching=False` emits every update, whatever the record cache's size. `rocksdb` has settings for this store, such as
    `{"compression": "zstd"}` (`engine.topology.rocksdb_settings`).
    """

    name: str | None = None
    key_serde: Any = None
    value_serde: Any = None
    retention_ms: Any = None
    logging: bool = True
    topic_config: dict[str, str] = field(default_factory=dict)
    caching: bool = True
    store: str = "rocksdb"
    supplier: StoreSupplier | None = None
    rocksdb: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no store can be."""
        _check_optional(self.name, "store name")
        _in_ms(self, "retention_ms")
        check_options(self, "Materialized" if self.name is None else f"store {self.name}")
        if not isinstance(self.store, str) or self.store not in BACKENDS_BY_STORE:
            raise ConfigError(f"Materialized {self.name}: store {self.store!r} is neither 'rocksdb' nor 'in-memory'")
        if self.supplier is not None:
            of_type(StoreSupplier, self.supplier, "Materialized: the supplier")

    @classmethod
    def as_(
        cls, store: StoreSupplier | str, key_serde: Any = None, value_serde: Any = None, **rest: Any
    ) -> Materialized:
        """A named store, or one described by a supplier from `Stores`."""
        if isinstance(store, str):
            return cls(store, key_serde, value_serde, **rest)
        spec = store.spec
        rest = {"logging": spec.logging, "topic_config": spec.topic_config, **rest}
        return cls(spec.name, key_serde or spec.key_serde, value_serde or spec.value_serde, supplier=store, **rest)

    def with_caching(self, enabled: bool = True) -> Materialized:  # noqa: FBT001, FBT002 - reads as Kafka Streams' own
        """The same store, held back in the record cache or not."""
        return replace(self, caching=enabled)

    def with_logging(
        self,
        enabled: bool = True,  # noqa: FBT001, FBT002 - reads as Kafka Streams' own
        topic_config: dict[str, str] | None = None,
    ) -> Materialized:
        """The same store, with or without a changelog, whose topic settings `topic_config` overrides."""
        return replace(self, logging=enabled, topic_config={} if topic_config is None else topic_config)

    def spec(self, kind: str, *, key_serde: Any = None, value_serde: Any = None, **shape: Any) -> StoreSpec:
        """The store's description. `kind` and `shape` (`window_ms`, `retention_ms`…) are what the operator needs.

        Serdes are this object's, else those given here. What a supplier says about the shape wins over `shape`. Raises
        TopologyError when the store has no name, or when the supplier's kind does not fit.
        """
        if self.name is None:
            raise TopologyError("a store needs a name: give Materialized('…') one; names are never generated")
        settings: dict[str, Any] = {
            "key_serde": self.key_serde or key_serde,
            "value_serde": self.value_serde or value_serde,
            "logging": self.logging,
            "topic_config": dict(self.topic_config),
            "timestamped": kind in {"key-value", "window"},
            "caching": self.caching,
        }
        if self.supplier is None:
            if self.retention_ms is not None:
                shape = {**shape, "retention_ms": self.retention_ms}
            backend = BACKENDS_BY_STORE[self.store]
            if self.rocksdb and backend != "rocksdb":
                raise TopologyError(f"store {self.name} is not on RocksDB: it takes no RocksDB settings")
            return StoreSpec(self.name, kind, backend, rocksdb=dict(self.rocksdb), **settings, **shape)
        return self._supplied(self.supplier.spec, kind, settings, shape)

    def _supplied(self, spec: StoreSpec, kind: str, settings: dict[str, Any], shape: dict[str, Any]) -> StoreSpec:
        fits = spec.kind == kind or (kind, spec.kind) == ("key-value", "versioned")
        if not fits:
            raise TopologyError(f"store {spec.name} is a {spec.kind} store where a {kind} store is needed")
        given = {name: value for name, value in shape.items() if getattr(spec, name) in (None, False)}
        if spec.kind == "versioned":
            # A versioned store's answers depend on every put: it is neither cached nor timestamped twice.
            settings = {**settings, "timestamped": False, "caching": False}
        elif spec.backend == "lru":
            # What it evicts within a commit is gone when the record cache would tell of it.
            settings = {**settings, "caching": False}
        return spec.with_(rocksdb={**spec.rocksdb, **self.rocksdb}, **settings, **given)


def joined_as(kind: type[Options], given: Any, what: str) -> Options:
    """A join's options as `kind` has them. `Joined` does for every join, and a plain text is a name.

    Raises TopologyError for anything else, and for a grace where no join of that kind has one.
    """
    if given is None or isinstance(given, kind):
        return given or kind()
    if isinstance(given, str):
        return kind(given)
    if not isinstance(given, (Joined, StreamJoined)):
        raise TopologyError(f"{what} takes a {kind.__name__}('…'), not {given!r}")
    if getattr(given, "grace_ms", None) is not None:
        raise TopologyError(
            f"{what} has no grace_ms: only a stream-table join waits; windows have a grace of their own"
        )
    shared = {part.name for part in fields(kind)} & {"name", "key_serde", "value_serde", "other_value_serde"}
    return kind(**{part: getattr(given, part) for part in shared})


def of_type(kind: type[Given], given: Any, what: str) -> Given:
    """Return `given`, or raise TopologyError unless it is a `kind`."""
    if not isinstance(given, kind):
        raise TopologyError(f"{what} is given as {given!r}: give a {kind.__name__}(…)")
    return given


def materialized_as(given: Materialized | StoreSupplier | str | None) -> Materialized | None:
    """How a result is stored: a plain text is its store's name, and one of `Stores` stands for itself."""
    if isinstance(given, (str, StoreSupplier)):
        return Materialized.as_(given)
    return None if given is None else of_type(Materialized, given, "how a result is stored")


def grouped_as(given: Grouped | str | None) -> Grouped:
    """How something is grouped; a plain text is the repartition topic's name."""
    if isinstance(given, str):
        return Grouped(given)
    return Grouped() if given is None else of_type(Grouped, given, "a grouping")


def need_materialized(materialized: Materialized | str | None, what: str) -> Materialized:
    """Return `materialized`, or raise TopologyError when there is none or when it has no name."""
    materialized = materialized_as(materialized)
    if materialized is None or materialized.name is None:
        raise TopologyError(
            f"{what} keeps state, and its store needs a name: pass Materialized('…'). "
            "Generated names would lose the state when the topology changes"
        )
    return materialized
