"""The joins of the DSL: what `Stream.join` and `Table.join` and their kin add to the graph.

Which join it is follows from the other side's type. Names follow Kafka Streams, since they name internal topics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine import serdes
from engine.errors import TopologyError
from engine.serdes.foreign_key import AnswerSerde, SubscriptionSerde
from engine.topology import join_operations as operations
from engine.topology.callables import RECORD, check_callable, required_arguments, takes_key
from engine.topology.graph import Graph
from engine.topology.operations import Sink, Source
from engine.topology.options import Joined, Materialized, StreamJoined, TableJoined, joined_as, materialized_as
from engine.topology.stateless import Merge
from engine.topology.stores import StoreSpec
from engine.topology.stream import Stream
from engine.topology.table import GlobalTable, Table
from engine.topology.tables import TableFilter, TableSource
from engine.topology.views import JoinView, StoreView
from engine.topology.windows import JoinWindows

Function = Callable[..., Any]
_WITH_KEY = 3  # arguments of a joiner that wants the key too


def _joiner(function: Any) -> Function:
    """A joiner of (key, left, right), whichever of the two forms the user wrote."""
    check_callable(function, "joiner", "left, right", "key, left, right")
    if required_arguments(function) >= _WITH_KEY:
        return function  # type: ignore[no-any-return]
    return lambda _, left, right: function(left, right)


# -- streams --------------------------------------------------------------------------------------------------------------


def join_stream(kind: str, stream: Stream, other: Any, *arguments: Any, **options: Any) -> Stream:
    """Join a stream with a stream, a table or a global table."""
    if isinstance(other, (Stream, Table)):
        stream.builder.check_same(other)
    if isinstance(other, Stream):
        return join_streams(kind, stream, other, *arguments, **options)
    if kind == "outer":
        raise TopologyError("a stream has an outer join only with a stream: use left_join with a table")
    if isinstance(other, Table):
        return join_stream_table(kind, stream, other, *arguments, **options)
    if isinstance(other, GlobalTable):
        return join_global(kind, stream, other, *arguments, **options)
    raise TopologyError(f"a stream cannot join {other!r}: give a stream, a table or a global table")


def _co_partitioned(stream: Stream, name: str | None, key_serde: Any, value_serde: Any) -> Stream:
    """The stream itself, or through a repartition topic when its key may have changed."""
    if not stream.rekeyed:
        return stream
    if name is None:
        raise TopologyError(
            "the key of a joined stream may have changed, so it goes through a repartition topic, which needs a name: "
            "give Joined('…') or StreamJoined('…')"
        )
    return stream.through_repartition(name, key_serde=key_serde, value_serde=value_serde)


def join_stream_table(
    kind: str, stream: Stream, table: Table, joiner: Function, joined: Joined | str | None = None
) -> Stream:
    """Look each record up in a table; with a grace, when stream time has passed it by so much."""
    joined = joined_as(Joined, joined, "a stream-table join")
    stream = _co_partitioned(stream, joined.name, joined.key_serde, joined.value_serde)
    view = table.view()
    key_serde, value_serde = joined.key_serde or stream.key_serde, joined.value_serde or stream.value_serde
    buffer = None
    if joined.grace_ms is not None:
        if not view.versioned:
            raise TopologyError(
                "a stream-table join with a grace needs a versioned table: see Stores.persistent_versioned"
            )
        if joined.name is None:
            raise TopologyError("the buffer of a join with a grace needs a name: give Joined('…')")
        _check_history(stream.graph, view.stores, joined.grace_ms)
        buffer = stream.graph.add_store(StoreSpec(f"{joined.name}-Buffer")).name
    operation = operations.StreamTableJoin(
        table=view,
        joiner=_joiner(joiner),
        left=kind == "left",
        table_key_serde=table.key_serde or serdes.bytes,
        grace_ms=joined.grace_ms or 0,
        buffer=buffer,
        key_serde=key_serde or serdes.bytes,
        value_serde=value_serde or serdes.bytes,
    )
    stores = (*view.stores, *((buffer,) if buffer else ()))
    result = stream.then(operation, stores=stores, name=joined.name, key_serde=key_serde)
    stream.builder.copartition(result.node, stream, table)
    return Stream(stream.builder, result.node, stream.sources | table.sources, key_serde, None, rekeyed=stream.rekeyed)


def _check_history(graph: Graph, stores: tuple[str, ...], grace_ms: int) -> None:
    """Refuse a grace after which the table may have forgotten what was there at a record's time."""
    for spec in (graph.stores[name] for name in stores):
        if spec.history_ms is not None and spec.history_ms < grace_ms:
            raise TopologyError(
                f"store {spec.name} knows the last {spec.history_ms} ms and the join waits for {grace_ms} ms: make its "
                "history at least as long as the grace"
            )


