"""What the engine raises about itself is no matter of the processing handler: the record would be lost."""

from __future__ import annotations

from typing import Any

import pytest

from engine import (
    Consumed,
    Materialized,
    SessionWindows,
    SlidingWindows,
    StreamsBuilder,
    TimeWindows,
    TopologyTestDriver,
    serdes,
)
from engine.errors import TaskCorrupted
from engine.stores.session_batch import SessionBatch
from engine.stores.window import WindowStore

from .skipping import Skips

KEPT = Materialized("s", serdes.string, serdes.string, store="in-memory")


def folded(windows: Any) -> Any:
    def build(builder: StreamsBuilder) -> None:
        grouped = builder.stream("in", Consumed(serdes.string, serdes.string)).group_by_key().windowed_by(windows)
        merger = [lambda _, one, other: one + other] if isinstance(windows, SessionWindows) else []
        grouped.aggregate(str, lambda _, value, seen: seen + value, *merger, KEPT)

    return build


@pytest.mark.parametrize(
    ("windows", "store", "method"),
    [
        (SessionWindows.of(gap_ms=5), SessionBatch, "find"),
        (SlidingWindows.of(difference_ms=5), WindowStore, "fetch_raw"),
        (TimeWindows.of(size_ms=5), WindowStore, "write_many"),
    ],
)
def test_a_damaged_store_stops_the_task_and_is_not_skipped(
    monkeypatch: pytest.MonkeyPatch, windows: Any, store: type, method: str
) -> None:
    handlers = Skips()
    rows = [("k", value, 20) for value in "ab"]
    with TopologyTestDriver(folded(windows), handlers=handlers) as driver:
        calls = iter([TaskCorrupted("damaged")])
        sound = getattr(store, method)

        def damaged(*arguments: Any) -> Any:
            for error in calls:
                raise error
            return sound(*arguments)

        monkeypatch.setattr(store, method, damaged)
        with pytest.raises(TaskCorrupted):
            driver.input_topic("in").pipe_batch(rows)
    assert handlers.errors == []


def test_what_user_code_raises_is_skipped() -> None:
    handlers = Skips()

    def build(builder: StreamsBuilder) -> None:
        grouped = builder.stream("in", Consumed(serdes.string, serdes.string)).group_by_key()
        grouped.windowed_by(SessionWindows.of(gap_ms=5)).aggregate(
            str, lambda _, value, seen: seen + {"a": "A"}[value], lambda _, one, other: one + other, KEPT
        )

    with TopologyTestDriver(build, handlers=handlers) as driver:
        driver.input_topic("in").pipe_batch([("k", value, 20) for value in "aba"])
        with driver.store("s").fetch("k") as sessions:
            assert [value for _, value in sessions] == ["AA"]
    assert list(map(repr, handlers.errors)) == ["KeyError('b')"]
