"""Ops that join."""

from typing import Any

from engine import serdes
from engine.topology.builder import StreamsBuilder
from engine.topology.options import Joined, Materialized, StreamJoined, TableJoined
from engine.topology.suppliers import Stores, StoreSupplier
from engine.topology.windows import JoinWindows
from tests.conformance.oracle.setup import (
    OUT,
    TEXT,
    Setup,
    head,
    joiner,
    key_value_rows,
    op,
    source_table,
    store_option,
    write_texts,
)

TABLE = Setup("table", key_value_rows)
SPANS = "before_ms after_ms grace_ms store"


def join_windows(params: dict[str, Any]) -> JoinWindows:
    return JoinWindows(params["before_ms"], params["after_ms"], params.get("grace_ms", 0))


def stream_joined(kind: str, params: dict[str, Any], **options: Any) -> StreamJoined:
    """The join's stores, in memory if the case says so, under the names that Kafka Streams gives them."""
    this, other = {
        "inner": ("this", "other"),
        "left": ("this", "outer-other"),
        "outer": ("outer-this", "outer-other"),
    }[kind]
    suppliers: dict[str, StoreSupplier] = {}
    if store_option(params) == "in-memory":
        windows = join_windows(params)
        for part, name in (("this_store", this), ("other_store", other)):
            suppliers[part] = Stores.in_memory_window(
                f"join-{name}-join-store", windows.retention_ms, windows.size_ms, retain_duplicates=True
            )
    return StreamJoined("join", serdes.string, serdes.string, serdes.string, **suppliers, **options)


def fk(value: str | None) -> str | None:
    """The part after the first `|`; None without one, or when nothing follows it."""
    if value is None or "|" not in value:
        return None
    return value.split("|", 1)[1] or None


def _stream_stream(kind: str, builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    left, right = builder.stream("L", TEXT), builder.stream("R", TEXT)
    join = {"inner": left.join, "left": left.left_join, "outer": left.outer_join}[kind]
    join(right, joiner, join_windows(params), stream_joined(kind, params)).to("out", OUT)
    return Setup()


def _stream_table(kind: str, builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    stream = builder.stream("L", TEXT)
    table = source_table(
        builder, "R", "table", versioned=params.get("versioned", False), history_ms=params.get("history_ms")
    )
    joined = Joined("join", serdes.string, serdes.string, serdes.string, grace_ms=params.get("grace_ms"))
    (stream.join if kind == "inner" else stream.left_join)(table, joiner, joined).to("out", OUT)
    return TABLE


def _stream_global(kind: str, builder: StreamsBuilder, _params: dict[str, Any]) -> Setup:
    stream = builder.stream("L", TEXT)
    table = builder.global_table("G", TEXT, Materialized("table"))
    join = stream.join if kind == "inner" else stream.left_join
    join(table, lambda _, value: head(value), joiner).to("out", OUT)
    return TABLE


def _sides(builder: StreamsBuilder, params: dict[str, Any]) -> Any:
    history = params.get("history_ms")
    return (
        source_table(builder, "L", "left", versioned=params.get("left_versioned", False), history_ms=history),
        source_table(builder, "R", "right", versioned=params.get("right_versioned", False), history_ms=history),
    )


def _kept(params: dict[str, Any]) -> Materialized | None:
    return Materialized("store", serdes.string, serdes.string) if params.get("materialize") else None


def _table_table(kind: str, builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    left, right = _sides(builder, params)
    join = {"inner": left.join, "left": left.left_join, "outer": left.outer_join}[kind]
    write_texts(join(right, joiner, _kept(params)))
    return Setup("store", key_value_rows)


def _foreign_key(kind: str, builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    left, right = _sides(builder, params)
    join = left.join if kind == "inner" else left.left_join
    write_texts(join(right, fk, joiner, TableJoined("fk"), _kept(params)))
    return Setup("store", key_value_rows)


def _register(prefix: str, kinds: str, build: Any, params: str) -> None:
    for kind in kinds.split():
        op(f"{prefix}-{kind}", params=params)(lambda builder, given, kind=kind: build(kind, builder, given))


_register("ss", "inner left outer", _stream_stream, f"{SPANS} emit_interval_ms")
_register("st", "inner left", _stream_table, "versioned history_ms grace_ms")
_register("gt", "inner left", _stream_global, "")
_register("tt", "inner left outer", _table_table, "left_versioned right_versioned history_ms materialize")
_register("fk", "inner left", _foreign_key, "left_versioned right_versioned history_ms materialize")


@op("self-inner", params=f"{SPANS} optimized emit_interval_ms")
def self_inner(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    stream = builder.stream("in", TEXT)
    joined = stream_joined("inner", params, single_store=params.get("optimized", False))
    stream.join(stream, joiner, join_windows(params), joined).to("out", OUT)
    return Setup()
