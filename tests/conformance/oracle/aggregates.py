"""Ops that fold without windows."""

from typing import Any

from engine import serdes
from engine.topology.builder import StreamsBuilder
from engine.topology.grouped import GroupedStream
from engine.topology.options import Grouped, Materialized
from tests.conformance.oracle.setup import (
    TEXT,
    Setup,
    add,
    head,
    key_value_rows,
    minus,
    op,
    plus,
    source_table,
    store_option,
    subtract,
    write_texts,
    zero,
)

ROWS = Setup("store", key_value_rows)


def _grouped(builder: StreamsBuilder, params: dict[str, Any]) -> GroupedStream:
    stream = builder.stream("in", TEXT)
    if params.get("group_by", "key") == "key":
        return stream.group_by_key()
    return stream.group_by(lambda _, value: head(value), Grouped(None, serdes.string, serdes.string))


def _counts(params: dict[str, Any]) -> Materialized:
    return Materialized("store", serdes.string, serdes.int64, store=store_option(params))


def _texts(params: dict[str, Any]) -> Materialized:
    return Materialized("store", serdes.string, serdes.string, store=store_option(params))


@op("count", params="group_by store")
def count(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_grouped(builder, params).count(_counts(params)))
    return ROWS


@op("reduce", params="group_by store")
def reduce(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_grouped(builder, params).reduce(plus, _texts(params)))
    return ROWS


@op("aggregate", params="group_by store")
def aggregate(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_grouped(builder, params).aggregate(zero, add, _texts(params)))
    return ROWS


@op("selectkey-count")
def select_key_count(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    stream = builder.stream("in", TEXT).select_key(lambda _, value: head(value))
    write_texts(stream.group_by_key(Grouped(None, serdes.string, serdes.string)).count(_counts(params)))
    return ROWS


def _grouped_table(builder: StreamsBuilder, params: dict[str, Any]) -> Any:
    table = source_table(
        builder, "in", "table", versioned=params.get("versioned", False), history_ms=params.get("history_ms")
    )
    return table.group_by(lambda _, value: (head(value), value), Grouped("group", serdes.string, serdes.string))


@op("table-count", params="versioned history_ms")
def table_count(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_grouped_table(builder, params).count(_counts(params)))
    return ROWS


@op("table-reduce", params="versioned history_ms")
def table_reduce(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_grouped_table(builder, params).reduce(plus, minus, _texts(params)))
    return ROWS


@op("table-aggregate", params="versioned history_ms")
def table_aggregate(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    write_texts(_grouped_table(builder, params).aggregate(zero, add, subtract, _texts(params)))
    return ROWS
