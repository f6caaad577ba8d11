"""Joins and windows of topics that nobody gave serdes for: bytes, as everywhere else."""

from __future__ import annotations

from typing import Any

import pytest

from engine import (
    Joined,
    JoinWindows,
    Materialized,
    Stores,
    StreamJoined,
    StreamsBuilder,
    Suppressed,
    TableJoined,
    TimeWindows,
    TopologyTestDriver,
)
from engine.errors import TopologyError


def both(one: bytes | None, other: bytes | None) -> bytes:
    return b"%s|%s" % (one or b"-", other or b"-")


def kept(name: str) -> Materialized:
    return Materialized(name, store="in-memory")


def looked_up(builder: StreamsBuilder) -> Any:
    return builder.stream("left").join(builder.table("right", materialized=kept("r")), both)


def looked_up_later(builder: StreamsBuilder) -> Any:
    table = builder.table("right", materialized=Materialized.as_(Stores.persistent_versioned("r", 1_000)))
    return builder.stream("left").join(table, both, Joined("later", grace_ms=10))


def looked_up_anywhere(builder: StreamsBuilder) -> Any:
    table = builder.global_table("right", materialized=kept("r"))
    return builder.stream("left").join(table, lambda _, value: value[:1], both)


def streams(builder: StreamsBuilder) -> Any:
    windows = JoinWindows.of(difference_ms=10, grace_ms=0)
    return builder.stream("left").left_join(builder.stream("right"), both, windows, StreamJoined("both"))


def tables(builder: StreamsBuilder) -> Any:
    left, right = (builder.table(topic, materialized=kept(topic)) for topic in ("left", "right"))
    return left.outer_join(right, both).to_stream()


def foreign(builder: StreamsBuilder) -> Any:
    left, right = (builder.table(topic, materialized=kept(topic)) for topic in ("left", "right"))
    wanted = right.filter(lambda _, value: value != b"no")
    return left.join(wanted, lambda value: value[:1], both, TableJoined("by-first")).to_stream()


@pytest.mark.parametrize("join", [looked_up, looked_up_later, looked_up_anywhere, streams, tables, foreign])
def test_topics_without_serdes_join_as_bytes(join: Any) -> None:
    builder = StreamsBuilder()
    join(builder).to("out")
    with TopologyTestDriver(builder.build()) as driver:
        driver.input_topic("right").pipe_batch([(b"k", b"R", 0)])
        driver.input_topic("left").pipe_batch([(b"k", b"kL", 1), (b"late", b"none", 100)])
        found = driver.output_topic("out").read_records()
    assert (b"k", b"kL|R") in [record[:2] for record in found]


def mapped(builder: StreamsBuilder) -> Any:
    return builder.table("left", materialized=kept("left")).map_values(len).filter(bool)


def joined(builder: StreamsBuilder) -> Any:
    return tables_of(builder, "a", "b").filter(bool)


def tables_of(builder: StreamsBuilder, *topics: str) -> Any:
    left, right = (builder.table(topic, materialized=kept(topic)) for topic in topics)
    return left.join(right, both)


@pytest.mark.parametrize("made", [mapped, joined])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_foreign_key_join_refuses_values_that_nobody_can_write(made: Any, side: str) -> None:
    builder = StreamsBuilder()
    unknown, plain = made(builder), builder.table("plain", materialized=kept("plain"))
    one, other = (unknown, plain) if side == "left" else (plain, unknown)
    with pytest.raises(
        TopologyError, match=r"join by-size: the serde of the values that KTABLE-\w+-\d+ makes is not known"
    ):
        one.join(other, bytes, both, TableJoined("by-size"))


def test_windows_of_topics_without_serdes_close() -> None:
    builder = StreamsBuilder()
    counts = builder.stream("in").group_by_key().windowed_by(TimeWindows.of(10, grace_ms=0)).count(kept("counts"))
    counts.suppress(Suppressed.until_window_closes(name="closed")).to_stream().to("out")
    with TopologyTestDriver(builder.build()) as driver:
        driver.input_topic("in").pipe_batch([(b"a", b"", 0), (b"a", b"", 9), (b"b", b"", 10)])
        found = driver.output_topic("out").read_records()
    assert [(key.key, key.start, count) for key, count, *_ in found] == [(b"a", 0, 2)]
