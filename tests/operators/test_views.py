"""Tables without a store, read through the user code above them: what it raises is about the record that asks."""

from __future__ import annotations

from typing import Any

from engine import (
    Consumed,
    Joined,
    Materialized,
    Produced,
    Stores,
    StreamsBuilder,
    Suppressed,
    TableJoined,
    TopologyTestDriver,
    serdes,
)
from engine.operators.views import Row, Rows, _JoinedRows
from engine.topology.views import JoinView

from .skipping import Skips

TEXT = serdes.string
TEXTS = Consumed(TEXT, TEXT)
OUT = Produced(TEXT, TEXT)


def kept(name: str) -> Materialized:
    return Materialized(name, TEXT, TEXT, store="in-memory")


def checked(value: str) -> str:
    if value == "bad":
        raise KeyError(value)
    return value.upper()


def joined(one: str | None, other: str | None) -> str:
    return f"{one}|{other}"


def results(build: Any, *batches: tuple[str, list[tuple[Any, ...]]]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """(key, value) of each output, and the keys that the handlers were asked about."""
    handlers = Skips()
    with TopologyTestDriver(build, handlers=handlers) as driver:
        for topic, rows in batches:
            driver.input_topic(topic).pipe_batch(rows)
        out = driver.output_topic("out", TEXT, TEXT).read_records()
    assert all(isinstance(error, KeyError) for error in handlers.errors)
    return [record[:2] for record in out], handlers.keys


TABLE = ("table", [("a", "x", 0), ("b", "bad", 1)])  # its mapping raises once, for b
STREAM = ("in", [("a", "1", 2), ("b", "2", 3), ("a", "3", 4), ("b", "4", 5), ("c", "5", 6)])


def test_a_stream_meets_the_rows_that_can_be_read() -> None:
    def build(builder: StreamsBuilder, *, left: bool) -> None:
        table = builder.table("table", TEXTS, kept("t")).map_values(checked)
        stream = builder.stream("in", TEXTS)
        (stream.left_join if left else stream.join)(table, joined).to("out", OUT)

    inner = [("a", "1|X"), ("a", "3|X")]
    assert results(lambda builder: build(builder, left=False), TABLE, STREAM) == (inner, ["b", "b", "b"])
    assert results(lambda builder: build(builder, left=True), TABLE, STREAM) == (
        [*inner, ("c", "5|None")],
        ["b", "b", "b"],
    )


def test_a_stream_meets_the_versions_that_can_be_read() -> None:
    def build(builder: StreamsBuilder) -> None:
        versions = Materialized.as_(Stores.persistent_versioned("t", 1_000), TEXT, TEXT)
        table = builder.table("table", TEXTS, versions).map_values(checked)
        builder.stream("in", TEXTS).join(table, joined, Joined("j", TEXT, TEXT)).to("out", OUT)

    assert results(build, TABLE, STREAM) == ([("a", "1|X"), ("a", "3|X")], ["b", "b", "b"])


def test_a_buffered_stream_meets_the_versions_that_can_be_read() -> None:
    def build(builder: StreamsBuilder) -> None:
        versions = Materialized.as_(Stores.persistent_versioned("t", 1_000), TEXT, TEXT)
        table = builder.table("table", TEXTS, versions).map_values(checked)
        builder.stream("in", TEXTS).join(table, joined, Joined("j", TEXT, TEXT, grace_ms=1)).to("out", OUT)

    assert results(build, TABLE, STREAM) == ([("a", "1|X"), ("a", "3|X")], ["b", "b", "b"])


def test_a_record_whose_table_key_cannot_be_made_joins_nothing() -> None:
    handlers = Skips()

    def build(builder: StreamsBuilder) -> None:
        table = builder.global_table("table", TEXTS, kept("t"))
        mapped = builder.stream("in", TEXTS).left_join(table, lambda _, value: checked(value), joined)
        mapped.to("out", OUT)

    with TopologyTestDriver(build, handlers=handlers) as driver:
        driver.input_topic("table").pipe_batch([("A", "x", 0)])
        driver.input_topic("in").pipe_batch([("k", "a", 1), ("l", "bad", 2), ("m", "b", 3)])
        out = driver.output_topic("out", TEXT, TEXT).read_records()
        assert driver.dropped_records_total == 0
    assert [record[:2] for record in out] == [("k", "a|x"), ("m", "b|None")]
    assert handlers.keys == ["l"]


def test_tables_meet_where_both_rows_can_be_read() -> None:
    def build(builder: StreamsBuilder) -> None:
        right = builder.table("table", TEXTS, kept("t")).map_values(checked)
        builder.table("in", TEXTS, kept("l")).left_join(right, joined).to_stream().to("out", OUT)

    out = [("a", "1|X"), ("a", "3|X"), ("c", "5|None")]
    assert results(build, TABLE, STREAM) == (out, ["b", "b", "b"])


class Fickle:
    """A predicate that raises for "b" once it is told to."""

    raises = False

    def __call__(self, _key: str, value: str) -> bool:
        if self.raises and value == "b":
            raise KeyError(value)
        return True


def test_a_subscription_to_a_row_that_cannot_be_read_is_answered_once_it_can() -> None:
    handlers, fickle = Skips(), Fickle()

    def build(builder: StreamsBuilder) -> None:
        right = builder.table("table", TEXTS, kept("t")).filter(fickle)
        left = builder.table("in", TEXTS, kept("l"))
        left.join(right, lambda value: value, joined, TableJoined("j")).to_stream().to("out", OUT)

    with TopologyTestDriver(build, handlers=handlers) as driver:
        driver.input_topic("table").pipe_batch([("a", "x", 0), ("b", "b", 1)])
        fickle.raises = True
        driver.input_topic("in").pipe_batch([("1", "a", 2), ("2", "b", 3), ("3", "a", 4)])
        fickle.raises = False
        driver.input_topic("table").pipe_batch([("b", "y", 5)])
        out = driver.output_topic("out", TEXT, TEXT).read_records()
    assert [record[:2] for record in out] == [("1", "a|x"), ("3", "a|x"), ("2", "b|y")]
    assert list(map(repr, handlers.errors)) == ["KeyError('b')"]


def test_an_answer_for_a_row_that_cannot_be_read_is_skipped() -> None:
    handlers, fickle = Skips(), Fickle()

    def build(builder: StreamsBuilder) -> None:
        right = builder.table("table", TEXTS, kept("t"))
        left = builder.table("in", TEXTS, kept("l")).filter(fickle)
        left.join(right, lambda value: value, joined, TableJoined("j")).to_stream().to("out", OUT)

    with TopologyTestDriver(build, handlers=handlers) as driver:
        driver.input_topic("in").pipe_batch([("1", "a", 2), ("2", "b", 3)])
        fickle.raises = True
        driver.input_topic("table").pipe_batch([("b", "y", 4), ("a", "x", 5)])
        out = driver.output_topic("out", TEXT, TEXT).read_records()
    assert [record[:2] for record in out] == [("1", "a|x")]
    assert list(map(repr, handlers.errors)) == ["KeyError('b')"]


def test_what_waits_in_a_suppression_is_not_read_from_above() -> None:
    handlers, fickle = Skips(), Fickle()

    def build(builder: StreamsBuilder) -> None:
        table = builder.table("table", TEXTS, kept("t")).filter(fickle)
        waits = Suppressed.until_time_limit(1_000, Suppressed.BufferConfig.unbounded()).with_name("held")
        builder.stream("in", TEXTS).left_join(table.suppress(waits), joined).to("out", OUT)

    with TopologyTestDriver(build, handlers=handlers) as driver:
        driver.input_topic("table").pipe_batch([("b", "b", 1)])
        fickle.raises = True
        driver.input_topic("in").pipe_batch([("b", "2", 3)])
        out = driver.output_topic("out", TEXT, TEXT).read_records()
    assert [record[:2] for record in out] == [("b", "2|None")]
    assert handlers.errors == []


class Fixed(Rows):
    """Rows by key; a key in `bad` cannot be read."""

    def __init__(self, rows: dict[str, str], bad: str = "") -> None:
        self.known = rows
        self.bad = bad
        self.asked: list[str] = []

    def rows(self, keys: list[Any], _raw_keys: list[bytes], failed: dict[int, Exception]) -> list[Row]:
        self.asked += keys
        failed.update({place: KeyError(key) for place, key in enumerate(keys) if key in self.bad})
        return [(self.known[key], 0) if key in self.known and key not in self.bad else None for key in keys]


def test_a_join_without_a_store_calls_nothing_for_a_row_of_which_one_side_cannot_be_read() -> None:
    calls: list[str] = []

    def joiner(key: str, one: str | None, other: str | None) -> str:
        calls.append(key)
        return joined(one, other)

    left, right = Fixed({"a": "1", "b": "2", "c": "3"}, bad="b"), Fixed({"a": "x", "b": "y", "d": "z"}, bad="c")
    keys, raws = list("abcd"), [key.encode() for key in "abcd"]
    for kind, rows, asked in (
        ("left", [("1|x", 0), None, None, None], "ac"),
        ("outer", [("1|x", 0), None, None, ("None|z", 0)], "acd"),
    ):
        calls.clear()
        right.asked.clear()
        failed: dict[int, Exception] = {}
        view = JoinView(None, None, joiner, kind)  # type: ignore[arg-type]
        assert _JoinedRows(left, right, view).rows(keys, raws, failed) == rows
        assert sorted(failed) == [1, 2]
        assert "".join(right.asked) == asked
        assert calls == [key for key, row in zip(keys, rows, strict=True) if row is not None]
