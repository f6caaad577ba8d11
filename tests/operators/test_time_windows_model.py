"""Tumbling and hopping windows against a model that looks at every record and every window there could be."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import serdes
from engine.topology.stores import StoreSpec
from engine.topology.window_operations import TimeWindowedAggregate
from engine.topology.windowed import add_one, zero
from engine.topology.windows import EmitStrategy, TimeWindows

from .lone_operator import LoneOperator, Row, last_of_each, one_by_one

rows = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", None]), st.integers(0, 80)), max_size=25)
modes = st.sampled_from(["each", "batch"])


@st.composite
def time_windows(draw: Any) -> TimeWindows:
    size = draw(st.integers(1, 20))
    return TimeWindows(size, draw(st.integers(1, size)), draw(st.integers(0, 30)))


def chain(_key: str, value: str | None, seen: str) -> str:
    return f"{seen}{value or '-'}"


def operator(windows: TimeWindows, *, count: bool = False, caching: bool = False, emit: str = "update") -> LoneOperator:
    spec = StoreSpec(
        "windows",
        "window",
        "memory",
        serdes.string,
        serdes.int64 if count else serdes.string,
        timestamped=True,
        caching=caching,
        retention_ms=windows.retention_ms + (1_000 if emit == "close" else 0),
        window_ms=windows.size_ms,
        emit_final=emit == "close",
    )
    operation = TimeWindowedAggregate(
        "windows",
        zero if count else str,
        add_one if count else chain,
        emit=EmitStrategy(emit),
        holds_back=True,
        counts=count,
        windows=windows,
    )
    return LoneOperator(operation, spec, caching=caching)


def model(windows: TimeWindows, records: list[Row]) -> tuple[list[Any], int, list[Any]]:
    """Updates, dropped records and the windows in the order in which they close, from the definitions alone."""
    folded: dict[tuple[str, int], tuple[str, int]] = {}
    updates, dropped, newest = [], 0, -1
    for key, value, time in records:
        newest = max(newest, time)
        for start in range(0, time + 1, windows.advance_ms):
            end = start + windows.size_ms
            if time >= end:
                continue
            if end <= newest - windows.grace_ms:
                dropped += 1
                continue
            seen, at = folded.get((key, start), ("", -1))
            folded[key, start] = (chain(key, value, seen), max(at, time))
            updates.append(((key, start, end), *folded[key, start]))
    closed = [
        ((key, start, start + windows.size_ms), *folded[key, start])
        for start, key in sorted((start, key) for key, start in folded)
        if start + windows.size_ms <= newest - windows.grace_ms
    ]
    return updates, dropped, closed


@settings(max_examples=500, deadline=None)
@given(time_windows(), rows, modes)
def test_every_update_is_the_models(windows: TimeWindows, records: list[Row], mode: str) -> None:
    tested = operator(windows)
    found = tested.feed(records) if mode == "batch" else one_by_one(tested, records)
    updates, dropped, _ = model(windows, records)
    assert [(tuple(key), new, at) for key, new, _, at in found] == updates
    assert tested.context.dropped_records == dropped


@settings(max_examples=500, deadline=None)
@given(time_windows(), rows, modes)
def test_on_close_each_window_comes_out_once_in_order(windows: TimeWindows, records: list[Row], mode: str) -> None:
    tested = operator(windows, emit="close")
    found = tested.feed(records) if mode == "batch" else one_by_one(tested, records)
    assert [(tuple(key), new, at) for key, new, _, at in found] == model(windows, records)[2]


@settings(max_examples=500, deadline=None)
@given(time_windows(), st.lists(rows, max_size=4), st.sampled_from(["count", "chain"]))
def test_a_cache_only_leaves_out_what_was_superseded(windows: TimeWindows, commits: list[list[Row]], kind: str) -> None:
    count = kind == "count"
    plain, cached = operator(windows, count=count), operator(windows, count=count, caching=True)
    known: dict[Any, Any] = {}
    for records in commits:
        before = dict(known)
        expected = last_of_each(plain.feed(records), known)
        assert cached.feed(records) == []
        found = cached.commit()
        plain.commit()
        assert [(key, new, at) for key, new, _, at in found] == expected
        assert [old for _, _, old, _ in found] == [before.get(key) for key, _, _ in expected]
    assert cached.context.dropped_records == plain.context.dropped_records


def test_an_aggregator_may_change_what_it_is_given() -> None:
    windows = TimeWindows.of(size_ms=10)
    spec = StoreSpec(
        "windows",
        "window",
        "memory",
        serdes.string,
        serdes.json,
        timestamped=True,
        retention_ms=10,
        window_ms=10,
    )

    def append(_key: str, value: str, seen: list[str]) -> list[str]:
        seen.append(value)
        return seen

    tested = LoneOperator(TimeWindowedAggregate("windows", list, append, windows=windows), spec)
    found = tested.feed([("a", "x", 1), ("a", "y", 2), ("a", "z", 3)])
    assert [(new, old) for _, new, old, _ in found] == [
        (["x"], []),
        (["x", "y"], ["x"]),
        (["x", "y", "z"], ["x", "y"]),
    ]
