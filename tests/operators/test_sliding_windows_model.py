"""Sliding windows against their definition: where nothing is late, each window holds exactly the records within it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import serdes
from engine.topology.stores import StoreSpec
from engine.topology.window_operations import SlidingWindowedAggregate
from engine.topology.windows import EmitStrategy, SlidingWindows

from .lone_operator import LoneOperator, Row, last_of_each, one_by_one

rows = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 80)), max_size=25)
FOR_EVER_MS = 10_000_000
modes = st.sampled_from(["each", "batch"])


def chain(_key: str, value: str, seen: str) -> str:
    return f"{seen}{value}"


def operator(windows: SlidingWindows, *, caching: bool = False, emit: str = "update") -> LoneOperator:
    spec = StoreSpec(
        "windows",
        "window",
        "memory",
        serdes.string,
        serdes.string,
        timestamped=True,
        caching=caching,
        retention_ms=FOR_EVER_MS,
        window_ms=windows.size_ms,
        emit_final=emit == "close",
    )
    operation = SlidingWindowedAggregate(
        "windows", str, chain, emit=EmitStrategy(emit), holds_back=True, windows=windows
    )
    return LoneOperator(operation, spec, caching=caching)


def definition(difference: int, records: list[Row]) -> dict[Any, tuple[str, int]]:
    """Each window that must exist, with the sorted values within it and their newest time."""
    found: dict[Any, tuple[str, int]] = {}
    for key in "ab":
        own = [(time, value) for k, value, time in records if k == key]
        starts = set()
        for time, _ in own:
            starts.add(max(0, time - difference))
            if any(time < other <= time + 1 + difference for other, _ in own):
                starts.add(time + 1)
        for start in starts:
            within = [(time, value) for time, value in own if start <= time <= start + difference]
            found[key, start, start + difference] = ("".join(sorted(v for _, v in within)), max(within)[0])
    return found


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 20), rows, modes)
def test_each_window_ends_up_with_the_records_within_it(difference: int, records: list[Row], mode: str) -> None:
    tested = operator(SlidingWindows(difference, 1_000))
    found = tested.feed(records) if mode == "batch" else one_by_one(tested, records)
    last = {tuple(key): ("".join(sorted(new)), at) for key, new, _, at in found}
    assert last == definition(difference, records)
    assert tested.context.dropped_records == 0


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 20), st.integers(0, 30), rows)
def test_a_whole_batch_gives_the_updates_of_single_records(difference: int, grace: int, records: list[Row]) -> None:
    for emit in ("update", "close"):
        whole = operator(SlidingWindows(difference, grace), emit=emit)
        single = operator(SlidingWindows(difference, grace), emit=emit)
        assert whole.feed(records) == one_by_one(single, records)
        assert whole.context.dropped_records == single.context.dropped_records


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 20), st.integers(0, 30), rows)
def test_on_close_each_window_comes_out_once_with_its_last_value(
    difference: int, grace: int, records: list[Row]
) -> None:
    updated = operator(SlidingWindows(difference, grace)).feed(records)
    closed = operator(SlidingWindows(difference, grace), emit="close").feed(records)
    last = {tuple(key): (new, at) for key, new, _, at in updated}
    assert len({tuple(key) for key, _, _, _ in closed}) == len(closed)
    for key, new, _, at in closed:
        assert last[tuple(key)] == (new, at)


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 20), st.integers(0, 30), st.lists(rows, max_size=4))
def test_a_cache_only_leaves_out_what_was_superseded(difference: int, grace: int, commits: list[list[Row]]) -> None:
    windows = SlidingWindows(difference, grace)
    plain, cached = operator(windows), operator(windows, caching=True)
    known: dict[Any, Any] = {}
    for records in commits:
        expected = last_of_each(plain.feed(records), known)
        assert cached.feed(records) == []
        assert [(key, new, at) for key, new, _, at in cached.commit()] == expected
        plain.commit()
