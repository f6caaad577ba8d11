from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import ConfigError
from engine.topology.windows import EmitStrategy, JoinWindows, SessionWindows, SlidingWindows, TimeWindows


def test_units_are_keywords_and_add_up() -> None:
    assert TimeWindows.of(hours=1, minutes=30, grace_minutes=10) == TimeWindows(5_400_000, 5_400_000, 600_000)
    assert TimeWindows.of(size_ms=5, grace_ms=2) == TimeWindows(5, 5, 2)
    assert TimeWindows.of(timedelta(days=1)) == TimeWindows.of(weeks=1 / 7)
    assert TimeWindows.of(500).size_ms == 500
    assert SlidingWindows.of(minutes=5, grace_seconds=1) == SlidingWindows(300_000, 1_000)
    assert SlidingWindows.of(difference_ms=5) == SlidingWindows(5)
    assert SessionWindows.of(gap=timedelta(minutes=30)).gap_ms == 1_800_000
    assert JoinWindows.of(seconds=5) == JoinWindows(5_000, 5_000)


def test_grace_is_zero_unless_given() -> None:
    assert TimeWindows.of(hours=1).grace_ms == 0
    assert TimeWindows.of(hours=1).grace(minutes=1).grace_ms == 60_000
    assert SessionWindows.of(minutes=1).grace(5).grace_ms == 5


def test_windows_can_be_refined_step_by_step() -> None:
    assert TimeWindows.of(minutes=10).advance_by(minutes=1) == TimeWindows.of(minutes=10, advance_minutes=1)
    assert JoinWindows.of(seconds=5).before(0).after(seconds=1).grace(2) == JoinWindows(0, 1_000, 2)
    assert JoinWindows.of(before_ms=-5, after_ms=10) == JoinWindows(-5, 10)


@pytest.mark.parametrize(
    ("size", "advance", "time", "expected"),
    [
        (12, 5, 21, [(10, 22), (15, 27), (20, 32)]),
        (6, 5, 7, [(5, 11)]),
        (10, 10, 0, [(0, 10)]),
        (10, 10, 10, [(10, 20)]),
        (10, 3, 2, [(0, 10)]),
        (10, 5, -1, []),
    ],
)
def test_a_timestamp_falls_into_every_window_around_it(
    size: int, advance: int, time: int, expected: list[tuple[int, int]]
) -> None:
    assert TimeWindows(size, advance).windows_for(time) == expected


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (TimeWindows.of, "size is missing"),
        (lambda: TimeWindows.of(0), "larger than zero"),
        (lambda: TimeWindows.of(10, advance_ms=11), "at most the size"),
        (lambda: TimeWindows.of(10, advance_ms=0), "larger than zero"),
        (lambda: TimeWindows.of(10, grace_ms=-1), "cannot be negative"),
        (lambda: TimeWindows.of(10, grase_ms=1), "'grase_ms' is not known"),
        (lambda: TimeWindows.of(fortnights=1), "'fortnights' is not known"),
        (lambda: TimeWindows.of(ms=1.5), "whole number of milliseconds"),
        (lambda: TimeWindows.of("10"), "give a number"),
        (lambda: TimeWindows.of(True), "give a number"),  # noqa: FBT003
        (lambda: SlidingWindows.of(-1), "cannot be negative"),
        (lambda: SessionWindows.of(0), "larger than zero"),
        (JoinWindows.of, "difference is missing"),
        (lambda: JoinWindows.of(-1), "cannot be negative"),
        (lambda: JoinWindows.of(5).before(-6), "less than zero"),
        (lambda: JoinWindows.of(5, grace_ms=-1), "cannot be negative"),
    ],
)
def test_windows_that_cannot_be_are_refused_with_a_reason(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()  # type: ignore[operator]


def test_an_emit_strategy_reads_with_and_without_parentheses() -> None:
    assert EmitStrategy.on_window_close() is EmitStrategy.on_window_close
