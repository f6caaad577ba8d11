"""An update that the record cache held back has the headers of its last record, however the records fell into batches."""

from __future__ import annotations

from typing import Any

import pytest

from engine import (
    Consumed,
    Materialized,
    Produced,
    SessionWindows,
    SlidingWindows,
    StreamsBuilder,
    TimeWindows,
    TopologyTestDriver,
    serdes,
)

FIRST, SECOND = [("h", b"1")], [("h", b"2")]
TEXTS = Consumed(serdes.string, serdes.string)
KEPT = Materialized("s", store="in-memory")
LATER = {"k": SECOND, "l": None}
# key, value, time, headers: k's last record has others than its first, l's last has none.
ROWS = [("k", "x", 1, FIRST), ("l", "x", 2, FIRST), ("k", "y", 3, LATER["k"]), ("l", "y", 4, LATER["l"])]


def counted(windows: Any) -> Any:
    def build(builder: StreamsBuilder) -> None:
        grouped = builder.stream("in", TEXTS).group_by_key()
        if windows is None:
            counts = grouped.count(KEPT).to_stream()
        else:
            counts = grouped.windowed_by(windows).count(KEPT).to_stream(lambda windowed, _: windowed.key)
        counts.to("out", Produced(serdes.string, serdes.int64))

    return build


def table(builder: StreamsBuilder) -> None:
    builder.table("in", TEXTS, Materialized("s", serdes.string, serdes.string, store="in-memory")).to_stream().to("out")


WINDOWS = [
    TimeWindows.of(size_ms=10),
    TimeWindows.of(size_ms=10).advance_by(advance_ms=5),
    SlidingWindows.of(difference_ms=10),
    SessionWindows.of(gap_ms=10),
]


@pytest.mark.parametrize("build", [table, *map(counted, [None, *WINDOWS])])
@pytest.mark.parametrize(
    "batches",
    [
        [ROWS],
        [ROWS[:2], ROWS[2:]],
        [[row] for row in ROWS],
        [[*ROWS[:2], (None, "x", 2)], ROWS[2:]],
        [ROWS[:2], [*ROWS[2:], (None, "x", 4)]],
    ],
)
def test_the_headers_are_those_of_the_last_record(build: Any, batches: list[Any]) -> None:
    with TopologyTestDriver(build, caching=True) as driver:
        for rows in batches:
            driver.input_topic("in").pipe_batch(rows)
        driver.commit()
        out = driver.output_topic("out", serdes.string).read_records()
    assert {record.key for record in out} == set(LATER)
    for key, headers in LATER.items():
        last = [record for record in out if record.key == key][-1]
        assert (last.headers or None) == headers
