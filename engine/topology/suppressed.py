"""`Suppressed` and `BufferConfig`: which updates of a table wait, for how long, and what happens when the buffer is full.

A suppression needs a name, since its buffer `<name>-store` has a changelog: `Suppressed.until_window_closes(
BufferConfig.unbounded(), name="closed")`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from engine.errors import ConfigError, TopologyError
from engine.names import check_name
from engine.topology.arguments import check_options
from engine.topology.durations import read_durations
from engine.topology.graph import Graph
from engine.topology.options import of_type
from engine.topology.stores import StoreSpec
from engine.topology.table import Table
from engine.topology.views import TableView
from engine.topology.window_operations import SessionWindowedAggregate, Suppress, WindowedAggregate


@dataclass(frozen=True)
class BufferConfig:
    """Bounds of a suppression's buffer. None is unbounded.

    When a bound is passed the oldest updates are emitted early, unless `emit_early` is off: then the engine stops.
    """

    records_max: int | None = None
    bytes_max: int | None = None
    emit_early: bool = True
    logging: bool = True
    topic_config: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what bounds no buffer."""
        check_options(self, "BufferConfig")

    @classmethod
    def unbounded(cls) -> BufferConfig:
        """Hold as much as there is."""
        return cls(emit_early=False)

    @classmethod
    def max_records(cls, limit: int) -> BufferConfig:
        """Hold at most `limit` keys."""
        return cls(records_max=limit)

    @classmethod
    def max_bytes(cls, limit: int) -> BufferConfig:
        """Hold at most about `limit` bytes, counted as Kafka Streams counts them."""
        return cls(bytes_max=limit)

    def with_max_records(self, limit: int) -> BufferConfig:
        """Also hold at most `limit` keys."""
        return replace(self, records_max=limit)

    def with_max_bytes(self, limit: int) -> BufferConfig:
        """Also hold at most about `limit` bytes."""
        return replace(self, bytes_max=limit)

    def with_no_bound(self) -> BufferConfig:
        """Hold as much as there is."""
        return replace(self, records_max=None, bytes_max=None, emit_early=False)

    def emit_early_when_full(self) -> BufferConfig:
        """Send the oldest updates on when a bound is passed."""
        return replace(self, emit_early=True)

    def shut_down_when_full(self) -> BufferConfig:
        """Stop the engine with a clear error when a bound is passed."""
        return replace(self, emit_early=False)

    def with_logging(self, topic_config: dict[str, str] | None = None) -> BufferConfig:
        """Keep a changelog (the default), with settings of its topic."""
        return replace(self, logging=True, topic_config={} if topic_config is None else topic_config)

    def with_logging_disabled(self) -> BufferConfig:
        """Keep no changelog: what waits is lost with the process."""
        return replace(self, logging=False, topic_config={})


# Within `Suppressed` the plain name is its attribute.
_Buffer = BufferConfig


@dataclass(frozen=True)
class Suppressed:
    """How long a table's updates wait. `wait_ms` None waits until each update's window has closed."""

    wait_ms: int | None
    buffer: _Buffer
    name: str | None = None

    BufferConfig: ClassVar[type[_Buffer]] = BufferConfig

    def __post_init__(self) -> None:
        """Refuse names that no topic can have, and final results that could be sent early."""
        if self.name is not None:
            check_name(self.name, "Suppressed name")
        of_type(_Buffer, self.buffer, "the buffer of a suppression")
        if self.wait_ms is not None and self.wait_ms < 0:
            raise ConfigError(f"Suppressed: the time limit is {self.wait_ms} ms: it cannot be negative")
        bounded = self.buffer.records_max is not None or self.buffer.bytes_max is not None
        if self.wait_ms is None and bounded and self.buffer.emit_early:
            raise ConfigError(
                "Suppressed.until_window_closes promises final results, so its buffer cannot emit early: use"
                " BufferConfig.unbounded(), or end the bounded one with .shut_down_when_full()"
            )

    @classmethod
    def until_time_limit(
        cls,
        limit: float | timedelta | None = None,
        buffer: _Buffer | None = None,
        name: str | None = None,
        **durations: float | timedelta,
    ) -> Suppressed:
        """Let an update wait for `limit` (ms, a timedelta, or `minutes=5`) of stream time after the first of its key."""
        given = durations if limit is None else {"limit": limit, **durations}
        wait_ms = read_durations("Suppressed", given, "limit")["limit"]
        if wait_ms is None:
            raise ConfigError("Suppressed.until_time_limit: the limit is missing: give it, e.g. minutes=5")
        return cls(wait_ms, BufferConfig.unbounded() if buffer is None else buffer, name)

    @classmethod
    def until_window_closes(cls, buffer: _Buffer | str | None = None, name: str | None = None) -> Suppressed:
        """Send one result a window, when it has closed: its end and its grace have passed in stream time."""
        if isinstance(buffer, str):
            buffer, name = None, name or buffer
        return cls(None, BufferConfig.unbounded() if buffer is None else buffer, name)

    def with_name(self, name: str) -> Suppressed:
        """The same under a name; the buffer is `<name>-store`."""
        return replace(self, name=name)


