"""Feeding rows and comparing what comes out, for the vectors that need a topology."""

import json
from collections.abc import Callable
from typing import Any, Self

from engine import serdes
from engine.testing import TopologyTestDriver
from engine.topology.builder import StreamsBuilder
from engine.topology.options import Consumed, Produced
from engine.topology.table import Table

TEXT = Consumed(serdes.string, serdes.string)
# Keys and values are JSON text on the way in and out, so that 0, "0" and [k, start, end] stay apart.
JSON = Consumed(serdes.json, serdes.json)
OUT = Produced(serdes.json, serdes.json)

Row = tuple[str, Any, Any, int]
Build = Callable[[StreamsBuilder], Any]


class Running:
    """A topology under a driver; `each` and `batch` tell how rows go in."""

    def __init__(self, build: Build, *, batch: bool, caching: bool = False, application_id: str = "test") -> None:
        self.driver = TopologyTestDriver(build, caching=caching, application_id=application_id)
        self._batch = batch
        self._out = self.driver.output_topic("out", serdes.json, serdes.json)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.close()

    def feed(self, rows: list[Row]) -> None:
        if self._batch:
            self.driver.pipe_all(rows)
            return
        for topic, key, value, timestamp in rows:
            self.driver.input_topic(topic).pipe(key, value, timestamp)

    def written(self) -> list[list[Any]]:
        """[key, value, timestamp] of everything written since the last call."""
        return [[record.key, record.value, record.timestamp] for record in self._out.read_records()]

    def answers(self, rows: list[Row]) -> list[list[Any]]:
        self.feed(rows)
        return self.written()

    def compare_each(self, rows: list[Row], expected: list[list[Any]]) -> None:
        """What each input must give; in one batch, all of it in order."""
        assert len(rows) == len(expected)
        if self._batch:
            assert self.answers(rows) == [out for outs in expected for out in outs]
        else:
            assert [self.answers([row]) for row in rows] == expected


def with_dash(left: Any, right: Any) -> str:
    return f"{shown(left)}-{shown(right)}"


def with_plus(left: Any, right: Any) -> str:
    return f"{shown(left)}+{shown(right)}"


def shown(value: Any) -> str:
    return "null" if value is None else str(value)


def write_windows(table: Table) -> None:
    """A windowed table's changes to `out`, keys as [key, start, end]."""
    table.to_stream().map(lambda window, value: (list(window), value)).to("out", OUT)


def adding(description: str) -> tuple[Callable[[], str], Callable[[Any, Any, str], str]]:
    """Initializer and adder of an aggregate as the vectors describe it: `0+x` or `''+x`."""
    start = "" if description.startswith("''") else "0"
    return (lambda: start), (lambda _, value, aggregate: f"{aggregate}+{value}")


def in_any_order(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=json.dumps)
