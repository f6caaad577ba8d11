"""Joins against brute force: plain lists and dicts on random out-of-order input.

Nothing expires while the input lasts (the grace is longer than it); a last record far in the future closes every window.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import (
    Consumed,
    Joined,
    JoinWindows,
    Materialized,
    Produced,
    Stores,
    StreamJoined,
    TopologyTestDriver,
    serdes,
)

TEXT = serdes.string
GRACE_MS = 1_000
FAR_MS = 100_000
EXAMPLES = settings(max_examples=500, deadline=None)
METHODS = {"inner": "join", "left": "left_join", "outer": "outer_join"}

Row = tuple[str, str, int]  # key, value, time
times = st.integers(0, 60)
keys = st.sampled_from("abc")


@st.composite
def streams(draw: Any) -> list[tuple[str, str, str, int]]:
    """(side, key, value, time) in order of arrival; every value is told apart."""
    arrivals = draw(st.lists(st.tuples(st.sampled_from("LR"), keys, times), max_size=14))
    return [(side, key, f"{side.lower()}{number}", time) for number, (side, key, time) in enumerate(arrivals)]


def joined(left: str | None, right: str | None) -> str:
    return f"{left}|{right}"


def expected_stream_join(
    rows: list[tuple[str, str, str, int]], kind: str, before: int, after: int
) -> tuple[list[Row], list[Row]]:
    """What each arrival brings about, and what is left without a match when all windows close."""
    seen: dict[str, list[Row]] = {"L": [], "R": []}
    out: list[Row] = []
    waiting: list[tuple[str, Row]] = []
    for side, key, value, time in rows:
        other = "R" if side == "L" else "L"
        earliest, latest = (time - before, time + after) if side == "L" else (time - after, time + before)
        # Stable: of the same time, the first to arrive comes first.
        matches = sorted((r for r in seen[other] if r[0] == key and earliest <= r[2] <= latest), key=lambda r: r[2])
        for _, match, at in matches:
            pair = (value, match) if side == "L" else (match, value)
            out.append((key, joined(*pair), max(time, at)))
            # A match takes every waiting value of that side, key and time with it.
            waiting = [w for w in waiting if (w[0], w[1][0], w[1][2]) != (other, key, at)]
        if not matches and (kind == "outer" or (kind == "left" and side == "L")):
            stream_time = max([time, *(r[2] for s in seen.values() for r in s)])
            if latest < stream_time:
                pair = (value, None) if side == "L" else (None, value)
                out.append((key, joined(*pair), time))
            else:
                waiting.append((side, (key, value, time)))
        seen[side].append((key, value, time))
    ordered = sorted(waiting, key=lambda w: (w[1][2], w[0] == "L", w[1][0].encode()))
    return out, [
        (key, joined(value, None) if side == "L" else joined(None, value), time) for side, (key, value, time) in ordered
    ]


@pytest.mark.parametrize("kind", ["inner", "left", "outer"])
def test_streams_join_as_lists_do(kind: str) -> None:
    @EXAMPLES
    @given(rows=streams(), before=st.integers(0, 20), after=st.integers(0, 20))
    def holds(rows: list[tuple[str, str, str, int]], before: int, after: int) -> None:
        windows = JoinWindows(before, after, GRACE_MS)
        names = {"inner": ("this", "other"), "left": ("this", "outer-other"), "outer": ("outer-this", "outer-other")}
        own, other = (
            Stores.in_memory_window(f"join-{name}-join-store", windows.retention_ms, windows.size_ms)
            for name in names[kind]
        )

        def build(builder: Any) -> None:
            left = builder.stream("L", Consumed(TEXT, TEXT))
            right = builder.stream("R", Consumed(TEXT, TEXT))
            how = StreamJoined("join", TEXT, TEXT, TEXT, this_store=own, other_store=other)
            getattr(left, METHODS[kind])(right, joined, windows, how).to("out", Produced(TEXT, TEXT))

        each, late = expected_stream_join(rows, kind, before, after)
        with TopologyTestDriver(build) as driver:
            for side, key, value, time in rows:
                driver.input_topic(side).pipe(key, value, time)
            out = driver.output_topic("out")
            assert [tuple(r)[:3] for r in out.read_records()] == each
            driver.input_topic("L").pipe("closes", "all", FAR_MS)
            assert [tuple(r)[:3] for r in out.read_records()] == late

    holds()


@st.composite
def updates(draw: Any) -> list[tuple[str, str, str | None]]:
    """(side, key, value or tombstone) in order."""
    arrivals = draw(st.lists(st.tuples(st.sampled_from("LR"), keys, st.booleans()), max_size=16))
    return [(side, key, f"{side.lower()}{n}" if kept else None) for n, (side, key, kept) in enumerate(arrivals)]


@pytest.mark.parametrize("kind", ["inner", "left"])
def test_a_stream_looks_rows_up_as_in_a_dict(kind: str) -> None:
    @EXAMPLES
    @given(rows=updates())
    def holds(rows: list[tuple[str, str, str | None]]) -> None:
        def build(builder: Any) -> None:
            table = builder.table(
                "R", Consumed(TEXT, TEXT), Materialized.as_(Stores.in_memory_key_value("rows"), TEXT, TEXT)
            )
            stream = builder.stream("L", Consumed(TEXT, TEXT))
            getattr(stream, METHODS[kind])(table, joined, Joined("join")).to("out", Produced(TEXT, TEXT))

        table: dict[str, str] = {}
        expected = []
        for number, (side, key, value) in enumerate(rows):
            if side == "R":
                table.pop(key, None)
                table.update({key: value} if value is not None else {})
            elif value is not None and (key in table or kind == "left"):
                expected.append((key, joined(value, table.get(key)), number))
        with TopologyTestDriver(build) as driver:
            driver.pipe_all([(side, key, value, number) for number, (side, key, value) in enumerate(rows)])
            assert [tuple(r)[:3] for r in driver.output_topic("out").read_records()] == expected

    holds()


@pytest.mark.parametrize("kind", ["inner", "left", "outer"])
def test_joined_tables_end_as_two_dicts_do(kind: str) -> None:
    @EXAMPLES
    @given(rows=updates())
    def holds(rows: list[tuple[str, str, str | None]]) -> None:
        def build(builder: Any) -> None:
            left, right = (
                builder.table(
                    side, Consumed(TEXT, TEXT), Materialized.as_(Stores.in_memory_key_value(f"rows-{side}"), TEXT, TEXT)
                )
                for side in "LR"
            )
            getattr(left, METHODS[kind])(right, joined).to_stream().to("out", Produced(TEXT, TEXT))

        tables: dict[str, dict[str, str]] = {"L": {}, "R": {}}
        for side, key, value in rows:
            tables[side].pop(key, None)
            tables[side].update({key: value} if value is not None else {})
        lefts, rights = tables["L"], tables["R"]
        expected = {
            key: joined(lefts.get(key), rights.get(key))
            for key in lefts.keys() | rights.keys()
            if (key in lefts or kind == "outer") and (key in rights or kind != "inner")
        }
        with TopologyTestDriver(build) as driver:
            for number, (side, key, value) in enumerate(rows):
                driver.input_topic(side).pipe(key, value, number)
            folded: dict[str, str] = {}
            for record in driver.output_topic("out").read_records():
                folded.pop(record.key, None)
                folded.update({record.key: record.value} if record.value is not None else {})
            assert folded == expected

    holds()
