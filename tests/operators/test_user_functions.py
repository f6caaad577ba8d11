"""What users' functions raise or return wrongly costs their record alone, in every operator that calls one."""

from __future__ import annotations

from typing import Any

import pytest

from engine import (
    Consumed,
    Grouped,
    Materialized,
    Processor,
    Produced,
    StreamsBuilder,
    TopologyTestDriver,
    serdes,
)
from engine.errors import DeserializationError, StoreError

from .skipping import Skips

TEXT = serdes.string
TEXTS = Consumed(TEXT, TEXT)
OUT = Produced(TEXT, TEXT)
ROWS = [("a", "x", 0), ("b", "bad", 1), ("c", "y", 2), ("d", "bad", 3)]


def kept(name: str) -> Materialized:
    return Materialized(name, TEXT, TEXT, store="in-memory")


def checked(value: str) -> str:
    """The value itself; for bad ones what `next` raises when it finds nothing."""
    return next(iter([value] if value != "bad" else []))


def outcome(build: Any, rows: list[Any] = ROWS) -> tuple[list[str], Skips]:
    """Keys that came out, and what the handlers were asked about."""
    handlers, builder = Skips(), StreamsBuilder()
    build(builder)
    with TopologyTestDriver(builder.build(), handlers=handlers) as driver:
        driver.input_topic("in").pipe_batch(rows)
        return [record[0] for record in driver.output_topic("out", TEXT, TEXT).read_records()], handlers


def stream(builder: StreamsBuilder) -> Any:
    return builder.stream("in", TEXTS)


def joined(builder: StreamsBuilder) -> None:
    table = builder.global_table("table", TEXTS, kept("global"))
    stream(builder).left_join(table, lambda _, value: checked(value), lambda left, _: left).to("out", OUT)


def grouped(builder: StreamsBuilder) -> None:
    groups = builder.table("in", TEXTS, kept("t")).group_by(lambda k, v: (k, checked(v)), Grouped("g", TEXT, TEXT))
    groups.reduce(lambda _, new: new, lambda old, _: old, kept("r")).to_stream().to("out", OUT)


CALLS = {
    "filter": lambda b: stream(b).filter(lambda _, v: checked(v)).to("out", OUT),
    "filter not": lambda b: stream(b).filter_not(lambda _, v: not checked(v)).to("out", OUT),
    "map": lambda b: stream(b).map(lambda k, v: (k, checked(v))).to("out", OUT),
    "map values": lambda b: stream(b).map_values(checked).to("out", OUT),
    "flat map": lambda b: stream(b).flat_map(lambda k, v: [(k, checked(v))]).to("out", OUT),
    "flat map values": lambda b: stream(b).flat_map_values(lambda v: [checked(v)]).to("out", OUT),
    "generator": lambda b: stream(b).flat_map_values(lambda v: (checked(v) for _ in "1")).to("out", OUT),
    "select key": lambda b: stream(b).select_key(lambda k, v: checked(v) and k).to("out", OUT),
    "peek": lambda b: stream(b).peek(lambda _, v: checked(v)).to("out", OUT),
    "branch": lambda b: stream(b).split().branch(lambda _, v: checked(v), "1").no_default_branch()["1"].to("out", OUT),
    "topic": lambda b: stream(b).to(lambda _, v: checked(v) and "out", OUT),
    "partitioner": lambda b: stream(b).to("out", Produced(TEXT, TEXT, lambda _, __, v, ___: checked(v) and 0)),
    "extractor": lambda b: b.stream("in", Consumed(TEXT, TEXT, lambda r, _: checked(r.value) and 5)).to("out", OUT),
    "key selector": joined,
    "table filter": lambda b: b.table("in", TEXTS).filter(lambda _, v: checked(v)).to_stream().to("out", OUT),
    "table map": lambda b: b.table("in", TEXTS).map_values(checked).to_stream().to("out", OUT),
    "table group": grouped,
    "reduce": lambda b: (
        stream(b).group_by_key().aggregate(str, lambda _, v, __: checked(v), kept("s")).to_stream().to("out", OUT)
    ),
}


@pytest.mark.parametrize("build", CALLS.values(), ids=CALLS)
def test_a_function_that_raises_stop_iteration_ends_nothing_but_its_record(build: Any) -> None:
    assert outcome(build)[0] == ["a", "c"]
    assert outcome(build)[1].keys in (["b", "d"], [b"b", b"d"])


@pytest.mark.parametrize("partition", [1, -1, "0", 0.0])
def test_a_record_whose_partition_its_topic_lacks_is_refused(partition: Any) -> None:
    place = {"x": 0, "y": None}.get

    def build(builder: StreamsBuilder) -> None:
        stream(builder).to("out", Produced(TEXT, TEXT, lambda _, __, value, ___: place(value, partition)))

    found, handlers = outcome(build)
    assert found == ["a", "c"]
    assert handlers.keys == ["b", "d"]