@dataclass(frozen=True, eq=False)
class SuppressedView(TableView):
    """Read `parent`, except for keys that wait in `buffer`: those still have their prior value."""

    parent: TableView
    buffer: str
    value_serde: Any

    @property
    def stores(self) -> tuple[str, ...]:
        """The buffer and the parent's stores."""
        return (self.buffer, *self.parent.stores)


@dataclass(frozen=True)
class SuppressBufferSpec(StoreSpec):
    """The store of a suppression. Its changelog's values carry the version of their format, as Kafka Streams' do."""

    changelog_headers: ClassVar[tuple[tuple[str, bytes], ...]] = (("v", b"\x03"),)


def suppress(table: Table, suppressed: Suppressed) -> Table:
    """Add a suppression below a table. Raises TopologyError without a name or serdes, or where windows are missing.

    A suppression without a name right below a table with a store takes that store's name: `<store>-suppress`.
    """
    if not isinstance(suppressed, Suppressed):
        raise TopologyError(f"suppress takes a Suppressed, not {suppressed!r}")
    if suppressed.name is None and table.store is not None:
        suppressed = suppressed.with_name(f"{table.store}-suppress")
    if suppressed.name is None:
        raise TopologyError(
            "suppress keeps state, so it needs a name: Suppressed.….with_name('…'); names are never generated"
        )
    if table.versioned:
        raise TopologyError(f"suppress {suppressed.name}: a versioned table cannot be suppressed")
    if table.key_serde is None or table.value_serde is None:
        raise TopologyError(
            f"suppress {suppressed.name}: the table's serdes are not known here: give them where it is made, in Consumed"
            " or Materialized"
        )
    wait_ms = suppressed.wait_ms
    if wait_ms is None and (wait_ms := close_delay_ms(table.graph, table.node)) is None:
        raise TopologyError(f"suppress {suppressed.name}: until_window_closes needs a table of windows")
    table.send_old_values()
    config = suppressed.buffer
    spec = SuppressBufferSpec(
        f"{suppressed.name}-store",
        backend="memory",
        logging=config.logging,
        topic_config=dict(config.topic_config),
        caching=True,
    )
    operation = Suppress(
        store=spec.name,
        wait_ms=wait_ms,
        until_close=suppressed.wait_ms is None,
        max_records=config.records_max,
        max_bytes=config.bytes_max,
        emit_early=config.emit_early,
        key_serde=table.key_serde,
        value_serde=table.value_serde,
        send_old=True,
    )
    table.graph.add_store(spec)
    node = table.graph.add(operation, [table.node], [spec.name], suppressed.name)
    return Table(
        table.builder,
        node,
        table.sources,
        table.key_serde,
        table.value_serde,
        parents=(table,),
        view=lambda: SuppressedView(table.view(), spec.name, table.value_serde),
    )


def close_delay_ms(graph: Graph, node: str) -> int | None:
    """How long after a window's end it closes: the grace (sessions: and the gap) of what made the windows above `node`.

    The largest of several; None if there are no windows above.
    """
    operation = graph.nodes[node].operation
    if isinstance(operation, SessionWindowedAggregate):
        return operation.windows.gap_ms + operation.windows.grace_ms
    if isinstance(operation, WindowedAggregate):
        return operation.windows.grace_ms  # type: ignore[attr-defined, no-any-return]
    found = [close_delay_ms(graph, parent) for parent in graph.nodes[node].parents]
    return max((delay for delay in found if delay is not None), default=None)