def join_global(kind: str, stream: Stream, table: GlobalTable, selector: Function, joiner: Function) -> Stream:
    """Look each record up in a global table under `selector(key, value)`."""
    check_callable(selector, "key selector", RECORD)
    operation = operations.StreamTableJoin(
        table=StoreView(table.store),
        joiner=_joiner(joiner),
        left=kind == "left",
        key_mapper=selector,
        table_key_serde=table.key_serde or serdes.bytes,
    )
    return stream.then(operation, stores=[table.store], key_serde=stream.key_serde)


def join_streams(
    kind: str,
    left: Stream,
    right: Stream,
    joiner: Function,
    windows: JoinWindows,
    joined: StreamJoined | Joined | str | None = None,
) -> Stream:
    """Join two streams within a window; a stream joined with itself may do with one store (`single_store`)."""
    joined = joined_as(StreamJoined, joined, "a stream-stream join")
    name = joined.store_name or joined.name
    if name is None:
        raise TopologyError("the stores of a stream-stream join need a name: give StreamJoined('…')")
    if not isinstance(windows, JoinWindows):
        raise TopologyError(f"a stream-stream join needs JoinWindows, not {windows!r}")
    base = joined.name or name
    key_serde = joined.key_serde or left.key_serde or right.key_serde
    left_serde = joined.value_serde or left.value_serde
    right_serde = joined.other_value_serde or right.value_serde
    if joined.single_store:
        if left is not right or kind != "inner":
            raise TopologyError("single_store is for the inner join of a stream with itself")
        return _self_join(left, _joiner(joiner), windows, joined, key_serde, left_serde, name)
    same = left is right
    left = _co_partitioned(left, f"{base}-left", key_serde, left_serde)
    right = left if same else _co_partitioned(right, f"{base}-right", key_serde, right_serde)
    own = _window_store(
        joined, joined.this_store, f"{name}-{'outer-this' if kind == 'outer' else 'this'}-join-store",
        windows, key_serde, left_serde,
    )  # fmt: skip
    other = _window_store(
        joined, joined.other_store, f"{name}-{'other' if kind == 'inner' else 'outer-other'}-join-store",
        windows, key_serde, right_serde,
    )  # fmt: skip
    graph = left.graph
    graph.add_store(own)
    graph.add_store(other)
    pending = None
    if kind != "inner":
        shared = f"{name}-{kind}-shared-join-store"
        spec = StoreSpec(shared, backend=own.backend, logging=joined.logging, topic_config=dict(joined.topic_config))
        pending = graph.add_store(spec).name
    left_side = operations.StreamJoinSide(
        own=own.name,
        other=other.name,
        before_ms=windows.before_ms,
        after_ms=windows.after_ms,
        grace_ms=windows.grace_ms,
        outer=kind != "inner",
        pending=pending,
        clock=own.name,
        joiner=_joiner(joiner),
        left_span_ms=windows.after_ms,
        right_span_ms=windows.before_ms,
        key_serde=key_serde or serdes.bytes,
        left_serde=left_serde or serdes.bytes,
        right_serde=right_serde or serdes.bytes,
    )
    right_side = replace(
        left_side,
        is_left=False,
        own=other.name,
        other=own.name,
        before_ms=windows.after_ms,
        after_ms=windows.before_ms,
        outer=kind == "outer",
    )
    stores = [own.name, other.name, *((pending,) if pending else ())]
    nodes = [
        graph.add(left_side, [left.node], stores, f"{base}-join-this"),
        graph.add(right_side, [right.node], stores, f"{base}-join-other"),
    ]
    merged = graph.add(Merge(), nodes, name=f"{base}-join-merge")
    left.builder.copartition(merged, left, right)
    return Stream(left.builder, merged, left.sources | right.sources, key_serde)


def _window_store(
    joined: StreamJoined, supplier: Any, name: str, windows: JoinWindows, key_serde: Any, value_serde: Any
) -> StoreSpec:
    """One side's window store of duplicates; a supplier's own spans must fit the join's."""
    spec = StoreSpec(
        name,
        "window",
        key_serde=key_serde,
        value_serde=value_serde,
        logging=joined.logging,
        topic_config=dict(joined.topic_config),
        retention_ms=windows.retention_ms,
        window_ms=windows.size_ms,
        retain_duplicates=True,
    )
    if supplier is None:
        return spec
    given = supplier.spec
    if given.kind != "window" or (given.window_ms, given.retention_ms) != (spec.window_ms, spec.retention_ms):
        raise TopologyError(
            f"store {given.name} does not fit the join: it takes a window store of {spec.window_ms} ms windows, "
            f"kept for {spec.retention_ms} ms"
        )
    return spec.with_(name=given.name, backend=given.backend, rocksdb=given.rocksdb, max_bytes=given.max_bytes)


