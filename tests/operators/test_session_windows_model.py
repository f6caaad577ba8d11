"""Sessions against two models: connected timestamps where nothing is late, and a list of sessions where something is."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import serdes
from engine.topology.stores import StoreSpec
from engine.topology.window_operations import SessionWindowedAggregate
from engine.topology.windows import EmitStrategy, SessionWindows

from .lone_operator import LoneOperator, Row, last_of_each, one_by_one

rows = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", None]), st.integers(0, 80)), max_size=25)
FOR_EVER_MS = 10_000_000
modes = st.sampled_from(["each", "batch"])


@st.composite
def session_windows(draw: Any) -> SessionWindows:
    return SessionWindows(draw(st.integers(1, 15)), draw(st.integers(0, 30)))


def chain(_key: str, value: str | None, seen: str) -> str:
    return f"{seen}{value or '-'}"


def join(_key: str, one: str, other: str) -> str:
    return f"({one}~{other})"


def operator(windows: SessionWindows, *, caching: bool = False, emit: str = "update") -> LoneOperator:
    spec = StoreSpec(
        "sessions",
        "session",
        "memory",
        serdes.string,
        serdes.string,
        caching=caching,
        retention_ms=FOR_EVER_MS,
        emit_final=emit == "close",
    )
    operation = SessionWindowedAggregate(
        "sessions", str, chain, emit=EmitStrategy(emit), holds_back=True, windows=windows, merger=join
    )
    return LoneOperator(operation, spec, caching=caching)


def model(windows: SessionWindows, records: list[Row]) -> tuple[list[Any], int, dict[Any, str]]:
    """Updates, dropped records and what is left, from a plain list of sessions."""
    sessions: dict[tuple[str, int, int], str] = {}
    updates: list[Any] = []
    dropped, newest = 0, -1
    for key, value, time in records:
        newest = max(newest, time)
        near = sorted(
            (end, start)
            for k, start, end in sessions
            if k == key and end >= time - windows.gap_ms and start <= time + windows.gap_ms
        )
        low = min([time, *(start for _, start in near)])
        high = max([time, *(end for end, _ in near)])
        if high < newest - windows.grace_ms - windows.gap_ms:
            dropped += 1
            continue
        aggregate = ""
        for end, start in near:
            aggregate = join(key, aggregate, sessions.pop((key, start, end)))
            if (low, high) != (time, time):
                updates.append(((key, start, end), None, end))
        sessions[key, low, high] = chain(key, value, aggregate)
        updates.append(((key, low, high), sessions[key, low, high], high))
    return updates, dropped, sessions


@settings(max_examples=500, deadline=None)
@given(session_windows(), rows, modes)
def test_every_update_is_the_models(windows: SessionWindows, records: list[Row], mode: str) -> None:
    tested = operator(windows)
    found = tested.feed(records) if mode == "batch" else one_by_one(tested, records)
    updates, dropped, _ = model(windows, records)
    assert [(tuple(key), new, at) for key, new, _, at in found] == updates
    assert tested.context.dropped_records == dropped


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 15), rows)
def test_sessions_are_the_timestamps_that_hang_together(gap: int, records: list[Row]) -> None:
    tested = operator(SessionWindows(gap, 1_000))
    left: dict[Any, Any] = {}
    for key, new, _, _ in tested.feed(records):
        left.pop(tuple(key), None)
        if new is not None:
            left[tuple(key)] = new
    expected: dict[Any, int] = {}
    for key in "ab":
        times = sorted(time for k, _, time in records if k == key)
        groups: list[list[int]] = []
        for time in times:
            if groups and time - groups[-1][-1] <= gap:
                groups[-1].append(time)
            else:
                groups.append([time])
        expected.update({(key, group[0], group[-1]): len(group) for group in groups})
    assert {key: sum(letter in "xy-" for letter in text) for key, text in left.items()} == expected


@settings(max_examples=500, deadline=None)
@given(session_windows(), rows, modes)
def test_on_close_sessions_come_out_as_stream_time_passes_them(
    windows: SessionWindows, records: list[Row], mode: str
) -> None:
    tested = operator(windows, emit="close")
    found = tested.feed(records) if mode == "batch" else one_by_one(tested, records)
    expected, passed, newest = [], 0, -1
    for count, (_, _, time) in enumerate(records, 1):
        newest = max(newest, time)
        close = newest - windows.grace_ms - windows.gap_ms
        # A record at the edge can still join a session that came out: the two then come out as one, or not at all.
        sessions = model(windows, records[:count])[2]
        order = sorted((key[2], key[0], -key[1], key) for key in sessions if passed <= key[2] < close)
        expected += [(key, sessions[key], key[2]) for *_, key in order]
        passed = max(passed, close)
    assert [(tuple(key), new, at) for key, new, _, at in found] == expected


@settings(max_examples=500, deadline=None)
@given(session_windows(), st.lists(rows, max_size=4))
def test_a_cache_only_leaves_out_what_was_superseded(windows: SessionWindows, commits: list[list[Row]]) -> None:
    plain, cached = operator(windows), operator(windows, caching=True)
    known: dict[Any, Any] = {}
    for records in commits:
        before = dict(known)
        expected = last_of_each(plain.feed(records), known)
        assert cached.feed(records) == []
        found = cached.commit()
        plain.commit()
        assert [(key, new, at) for key, new, _, at in found] == expected
        assert [old for _, _, old, _ in found] == [before.get(key) for key, _, _ in expected]
