from __future__ import annotations

from typing import Any

import pytest

from engine import (
    Consumed,
    Materialized,
    Produced,
    SessionWindows,
    StreamsBuilder,
    TimeWindows,
    TopologyTestDriver,
    serdes,
)

TEXT = Consumed(serdes.string, serdes.string)
TEXTS = Materialized("texts", serdes.string, serdes.string)


def add(side: str) -> Any:
    return lambda _, value, seen: f"{seen}{side}{value}"


def topology(windows: Any = None) -> Any:
    def build(builder: StreamsBuilder) -> None:
        left, right = (builder.stream(topic, TEXT).group_by_key() for topic in ("A", "B"))
        group = left.cogroup(add("A")).cogroup(right, add("B"))
        if windows is None:
            table = group.aggregate(str, TEXTS).to_stream()
        elif isinstance(windows, SessionWindows):
            merged = group.windowed_by(windows).aggregate(str, lambda _, one, other: one + other, TEXTS)
            table = merged.to_stream(lambda key, _: key.key)
        else:
            table = group.windowed_by(windows).aggregate(str, TEXTS).to_stream(lambda key, _: key.key)
        table.to("out", Produced(serdes.string, serdes.string))

    return build


def written(out: Any) -> list[tuple[str, Any, int]]:
    return [(record.key, record.value, record.timestamp) for record in out.read_records()]


def feed(driver: TopologyTestDriver) -> None:
    rows = [("A", "k", "1", 1), ("B", "k", "2", 2), ("B", "x", "3", 3), ("A", "k", "4", 4), ("A", "x", None, 5)]
    for topic, key, value, time in rows:
        driver.input_topic(topic).pipe(key, value, time)


def test_each_stream_folds_into_the_one_aggregate() -> None:
    with TopologyTestDriver(topology()) as driver:
        out = driver.output_topic("out")
        feed(driver)
        assert written(out) == [("k", "A1", 1), ("k", "A1B2", 2), ("x", "B3", 3), ("k", "A1B2A4", 4)]
        assert driver.dropped_records_total == 1


@pytest.mark.parametrize("windows", [None, TimeWindows.of(100), SessionWindows.of(100)])
def test_a_commit_sends_one_update_of_a_key_whichever_stream_touched_it_last(windows: Any) -> None:
    with TopologyTestDriver(topology(windows), caching=True) as driver:
        out = driver.output_topic("out")
        feed(driver)
        assert written(out) == []
        driver.commit()
        found = written(out)
        assert [row for row in found if row[0] == "k"] == [("k", "A1B2A4", 4)]
        assert len([row for row in found if row[0] == "x"]) == 1
        driver.input_topic("B").pipe("k", "5", 6)
        driver.commit()
        assert [row[1] for row in written(out) if row[1] is not None] == ["A1B2A4B5"]