def _self_join(
    stream: Stream,
    joiner: Function,
    windows: JoinWindows,
    joined: StreamJoined,
    key_serde: Any,
    value_serde: Any,
    name: str,
) -> Stream:
    stream = _co_partitioned(stream, f"{joined.name or name}-left", key_serde, value_serde)
    store = _window_store(joined, joined.this_store, f"{name}-this-join-store", windows, key_serde, value_serde)
    stream.graph.add_store(store)
    operation = operations.SelfJoin(
        own=store.name,
        before_ms=windows.before_ms,
        after_ms=windows.after_ms,
        retention_ms=windows.retention_ms,
        joiner=joiner,
    )
    return stream.then(operation, stores=[store.name], key_serde=key_serde)


# -- tables ---------------------------------------------------------------------------------------------------------------


def join_table(kind: str, table: Table, other: Any, *arguments: Any, **options: Any) -> Table:
    """Join tables by key (`other, joiner, …`) or by a foreign key (`other, extractor, joiner, TableJoined, …`).

    The extractor can also be given by its name, `foreign_key=…`.
    """
    if not isinstance(other, Table):
        raise TopologyError(f"a table cannot join {other!r}: give a table")
    table.builder.check_same(other)
    named = [options.pop(word) for word in ("foreign_key", "extractor") if word in options]
    if named or len([a for a in arguments if callable(a)]) > 1:
        if kind == "outer":
            raise TopologyError("a foreign-key join is inner or left: there is no outer one")
        return join_foreign_key(kind, table, other, *named, *arguments, **options)
    return join_tables(kind, table, other, *arguments, **options)


class _JoinedTable(Table):
    """The result of a join: what it replaces is known only if both sides say what they replace."""

    sides: tuple[str, str] = ("", "")

    def send_old_values(self, *, force: bool = True) -> bool:
        """Let both sides join what they replace too."""
        if not super().send_old_values(force=force):
            return False
        for side in self.sides:
            operation: Any = self.graph.nodes[side].operation
            self.graph.replace_operation(side, replace(operation, send_old=True))
        return True


def join_tables(
    kind: str, left: Table, right: Table, joiner: Function, materialized: Materialized | str | None = None
) -> Table:
    """Join two tables by their key."""
    graph, materialized = left.graph, materialized_as(materialized)
    function = _joiner(joiner)
    left_view, right_view = left.view(), right.view()
    if kind != "inner":
        # Whether a tombstone matters depends on what was there before.
        left.send_old_values()
        right.send_old_values()
    spec = None
    if materialized is not None and materialized.name is not None:
        spec = graph.add_store(materialized.spec("key-value", key_serde=left.key_serde))
    left_side = operations.TableJoinSide(
        other=right_view,
        other_key_serde=right.key_serde or serdes.bytes,
        joiner=function,
        this_outer=kind in {"left", "outer"},
        other_outer=kind == "outer",
        versioned=left.versioned,
    )
    right_side = operations.TableJoinSide(
        other=left_view,
        other_key_serde=left.key_serde or serdes.bytes,
        joiner=lambda key, this, that: function(key, that, this),
        this_outer=kind == "outer",
        other_outer=kind in {"left", "outer"},
        versioned=right.versioned,
    )
    sides = (
        graph.add(left_side, [left.node], right_view.stores),
        graph.add(right_side, [right.node], left_view.stores),
    )
    store = None if spec is None else spec.name
    versioned = spec is not None and spec.kind == "versioned"
    merged = graph.add(operations.JoinedTable(store, versioned), sides, [store] if store else ())
    left.builder.copartition(merged, left, right)
    result = _JoinedTable(
        left.builder,
        merged,
        left.sources | right.sources,
        left.key_serde,
        None if spec is None else spec.value_serde,
        store=store,
        versioned=versioned,
        parents=(left, right),
        view=lambda: JoinView(left_view, right_view, function, kind),
    )
    result.sides = sides
    return result


