"""`Table`: the latest value of each key, and how it changes (Kafka Streams' KTable). `GlobalTable`: the whole of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import TopologyError
from engine.topology.callables import RECORD, check_callable, takes_key
from engine.topology.operations import Operation
from engine.topology.options import Grouped, Materialized, Named, grouped_as, materialized_as
from engine.topology.options import name_of as _name_of
from engine.topology.stores import StoreSpec
from engine.topology.stream import Stream
from engine.topology.tables import TableFilter, TableMapValues, TableSource, TableToStream
from engine.topology.views import FilterView, MapView, StoreView, TableView

if TYPE_CHECKING:
    from engine.topology.builder import StreamsBuilder
    from engine.topology.grouped import GroupedTable

Name = Named | str | None


@dataclass(frozen=True)
class GlobalTable:
    """A table of which every instance holds all partitions; only streams can join it, by any key."""

    store: str
    key_serde: Any
    value_serde: Any


class Table:
    """A table within a topology that is being built. Made by `StreamsBuilder` and by operators, never directly.

    `store` is the name of its own store, if it has one; `parents` are the tables it is computed from. `versioned` says
    that its changes may come out of order and say so (a versioned store, or what is derived from one without a store).
    """

    def __init__(
        self,
        builder: StreamsBuilder,
        node: str,
        sources: frozenset[str],
        key_serde: Any = None,
        value_serde: Any = None,
        *,
        store: str | None = None,
        versioned: bool = False,
        parents: tuple[Table, ...] = (),
        view: Callable[[], TableView] | None = None,
        origin: str = "",
    ) -> None:
        self.builder = builder
        self.graph = builder.graph
        self.node = node
        self.sources = sources
        self.key_serde = key_serde
        self.value_serde = value_serde
        self.store = store
        self.versioned = versioned
        self.parents = parents
        self._view = view
        self._origin = origin or f"the table at {node}"

    @classmethod
    def from_updates(
        cls,
        stream: Stream,
        operation: type[TableSource],
        materialized: Materialized | str | None,
        key_serde: Any,
        value_serde: Any,
        name: str | None = None,
    ) -> Table:
        """Read `stream` as a table's updates; it has a store if `materialized` has a name."""
        spec, materialized = None, materialized_as(materialized)
        if materialized is not None and materialized.name is not None:
            spec = materialized.spec("key-value", key_serde=key_serde, value_serde=value_serde)
            stream.graph.add_store(spec)
        store, versioned = _store_of(spec)
        node = stream.graph.add(operation(store, versioned), [stream.node], [store] if store else (), name)
        return cls(stream.builder, node, stream.sources, key_serde, value_serde, store=store, versioned=versioned)

    # -- for other operators ------------------------------------------------------------------------------------------

    def then(
        self,
        operation: Operation,
        spec: StoreSpec | None = None,
        *,
        name: Name = None,
        value_serde: Any = None,
        view: Callable[[], TableView] | None = None,
    ) -> Table:
        """Add a node below this table, with a store of its own if `spec` is given, and return its output."""
        if spec is not None:
            self.graph.add_store(spec)
        store, versioned = _store_of(spec)
        node = self.graph.add(operation, [self.node], [store] if store else (), _name_of(name))
        return Table(
            self.builder,
            node,
            self.sources,
            self.key_serde if spec is None else spec.key_serde,
            value_serde if spec is None else spec.value_serde,
            store=store,
            versioned=self.versioned if spec is None else versioned,
            parents=(self,),
            view=view,
        )

    def view(self) -> TableView:
        """How other operators read this table's values. Raises TopologyError where that needs a store without a name."""
        if self.store is not None:
            return StoreView(self.store, self.versioned)
        if self._view is not None:
            return self._view()
        raise TopologyError(
            f"{self._origin} must keep its values here, and its store needs a name: pass Materialized('…') where it is made"
        )

    def send_old_values(self, *, force: bool = True) -> bool:
        """Let every change carry what it replaces; False if that would need a store and `force` is not set.

        Raises TopologyError if `force` is set and the store that is needed has no name.
        """
        operation: Any = self.graph.nodes[self.node].operation
        if operation.send_old:
            return True
        if self.store is None:
            if not self.parents:
                if not force:
                    return False
                self.view()
            elif not all(parent.send_old_values(force=force) for parent in self.parents):
                return False
        operation = self.graph.nodes[self.node].operation
        self.graph.replace_operation(self.node, replace(operation, send_old=True))
        return True

    # -- operators --------------------------------------------------------------------------------------------------------

    def filter(
        self, predicate: Callable[[Any, Any], bool], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Keep what `predicate(key, value)` holds for; a key that no longer fits gets a tombstone."""
        return self._filter(predicate, materialized, name, negate=False)

    def filter_not(
        self, predicate: Callable[[Any, Any], bool], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Keep what `predicate(key, value)` does not hold for; a key that does gets a tombstone."""
        return self._filter(predicate, materialized, name, negate=True)

    def _filter(
        self,
        predicate: Callable[[Any, Any], bool],
        materialized: Materialized | str | None,
        name: Name,
        *,
        negate: bool,
    ) -> Table:
        check_callable(predicate, "predicate", RECORD)
        spec = self._spec(materialized, self.value_serde)
        store, versioned = _store_of(spec)
        # Where upstream has a store anyway, the old value is at hand and spares needless tombstones.
        operation = TableFilter(
            predicate, negate, store, versioned, self.send_old_values(force=False), keep_empty=self.versioned
        )
        return self.then(
            operation,
            spec,
            name=name,
            value_serde=self.value_serde,
            view=lambda: FilterView(self.view(), predicate, negate),
        )

    def map_values(
        self, mapper: Callable[..., Any], materialized: Materialized | str | None = None, name: Name = None
    ) -> Table:
        """Map each value by `mapper(value)` or `mapper(key, value)`, as the function is written."""
        with_key = takes_key(mapper)
        spec = self._spec(materialized, None)
        operation = TableMapValues(mapper, with_key, *_store_of(spec))
        return self.then(operation, spec, name=name, view=lambda: MapView(self.view(), mapper, with_key))

    def to_stream(self, selector: Callable[[Any, Any], Any] | None = None, name: Name = None) -> Stream:
        """The table's changes as a stream, re-keyed by `selector(key, value)` if one is given."""
        node = self.graph.add(TableToStream(), [self.node], name=_name_of(name))
        stream = Stream(self.builder, node, self.sources, self.key_serde, self.value_serde)
        return stream if selector is None else stream.select_key(selector)

    def group_by(
        self, selector: Callable[[Any, Any], tuple[Any, Any]], grouped: Grouped | str | None = None
    ) -> GroupedTable:
        """Group by the pair `selector(key, value) -> (key, value)`; always goes through a repartition topic."""
        from engine.topology.grouped import GroupedTable  # noqa: PLC0415 - groups are made of tables

        return GroupedTable(self, check_callable(selector, "selector", RECORD), grouped_as(grouped))

    def suppress(self, suppressed: Any) -> Table:
        """Hold changes back as `Suppressed` says: until a time limit, or until windows close."""
        from engine.topology import suppressed as module  # noqa: PLC0415 - suppression is made of tables

        return module.suppress(self, suppressed)

    # -- joins ------------------------------------------------------------------------------------------------------------

    def join(self, other: Table, *arguments: Any, **options: Any) -> Table:
        """Join by key: `join(other, joiner, Materialized)`; or by foreign key: `join(other, extractor, joiner, TableJoined, Materialized)`."""
        from engine.topology import joins  # noqa: PLC0415 - joins are made of tables

        return joins.join_table("inner", self, other, *arguments, **options)

    def left_join(self, other: Table, *arguments: Any, **options: Any) -> Table:
        """As `join`, and keep keys of this table that found nothing, with None for the other side."""
        from engine.topology import joins  # noqa: PLC0415 - joins are made of tables

        return joins.join_table("left", self, other, *arguments, **options)

    def outer_join(self, other: Table, *arguments: Any, **options: Any) -> Table:
        """As `join` by key, and keep keys of either table that found nothing, with None for the other side."""
        from engine.topology import joins  # noqa: PLC0415 - joins are made of tables

        return joins.join_table("outer", self, other, *arguments, **options)

    def _spec(self, materialized: Materialized | str | None, value_serde: Any) -> StoreSpec | None:
        materialized = materialized_as(materialized)
        if materialized is None or materialized.name is None:
            return None
        return materialized.spec("key-value", key_serde=self.key_serde, value_serde=value_serde)


def _store_of(spec: StoreSpec | None) -> tuple[str | None, bool]:
    """A store's name and whether it is versioned."""
    return (None, False) if spec is None else (spec.name, spec.kind == "versioned")
