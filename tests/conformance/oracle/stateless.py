"""Ops that keep nothing, and punctuation."""

from typing import Any

from engine.records import Record
from engine.topology.builder import StreamsBuilder
from engine.topology.processors import Processor, PunctuationType
from tests.conformance.oracle.setup import OUT, TEXT, Setup, op


@op("merge")
def merge(builder: StreamsBuilder, _params: dict[str, Any]) -> Setup:
    builder.stream("L", TEXT).merge(builder.stream("R", TEXT)).to("out", OUT)
    return Setup()


@op("flatmap")
def flat_map(builder: StreamsBuilder, _params: dict[str, Any]) -> Setup:
    def parts(key: Any, value: str | None) -> list[tuple[Any, str]]:
        return [] if value is None else [(key, part) for part in value.split(",")]

    builder.stream("in", TEXT).flat_map(parts).to("out", OUT)
    return Setup()


@op("split")
def split(builder: StreamsBuilder, _params: dict[str, Any]) -> Setup:
    def begins(letter: str) -> Any:
        return lambda _, value: value is not None and value.startswith(letter)

    branches = (
        builder.stream("in", TEXT).split().branch(begins("a"), "a").branch(begins("b"), "b").default_branch("rest")
    )
    for name, topic in (("a", "out-a"), ("b", "out-b"), ("rest", "out-default")):
        branches[name].to(topic, OUT)
    return Setup(names_topics=True)


class Counting(Processor):
    """Counts records; punctuations tell how many."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.seen = 0

    def init(self, context: Any) -> None:
        self.context = context
        for letter, kind, key in (
            ("S", PunctuationType.STREAM_TIME, "stream"),
            ("W", PunctuationType.WALL_CLOCK_TIME, "wall"),
        ):
            if self.params.get(f"{key}_ms") is not None:
                self._schedule(letter, kind, self.params[f"{key}_ms"], self.params.get(f"{key}_start_ms"))

    def _schedule(self, letter: str, kind: PunctuationType, interval_ms: int, start_ms: int | None) -> None:
        calls = 0

        def tell(time: int) -> None:
            nonlocal calls
            calls += 1
            self.context.forward(letter, str(self.seen), time)
            if calls == self.params.get("cancel_after"):
                schedule.cancel()

        schedule = self.context.schedule(interval_ms, kind, tell, start_ms)

    def process(self, record: Record) -> None:
        self.seen += 1
        if self.params.get("echo"):
            self.context.forward(record)


@op("punctuate", params="echo stream_ms stream_start_ms wall_ms wall_start_ms cancel_after")
def punctuate(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    builder.stream("in", TEXT).process(lambda: Counting(params)).to("out", OUT)
    return Setup()