def join_foreign_key(
    kind: str,
    left: Table,
    right: Table,
    extractor: Function,
    joiner: Function,
    joined: TableJoined | Joined | str | None = None,
    materialized: Materialized | str | None = None,
) -> Table:
    """Join each left row with the right row under the key that `extractor(value)` or `(key, value)` finds in it."""
    if isinstance(joined, Materialized):
        joined, materialized = None, joined
    joined, materialized = joined_as(TableJoined, joined, "a foreign-key join"), materialized_as(materialized)
    if joined.name is None:
        raise TopologyError("the topics and the store of a foreign-key join need a name: give TableJoined('…')")
    name, graph = joined.name, left.graph
    left_key, right_key = left.key_serde or serdes.bytes, right.key_serde or serdes.bytes
    left_serde, right_serde = _written_serde(left, name), _written_serde(right, name)
    left.send_old_values()
    extract = extractor if takes_key(extractor, "foreign-key extractor") else lambda _, value: extractor(value)
    subscriptions = graph.add_store(
        StoreSpec(f"{name}-subscription-store", value_serde=SubscriptionSerde(), timestamped=True)
    )
    subscribe = operations.ForeignKeySubscribe(
        extractor=extract,
        left=kind == "left",
        versioned=left.versioned,
        foreign_key_serde=right_key,
        key_serde=left_key,
        value_serde=left_serde,
    )
    node = graph.add(subscribe, [left.node], name=f"{name}-subscription-registration-processor")
    registration, response = f"{name}-subscription-registration-topic", f"{name}-subscription-response-topic"
    sink = Sink(
        registration, right_key, SubscriptionSerde(), internal=True, partitioner=_by_key(joined.other_partitioner)
    )
    graph.add(sink, [node], name=f"{name}-subscription-registration-sink")
    source = graph.add(
        Source((registration,), right_key, SubscriptionSerde(), internal=True),
        name=f"{name}-subscription-registration-source",
    )
    view = right.view()
    receive = operations.ForeignKeyReceive(
        subscriptions=subscriptions.name, table=view, foreign_key_serde=right_key, value_serde=right_serde
    )
    received = graph.add(receive, [source], [subscriptions.name, *view.stores], f"{name}-subscription-join-foreign")
    answer = operations.ForeignKeyAnswer(
        subscriptions=subscriptions.name,
        versioned=right.versioned,
        foreign_key_serde=right_key,
        value_serde=right_serde,
    )
    answered = graph.add(answer, [right.node], [subscriptions.name], f"{name}-foreign-join-subscription")
    back = Sink(
        response,
        serdes.bytes,
        AnswerSerde(),
        internal=True,
        partitioner=_by_key(joined.partitioner, left_key) or operations.home,
    )
    graph.add(back, [received, answered], name=f"{name}-subscription-response-sink")
    returned = graph.add(
        Source((response,), serdes.bytes, AnswerSerde(), internal=True), name=f"{name}-subscription-response-source"
    )
    left_view = left.view()
    resolve = operations.ForeignKeyResolve(
        table=left_view,
        joiner=_joiner(joiner),
        left=kind == "left",
        key_serde=left_key,
        value_serde=left_serde,
        right_serde=right_serde,
    )
    resolved = graph.add(resolve, [returned], left_view.stores, f"{name}-subscription-response-resolver")
    registered = Stream(left.builder, source, frozenset({source}))
    left.builder.copartition(received, registered, right)
    stream = Stream(left.builder, resolved, left.sources | {returned}, left.key_serde)
    left.builder.copartition(resolved, stream)
    spec_serde = None if materialized is None else materialized.value_serde
    return Table.from_updates(stream, TableSource, materialized, left.key_serde, spec_serde)


def _by_key(partitioner: Function | None, serde: Any = None) -> Function | None:
    """A table's partitioner for an internal topic of its keys (under `serde`, if they are bytes there): it sees no value."""
    if partitioner is None:
        return None
    return lambda topic, key, _, partitions: partitioner(
        topic, key if serde is None else serde.deserialize(key), None, partitions
    )


def _written_serde(table: Table, join: str) -> Any:
    """The serde of a table's values, which a foreign-key join writes whatever keeps them. Raises TopologyError if none is known."""
    if table.value_serde is not None:
        return table.value_serde
    nodes = table.graph.nodes
    made = nodes[table.node]
    while isinstance(made.operation, (TableFilter, TableSource)):
        made = nodes[made.parents[0]]
    if not isinstance(made.operation, Source):
        raise TopologyError(
            f"foreign-key join {join}: the serde of the values that {made.name} makes is not known: give it there, in "
            "Materialized('…', key_serde, value_serde)"
        )
    return serdes.bytes
