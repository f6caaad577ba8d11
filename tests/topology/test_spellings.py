"""Ways to write the same topology: `Joined` for every join, plain texts as names, durations as timedeltas."""

from datetime import timedelta

import pytest

from engine import (
    Consumed,
    Joined,
    JoinWindows,
    Materialized,
    Processor,
    Produced,
    Stores,
    StreamJoined,
    Suppressed,
    TableJoined,
    TimeWindows,
    TopologyTestDriver,
    serdes,
)
from engine.errors import ConfigError, TopologyError

TEXT, OUT = Consumed(serdes.string, serdes.string), Produced(serdes.string, serdes.string)
KEPT = Materialized("counts", serdes.string, serdes.int64)


def plus(left, right):
    return f"{left}+{right}"


def answers(build, *rows):
    with TopologyTestDriver(build) as driver:
        for topic, key, value, timestamp in rows:
            driver.input_topic(topic).pipe(key, value, timestamp)
        return [tuple(record[:3]) for record in driver.output_topic("out").read_records()]


@pytest.mark.parametrize("joined", [StreamJoined("pairs"), Joined("pairs"), "pairs"])
def test_a_stream_stream_join_is_named_by_any_of_three(joined):
    def build(builder):
        left, right = builder.stream("L", TEXT), builder.stream("R", TEXT)
        left.outer_join(right, plus, JoinWindows.of(seconds=1), joined).to("out", OUT)

    rows = [("L", "a", "1", 0), ("R", "a", "x", 500), ("R", "b", "y", 9_000), ("L", "c", "z", 20_000)]
    assert answers(build, *rows) == [("a", "1+x", 500), ("b", "None+y", 9_000)]


@pytest.mark.parametrize("joined", [TableJoined("fk"), Joined("fk"), "fk"])
def test_a_foreign_key_join_is_named_by_any_of_three(joined):
    def build(builder):
        left, right = builder.table("L", TEXT, "left"), builder.table("R", TEXT, "right")
        left.join(right, plus, foreign_key=lambda value: value[:1], joined=joined).to_stream().to("out", OUT)

    assert answers(build, ("R", "x", "right", 1), ("L", "a", "x1", 2)) == [("a", "x1+right", 2)]


def test_a_stream_table_join_is_named_by_a_text():
    def build(builder):
        stream = builder.stream("L", TEXT)
        stream.join(builder.table("R", TEXT, Materialized("table")), plus, "again").to("out", OUT)

    assert answers(build, ("R", "a", "right", 1), ("L", "a", "x", 2)) == [("a", "x+right", 2)]


def test_a_grace_where_no_join_waits_is_refused():
    def build(builder):
        left, right = builder.stream("L", TEXT), builder.stream("R", TEXT)
        left.join(right, plus, JoinWindows.of(seconds=1), Joined("pairs", grace_ms=5))

    with pytest.raises(TopologyError, match="no grace_ms"):
        TopologyTestDriver(build)


def test_what_is_no_name_of_a_join_is_refused():
    def build(builder):
        builder.stream("L", TEXT).join(builder.stream("R", TEXT), plus, JoinWindows.of(seconds=1), 7)

    with pytest.raises(TopologyError, match=r"takes a StreamJoined\('…'\), not 7"):
        TopologyTestDriver(build)


def test_texts_name_stores_and_repartition_topics():
    def build(builder):
        stream = builder.stream("in", TEXT).repartition("again")
        stream.group_by_key().count("counts").to_stream().map_values(str).to("out", OUT)
        stream.group_by_key("by-key").reduce(plus, Stores.in_memory_key_value("sums", serdes.string, serdes.string))

    with TopologyTestDriver(build) as driver:
        for value in "xy":
            driver.input_topic("in").pipe("a", value, 5)
        assert driver.store("counts").get("a") == (2, 5)
        assert driver.store("sums").get("a") == ("x+y", 5)
        assert driver.internal_topics() == [
            "test-again-repartition",
            "test-counts-changelog",
            "test-sums-changelog",
        ]


@pytest.mark.parametrize(
    "suppressed",
    [
        Suppressed.until_window_closes(),
        Suppressed.until_window_closes("final"),
        Suppressed.until_window_closes(name="final"),
    ],
)
def test_a_suppression_is_named_by_a_text_or_by_the_store_above(suppressed):
    def build(builder):
        counts = builder.stream("in", TEXT).group_by_key().windowed_by(TimeWindows.of(seconds=1)).count(KEPT)
        counts.suppress(suppressed).to_stream().map(lambda window, count: (window.key, str(count))).to("out", OUT)

    with TopologyTestDriver(build) as driver:
        for timestamp in (0, 10, 1_000):
            driver.input_topic("in").pipe("a", "x", timestamp)
        assert driver.output_topic("out").read_values() == ["2"]
        name = suppressed.name or "counts-suppress"
        assert f"test-{name}-store-changelog" in driver.internal_topics()


def test_a_suppression_below_no_store_needs_a_name():
    def build(builder):
        counts = builder.stream("in", TEXT).group_by_key().windowed_by(TimeWindows.of(seconds=1)).count(KEPT)
        counts.map_values(str).suppress(Suppressed.until_window_closes())

    with pytest.raises(TopologyError, match="needs a name"):
        TopologyTestDriver(build)


def test_times_of_stores_and_schedules_are_milliseconds_or_timedeltas():
    spec = Stores.persistent_window("w", timedelta(minutes=1), timedelta(seconds=1)).retention(timedelta(hours=1)).spec
    assert (spec.window_ms, spec.retention_ms) == (1_000, 3_600_000)
    assert Stores.persistent_versioned("v", timedelta(days=1)).spec.history_ms == 86_400_000
    assert Stores.in_memory_session("s", timedelta(seconds=2)).spec.retention_ms == 2_000
    with pytest.raises(ConfigError, match="give milliseconds"):
        Stores.persistent_window("w", "an hour", 5)

    class Ticking(Processor):
        def init(self, context):
            context.schedule(
                timedelta(milliseconds=10), "wall-clock-time", lambda time: context.forward("t", str(time))
            )

        def process(self, record):
            pass

    with TopologyTestDriver(lambda builder: builder.stream("in", TEXT).process(Ticking).to("out", OUT)) as driver:
        driver.advance_wall_clock(10)
        assert driver.output_topic("out").read_values() == ["10"]
