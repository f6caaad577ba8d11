"""Ops that map one table to another."""

from typing import Any

from engine import serdes
from engine.topology.builder import StreamsBuilder
from engine.topology.options import Materialized
from engine.topology.table import Table
from tests.conformance.oracle.setup import TEXT, Setup, key_value_rows, op, source_table, write_texts

ROWS = Setup("store", key_value_rows)


def _table(builder: StreamsBuilder, params: dict[str, Any]) -> Table:
    return source_table(
        builder, "in", "table", versioned=params.get("versioned", False), history_ms=params.get("history_ms")
    )


def _kept(params: dict[str, Any]) -> Materialized | None:
    return Materialized("store", serdes.string, serdes.string) if params.get("materialize") else None


@op("table-filter", params="versioned history_ms materialize not")
def table_filter(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    table = _table(builder, params)
    choose = table.filter_not if params.get("not") else table.filter
    write_texts(choose(lambda _, value: value.startswith("a"), _kept(params)))
    return ROWS


@op("table-mapvalues", params="versioned history_ms materialize")
def table_map_values(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_table(builder, params).map_values(str.upper, _kept(params)))
    return ROWS


@op("to-table")
def to_table(builder: StreamsBuilder, _params: dict[str, Any]) -> Setup:
    write_texts(builder.stream("in", TEXT).to_table(Materialized("store")))
    return ROWS
