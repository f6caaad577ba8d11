"""Records without a key at a repartition: dropped there, unless a join below emits them (KIP-962)."""

from __future__ import annotations

from typing import Any

import pytest

from engine import (
    Consumed,
    Grouped,
    Joined,
    JoinWindows,
    Materialized,
    Produced,
    Repartitioned,
    StreamJoined,
    StreamsBuilder,
    TopologyTestDriver,
    serdes,
)

TEXT = serdes.string
TEXTS = Consumed(TEXT, TEXT)
OUT = Produced(TEXT, TEXT)
WINDOWS = JoinWindows.of(5, grace_ms=0)
BOTH = StreamJoined("j", TEXT, TEXT, TEXT)


def both(left: Any, right: Any) -> str:
    return f"{left}|{right}"


def kept(name: str) -> Materialized:
    return Materialized(name, TEXT, TEXT, store="in-memory")


def keyless(builder: StreamsBuilder, topic: str = "in") -> Any:
    return builder.stream(topic, TEXTS).select_key(lambda _, value: None if value == "x" else value)


def by_hand(builder: StreamsBuilder) -> Any:
    return keyless(builder).repartition(Repartitioned("r", TEXT, TEXT))


def right(builder: StreamsBuilder) -> Any:
    return builder.stream("right", TEXTS)


TAKEN = {
    "left with a table": lambda b: keyless(b).left_join(b.table("t", TEXTS, kept("t")), both, Joined("j", TEXT, TEXT)),
    "left with a table, repartitioned by hand": lambda b: by_hand(b).left_join(b.table("t", TEXTS, kept("t")), both),
    "left with a global table": lambda b: by_hand(b).left_join(
        b.global_table("t", TEXTS, kept("t")), lambda key, _: key, both
    ),
    "left of a left stream join": lambda b: keyless(b).left_join(right(b), both, WINDOWS, BOTH),
    "left of an outer stream join": lambda b: by_hand(b).outer_join(right(b), both, WINDOWS, BOTH),
    "through another topic": lambda b: (
        by_hand(b)
        .map_values(str)
        .repartition(Repartitioned("again", TEXT, TEXT))
        .left_join(b.table("t", TEXTS, kept("t")), both)
    ),
}
DROPPED = {
    "inner with a table": lambda b: by_hand(b).join(b.table("t", TEXTS, kept("t")), both),
    "inner of streams": lambda b: by_hand(b).join(right(b), both, WINDOWS, BOTH),
    "no join": by_hand,
    "a join beside it": lambda b: (by_hand(b), right(b).left_join(b.table("t", TEXTS, kept("t")), both))[0],
}


def driven(build: Any) -> tuple[list[Any], int]:
    builder = StreamsBuilder()
    build(builder).to("out", OUT)
    with TopologyTestDriver(builder.build()) as driver:
        driver.input_topic("in").pipe("k", "x", 1)
        found = driver.output_topic("out", TEXT, TEXT).read_records()
        return [record[:2] for record in found], driver.dropped_records_total


@pytest.mark.parametrize("build", TAKEN.values(), ids=TAKEN)
def test_a_join_that_emits_them_gets_them_however_far_above_the_topic_is(build: Any) -> None:
    assert driven(build) == ([(None, "x|None")], 0)


@pytest.mark.parametrize("build", DROPPED.values(), ids=DROPPED)
def test_elsewhere_they_go_uncounted(build: Any) -> None:
    assert driven(build) == ([], 0)


def test_on_the_other_side_of_a_left_join_they_are_counted() -> None:
    assert driven(lambda b: right(b).left_join(keyless(b), both, WINDOWS, BOTH)) == ([], 1)


def test_an_aggregation_above_such_a_join_counts_them() -> None:
    def build(builder: StreamsBuilder) -> Any:
        counts = keyless(builder).group_by_key(Grouped("g", TEXT, TEXT)).count(Materialized("c"))
        table = builder.table("t", TEXTS, kept("t"))
        return counts.to_stream().map_values(str).left_join(table, both, Joined("j", TEXT, TEXT))

    assert driven(build) == ([], 1)
