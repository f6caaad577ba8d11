"""What a store could not log costs its record and no other."""

import pytest

from engine import (
    Consumed,
    Grouped,
    Joined,
    JoinWindows,
    Materialized,
    Produced,
    SessionWindows,
    SlidingWindows,
    Stores,
    StreamJoined,
    StreamsBuilder,
    TableJoined,
    TimeWindows,
    TopologyTestDriver,
    serdes,
)
from engine.config import EngineConfig
from engine.errors import ConfigError, ProcessingError, SerializationError
from engine.runtime.handlers import PolicyHandlers

from .skipping import Skips

TEXT = serdes.string
TEXTS = Consumed(TEXT, TEXT)


@pytest.mark.parametrize("bad", [b"9223372036854775807", b"many"])
@pytest.mark.parametrize("caching", [True, False])
def test_a_result_that_the_stores_serde_refuses_costs_its_record_and_no_other(caching, bad):
    def build(builder):
        builder.stream("in", Consumed(serdes.string, serdes.string)).group_by_key().aggregate(
            lambda: 0,
            lambda _, value, total: total + int(value) if value.isdigit() else value,
            Materialized("sums", serdes.string, serdes.int64),
        )

    skipping = PolicyHandlers(EngineConfig("shop", processing_handler="skip"), None, lambda _: None)
    with TopologyTestDriver(build, application_id="shop", caching=caching, handlers=skipping) as driver:
        driver.pipe_raw("in", [(b"k", b"1", 0, None), (b"k", bad, 1, None), (b"k", b"2", 2, None)])
        driver.commit()
        assert driver.store("sums").get("k").value == 3
    assert skipping.skipped_total == 1


def spoilt(value):
    """What no text serde writes, in place of a bad value."""
    return 5 if value == "bad" else value


def both(left, right):
    return f"{left}|{right}"


def kept(name):
    return Materialized(name, TEXT, TEXT)


def stream(b):
    return b.stream("in", TEXTS).map_values(spoilt)


def other(b):
    return b.stream("other", TEXTS)


def grouped(b):
    return stream(b).group_by_key(Grouped(None, TEXT, TEXT))


def itself(b):
    one = stream(b)
    return one.join(one, both, JoinWindows.of(5), StreamJoined("j", TEXT, TEXT, single_store=True))


def folded(windows):
    def build(b):
        folds = grouped(b).windowed_by(windows).reduce(lambda _, new: new, kept("s"))
        return folds.to_stream().map(lambda key, value: (key.key, value))

    return build


def tables(b, name="in"):
    return b.table(name, TEXTS, kept(name))


STORED = {
    "left of a stream join": lambda b: stream(b).left_join(
        other(b), both, JoinWindows.of(5, grace_ms=0), StreamJoined("j", TEXT, TEXT, TEXT)
    ),
    "right of a stream join": lambda b: other(b).outer_join(
        stream(b), both, JoinWindows.of(5, grace_ms=0), StreamJoined("j", TEXT, TEXT, TEXT)
    ),
    "self-join": itself,
    "buffered join": lambda b: stream(b).left_join(
        b.table("other", TEXTS, Materialized.as_(Stores.persistent_versioned("v", 1_000), TEXT, TEXT)),
        both,
        Joined("j", TEXT, TEXT, grace_ms=0),
    ),
    "key of a global table": lambda b: b.stream("in", TEXTS).left_join(
        b.global_table("other", TEXTS, kept("other")), lambda _, value: spoilt(value), both
    ),
    "reduce": lambda b: grouped(b).reduce(lambda _, new: new, kept("s")).to_stream(),
    "time windows": folded(TimeWindows.of(5)),
    "sliding windows": folded(SlidingWindows.of(5)),
    "session windows": folded(SessionWindows.of(5)),
    "to table": lambda b: stream(b).to_table(kept("s")).to_stream(),
    "mapped table": lambda b: tables(b).map_values(spoilt, kept("s")).to_stream(),
    "joined table": lambda b: (
        tables(b).left_join(tables(b, "other"), lambda left, _: spoilt(left), kept("s")).to_stream()
    ),
    "foreign-key join": lambda b: (
        tables(b)
        .left_join(tables(b, "other"), lambda value: value, lambda left, _: spoilt(left), TableJoined("fk"), kept("s"))
        .to_stream()
    ),
    "grouped table": lambda b: (
        tables(b)
        .group_by(lambda key, value: (key, spoilt(value)), Grouped("g", TEXT, TEXT))
        .reduce(lambda _, new: new, lambda old, _: old, kept("s"))
        .to_stream()
    ),
}


def driven(build, handlers):
    builder = StreamsBuilder()
    build(builder).to("out", Produced(TEXT, TEXT))
    with TopologyTestDriver(builder.build(), handlers=handlers) as driver:
        driver.input_topic("in").pipe_batch([("a", "x", 0), ("b", "bad", 1), ("c", "y", 2)])
        try:
            # Time goes on, for windows and buffers.
            driver.input_topic("other").pipe_batch([("late", "z", 1_000)])
        except ConfigError:
            assert "other" not in builder.build().describe()
        driver.input_topic("in").pipe_batch([("late", "z", 2_000)])
        return {record[0] for record in driver.output_topic("out", TEXT, TEXT).read_records()}


@pytest.mark.parametrize("build", STORED.values(), ids=STORED)
def test_what_an_operator_keeps_and_its_serde_refuses_costs_its_record_alone(build):
    skips = Skips()
    assert driven(build, skips) - {"late"} == {"a", "c"}
    assert skips.keys == ["b"]
    assert isinstance(skips.errors[0], SerializationError)


@pytest.mark.parametrize("build", STORED.values(), ids=STORED)
def test_under_fail_it_stops(build):
    with pytest.raises((ProcessingError, SerializationError), match="serde string cannot write int 5"):
        driven(build, None)