@pytest.mark.parametrize("extracted", [None, 1.5, "5", 2**63])
def test_an_event_time_that_is_no_whole_number_is_refused(extracted: Any) -> None:
    def build(builder: StreamsBuilder) -> None:
        times = {"x": 5, "y": 6}
        read = Consumed(TEXT, TEXT, lambda record, _: times.get(record.value, extracted))
        builder.stream("in", read).to("out", OUT)

    found, handlers = outcome(build)
    assert found == ["a", "c"]
    assert str(handlers.errors[0]).startswith(f"the timestamp extractor gave {extracted!r}: ")


def test_an_extractor_that_raises_says_where() -> None:
    builder = StreamsBuilder()
    builder.stream("in", Consumed(TEXT, TEXT, lambda record, _: int(record.value))).to("out", OUT)
    with (
        TopologyTestDriver(builder.build()) as driver,
        pytest.raises(DeserializationError, match=r"in-0@1 cannot be read: ValueError: .*'x'"),
    ):
        driver.input_topic("in").pipe_batch([("a", "1", 0), ("b", "x", 0)])


@pytest.mark.parametrize("topic", [None, "", "a b", 5])
def test_a_topic_that_no_topic_can_be_named_is_refused(topic: Any) -> None:
    topics = {"x": "out", "y": "out"}
    found, handlers = outcome(lambda b: stream(b).to(lambda _, value: topics.get(value, topic), OUT))
    assert found == ["a", "c"]
    assert "is not a usable name" in str(handlers.errors[0])


def forwarding(*arguments: Any, **options: Any) -> Any:
    """An application whose processor forwards values as they are, and bad ones with these arguments too."""

    class Forwards(Processor):
        def process(self, record: Any) -> None:
            if record.value == "bad":
                self.context.forward(record.key, record.value, *arguments, **options)
            else:
                self.context.forward(record)

    return lambda builder: stream(builder).process(Forwards).to("out", OUT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"timestamp": -1}, "cannot be negative"),
        ({"timestamp": 1.5}, "give whole ms"),
        ({"timestamp": "5"}, "give whole ms"),
        ({"timestamp": 2**63}, "has 64 bits"),
        ({"headers": "text"}, "give a list"),
        ({"headers": [("a", 5)]}, "give bytes"),
        ({"headers": ["ab"]}, "give \\(name, bytes\\)"),
        ({"headers": [(b"a", b"b")]}, "give \\(name, bytes\\)"),
    ],
)
def test_a_forwarded_record_is_looked_at(arguments: Any, says: str) -> None:
    found, handlers = outcome(forwarding(**arguments))
    assert found == ["a", "c"]
    with pytest.raises((TypeError, ValueError), match=says):
        raise handlers.errors[0]


@pytest.mark.parametrize("headers", [{"h": b"1"}, [("h", "1")], (["h", b"1"],)])
def test_headers_can_be_given_as_a_dict_and_as_text(headers: Any) -> None:
    builder = StreamsBuilder()
    forwarding(headers=headers)(builder)
    with TopologyTestDriver(builder.build()) as driver:
        driver.input_topic("in").pipe_batch([("b", "bad", 0)])
        (record,) = driver.output_topic("out", TEXT, TEXT).read_records()
    assert record.headers == [("h", b"1")]


def test_nothing_is_forwarded_in_init() -> None:
    class Early(Processor):
        def init(self, context: Any) -> None:
            context.forward("a", "x")

    with pytest.raises(StoreError, match=r"forwards in init: forward from process"):
        outcome(lambda b: stream(b).process(Early).to("out", OUT))


@pytest.mark.parametrize("action", ["for each", "peek", "one action on each branch"])
def test_actions_see_records_in_their_order_whichever_path_they_come_by(action: str) -> None:
    seen: list[str] = []

    def see(_: str, value: str) -> None:
        seen.append(value)

    def build(builder: StreamsBuilder) -> None:
        new, gone = (stream(builder).filter(lambda _, v, wanted=wanted: v in wanted) for wanted in ("xyz", ("bad",)))
        if action == "one action on each branch":
            new.for_each(see)
            gone.for_each(see)
        elif action == "peek":
            new.merge(gone).peek(see).to("out", OUT)
        else:
            new.merge(gone).for_each(see)

    builder = StreamsBuilder()
    build(builder)
    with TopologyTestDriver(builder.build()) as driver:
        driver.input_topic("in").pipe_batch(ROWS)
    assert seen == ["x", "bad", "y", "bad"]
