"""Aggregates without windows: a record that is skipped has no effect, however the records fell into batches."""

from __future__ import annotations

from typing import Any

import pytest

from engine import Consumed, Materialized, Stores, StreamsBuilder, TopologyTestDriver, serdes

from .skipping import Skips

LISTS = Consumed(serdes.string, serdes.json)
KEPT = Materialized("s", serdes.string, serdes.json, store="in-memory")
ROWS = [("k", [1], 1), ("l", [2], 2), ("k", ["bad"], 3), ("l", [4], 4), ("k", [5], 5), ("m", ["bad"], 6)]


def extended(seen: list[Any], value: list[Any]) -> list[Any]:
    """The list it was given, with more in it; what is bad raises when it is in it already."""
    seen.extend(value)
    if value == ["bad"]:
        raise ValueError(value)
    return seen


def aggregated(builder: StreamsBuilder) -> None:
    grouped = builder.stream("in", LISTS).group_by_key()
    table = grouped.aggregate(list, lambda _, value, seen: extended(seen, value), KEPT)
    table.to_stream().to("out")


def reduced(builder: StreamsBuilder) -> None:
    builder.stream("in", LISTS).group_by_key().reduce(extended, KEPT).to_stream().to("out")


@pytest.mark.parametrize(
    ("build", "first_of_m", "skipped"),
    [(aggregated, None, ["k", "m"]), (reduced, ["bad"], ["k"])],  # a reducer is not called for the first value
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_call_that_changed_its_aggregate_and_raised_has_no_effect(
    build: Any, first_of_m: Any, skipped: list[str], *, whole: bool
) -> None:
    handlers = Skips()
    expected: list[tuple[str, Any, int]] = [("l", [2, 4], 4), ("k", [1, 5], 5)]
    if first_of_m is not None:
        expected.append(("m", first_of_m, 6))
    with TopologyTestDriver(build, caching=True, handlers=handlers) as driver:
        records = driver.input_topic("in")
        for rows in [ROWS] if whole else [[row] for row in ROWS]:
            records.pipe_batch(rows)
        driver.commit()
        out = driver.output_topic("out", serdes.string, serdes.json).read_records()
        assert [record[:3] for record in out] == expected
        kept = {key: (value.value, value.timestamp) for key, value in driver.store("s").all()}
        assert kept == {key: (value, time) for key, value, time in expected}
        logged = [
            (serdes.string.deserialize(sent.key), serdes.json.deserialize(sent.value), sent.timestamp)
            for sent in driver.changelog("test-s-changelog")
        ]
        assert sorted(logged) == sorted(expected)
    assert handlers.keys == skipped


@pytest.mark.parametrize("may_skip", [True, False])
def test_where_no_record_can_be_skipped_a_call_gets_the_aggregate_itself(*, may_skip: bool) -> None:
    calls: list[tuple[list[Any], list[Any]]] = []  # what each was given, and what it returned

    def appended(_key: str, value: list[Any], seen: list[Any]) -> list[Any]:
        calls.append((seen, [*seen, *value]))
        return calls[-1][1]

    def build(builder: StreamsBuilder) -> None:
        builder.stream("in", LISTS).group_by_key().aggregate(list, appended, KEPT).to_stream().to("out")

    with TopologyTestDriver(build, caching=True, handlers=Skips() if may_skip else None) as driver:
        driver.input_topic("in").pipe_batch([("k", [1], 1), ("k", [2], 2)])
    assert calls[1][0] == [1]
    assert (calls[1][0] is calls[0][1]) is not may_skip


def counted_in_lru(builder: StreamsBuilder) -> None:
    recent = Materialized.as_(Stores.lru_map("s", 2))
    builder.stream("in", LISTS).group_by_key().count(recent).to_stream().to("out")


def kept_in_lru(builder: StreamsBuilder) -> None:
    recent = Materialized.as_(Stores.lru_map("s", 2), serdes.string, serdes.json)
    builder.table("in", LISTS, recent).to_stream().to("out")


@pytest.mark.parametrize("whole", [True, False])
def test_an_lru_map_tells_of_every_key_that_one_commit_touched(*, whole: bool) -> None:
    """As Kafka Streams does without a record cache: what is evicted starts from nothing."""
    rows = [("a", [0], 1), ("b", [0], 2), ("c", [0], 3), ("c", [0], 4), ("a", [0], 5)]
    for build, values in ((counted_in_lru, [1, 1, 1, 2, 1]), (kept_in_lru, [[0]] * 5)):
        with TopologyTestDriver(build, caching=True) as driver:
            records = driver.input_topic("in")
            for part in [rows] if whole else [[row] for row in rows]:
                records.pipe_batch(part)
            driver.commit()
            out = driver.output_topic("out").read_records()
            logged = [(sent.key, sent.value is None, sent.timestamp) for sent in driver.changelog("test-s-changelog")]
            assert [(key, value.value) for key, value in driver.store("s").all()] == [
                ("a", values[4]),
                ("c", values[3]),
            ]
        assert [(record.key, record.timestamp) for record in out] == [(key, timestamp) for key, _, timestamp in rows]
        # Evictions are logged before the put that caused them, at its time.
        assert logged == [
            (b"a", False, 1),
            (b"b", False, 2),
            (b"a", True, 3),
            (b"c", False, 3),
            (b"c", False, 4),
            (b"b", True, 5),
            (b"a", False, 5),
        ]
