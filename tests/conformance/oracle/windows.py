"""Ops that fold within windows, cogroups, and suppression."""

import json
from dataclasses import replace
from typing import Any

from engine import serdes
from engine.topology.builder import StreamsBuilder
from engine.topology.options import Grouped, Materialized
from engine.topology.suppressed import BufferConfig, Suppressed
from engine.topology.table import Table
from engine.topology.windows import EmitStrategy, SessionWindows, SlidingWindows, TimeWindows
from tests.conformance.oracle.setup import (
    OUT,
    TEXT,
    Setup,
    add,
    key_value_rows,
    null_text,
    op,
    plus,
    session_rows,
    store_option,
    text,
    window_rows,
    write_texts,
    zero,
)

BUFFER = frozenset({"suppress-store-changelog"})
SIZES = "size_ms advance_ms diff_ms gap_ms grace_ms"


def windows_of(kind: str, params: dict[str, Any]) -> TimeWindows | SlidingWindows | SessionWindows:
    grace = params.get("grace_ms", 0)
    if kind == "session":
        return SessionWindows.of(gap_ms=params["gap_ms"], grace_ms=grace)
    if kind == "sliding":
        return SlidingWindows.of(difference_ms=params["diff_ms"], grace_ms=grace)
    advance = params["advance_ms"] if kind == "hopping" else params["size_ms"]
    return TimeWindows.of(size_ms=params["size_ms"], advance_ms=advance, grace_ms=grace)


def merge(_key: Any, one: str, other: str) -> str:
    return f"{null_text(one)}~{null_text(other)}"


def _setup(kind: str) -> Setup:
    return Setup("store", session_rows if kind == "session" else window_rows, keys_are_json=True)


def _materialized(params: dict[str, Any], value_serde: Any) -> Materialized:
    return Materialized(
        "store", serdes.string, value_serde, retention_ms=params.get("retention_ms"), store=store_option(params)
    )


def write_windows(table: Table) -> None:
    """The table's changes to `out`, keys as JSON, values as text."""
    stream = table.to_stream()
    shown = stream.map(lambda key, value: (json.dumps([key.key, key.start, key.end]), text(value)))
    shown.to("out", OUT)


def _aggregated(windowed: Any, kind: str, params: dict[str, Any]) -> Table:
    how = params.get("agg", "count")
    if how == "count":
        return windowed.count(_materialized(params, serdes.int64))
    if how == "reduce":
        return windowed.reduce(plus, _materialized(params, serdes.string))
    assert how == "aggregate"
    functions = (zero, add, merge) if kind == "session" else (zero, add)
    return windowed.aggregate(*functions, _materialized(params, serdes.string))


def _windowed(builder: StreamsBuilder, kind: str, params: dict[str, Any]) -> Setup:
    windowed = builder.stream("in", TEXT).group_by_key().windowed_by(windows_of(kind, params))
    emit = params.get("emit", "update")
    assert emit in {"update", "close"}
    if emit == "close":
        windowed = windowed.emit_strategy(EmitStrategy.on_window_close)
    write_windows(_aggregated(windowed, kind, params))
    return _setup(kind)


for _kind in ("tumbling", "hopping", "sliding", "session"):
    op(_kind, params=f"{SIZES} agg emit store emit_interval_ms retention_ms")(
        lambda builder, params, kind=_kind: _windowed(builder, kind, params)
    )


@op("cogroup", params=f"window {SIZES}")
def cogroup(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    def adding(side: str) -> Any:
        return lambda _, value, aggregate: f"{aggregate}+{side}{null_text(value)}"

    kind = params["window"]
    left, right = (builder.stream(topic, TEXT).group_by_key() for topic in ("A", "B"))
    group = left.cogroup(adding("A")).cogroup(right, adding("B"))
    kept = Materialized("store", serdes.string, serdes.string)
    if kind == "none":
        write_texts(group.aggregate(zero, kept))
        return Setup("store", key_value_rows)
    functions = (zero, merge) if kind == "session" else (zero,)
    write_windows(group.windowed_by(windows_of(kind, params)).aggregate(*functions, kept))
    return _setup(kind)


@op("suppress-close", params=f"window {SIZES} store")
def suppress_close(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    kind = params["window"]
    windowed = builder.stream("in", TEXT).group_by_key().windowed_by(windows_of(kind, params))
    counts = windowed.count(_materialized(params, serdes.int64))
    write_windows(counts.suppress(Suppressed.until_window_closes(BufferConfig.unbounded()).with_name("suppress")))
    return replace(_setup(kind), logs_at_commit=BUFFER)


@op("suppress-limit", params="limit_ms max_records count")
def suppress_limit(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    buffer = BufferConfig.unbounded()
    if params.get("max_records") is not None:
        buffer = BufferConfig.max_records(params["max_records"]).emit_early_when_full()
    if params.get("count"):
        source = builder.table("in", TEXT, Materialized("in-STATE-STORE-0000000000"))
        group = source.group_by(lambda _, value: (value, value), Grouped("group", serdes.string, serdes.string))
        table = group.count(Materialized("store", serdes.string, serdes.int64))
    else:
        table = builder.table("in", TEXT, Materialized("store"))
    limit = Suppressed.until_time_limit(limit_ms=params["limit_ms"], buffer=buffer, name="suppress")
    write_texts(table.suppress(limit))
    return Setup("store", key_value_rows, logs_at_commit=BUFFER)
