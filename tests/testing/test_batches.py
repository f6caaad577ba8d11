"""A micro-batch gives the answers of record-by-record processing, and the record cache only leaves out what it superseded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Consumed, Grouped, JoinWindows, Materialized, Produced, StreamJoined, TopologyTestDriver, serdes
from engine.testing.linear import linear_sources
from engine.topology.builder import StreamsBuilder

TEXT = Consumed(serdes.string, serdes.string)
OUT = Produced(serdes.string, serdes.string)
GROUP = Grouped("again", serdes.string, serdes.string)


def upper(value):
    return None if value is None else value.upper()


def rekeyed_count(builder):
    stream = builder.stream("a", TEXT)
    stream.group_by(lambda _, value: value, GROUP).count(Materialized("s")).to_stream().to("out")


def reduced_then_filtered(builder):
    table = builder.stream("a", TEXT).group_by_key().reduce(lambda one, other: one + other, Materialized("s"))
    table.filter(lambda _, value: len(value) % 2 == 0).to_stream().to("out")


def lists(builder):
    kept = Materialized("s", serdes.string, serdes.json)

    def append(_key, value, seen):
        seen.append(value)
        return seen if len(seen) < 4 else None

    builder.stream("a", TEXT).group_by_key().aggregate(list, append, kept).to_stream().to("out")


def grouped_table(builder):
    table = builder.table("a", TEXT, Materialized("t"))
    group = table.group_by(lambda _, value: (value, value), GROUP)
    group.count(Materialized("s")).to_stream().to("out")


def two_ways_to_one_store(builder):
    stream = builder.stream("a", TEXT)
    other = stream.filter(lambda _, value: value != "y").map_values(upper)
    stream.merge(other).group_by_key(GROUP).count(Materialized("s")).to_stream().to("out")


def two_topics_one_output(builder):
    builder.stream("a", TEXT).group_by(lambda _, value: value, GROUP).count(Materialized("s")).to_stream().map_values(
        str
    ).to("out", OUT)
    builder.stream("a", TEXT).map_values(upper).to("out", OUT)


def joined_with_itself(builder):
    left, right = builder.stream("a", TEXT), builder.stream("b", TEXT)
    joined = left.join(right, lambda one, other: one + other, JoinWindows.of(difference_ms=3), StreamJoined("j"))
    joined.to("out", OUT)


def mapped_tables(builder):
    table = builder.table("a", TEXT, Materialized("t")).map_values(
        str.upper, Materialized("s", serdes.string, serdes.string)
    )
    table.filter_not(lambda _, value: value == "Y", Materialized("f", serdes.string, serdes.string)).to_stream().to(
        "out", OUT
    )


BUILDS = [
    rekeyed_count,
    reduced_then_filtered,
    lists,
    grouped_table,
    two_ways_to_one_store,
    two_topics_one_output,
    joined_with_itself,
    mapped_tables,
]
ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["k", "l", None]),
        st.sampled_from(["x", "y", None]),
        st.integers(0, 12),
    ),
    max_size=14,
)


def run(build, rows, *, batch, caching=False, commits=()):
    with TopologyTestDriver(in_memory(build), caching=caching) as driver:
        known = [row for row in rows if driver._reads(row[0])]
        if batch:
            driver.pipe_all(known)
        else:
            for place, row in enumerate(known):
                driver.pipe_all([row])
                if place in commits:
                    driver.commit()
        if caching:
            driver.commit()
        outputs = [(topic, sent.key, sent.value, sent.timestamp) for topic, sent in driver.outputs()]
        changelogs = {topic: driver.changelog(topic) for topic in driver.internal_topics()}
        return outputs, changelogs, driver.dropped_records_total


def in_memory(build):
    builder = StreamsBuilder()
    build(builder)
    for name, spec in builder.graph.stores.items():
        builder.graph.stores[name] = spec.with_(backend="memory")
    return builder


@pytest.mark.parametrize("build", BUILDS)
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_one_batch_gives_the_same_as_record_by_record(build, rows):
    assert run(build, rows, batch=True) == run(build, rows, batch=False)


@pytest.mark.parametrize("build", [rekeyed_count, reduced_then_filtered, lists, mapped_tables])
@settings(max_examples=60, deadline=None)
@given(rows=ROWS, commits=st.sets(st.integers(0, 13)))
def test_the_cache_leaves_out_superseded_results_and_nothing_else(build, rows, commits):
    """Per commit, each key's last result survives, in the order of last results; the end state is the same."""
    every, full, dropped = run(build, rows, batch=False)
    held, short, held_dropped = run(build, rows, batch=False, caching=True, commits=commits)
    assert held_dropped == dropped
    # Without the times: a cache above leaves out an update, and what follows from the next one has that one's time.
    assert {row[:3] for row in held} <= {row[:3] for row in every}
    assert last_values(held) == last_values(every)
    for topic, rows_of_topic in full.items():
        if topic.endswith("-changelog"):
            assert folded(short.get(topic, [])) == folded(rows_of_topic)


def folded(changelog):
    last = {row.key: row.value for row in changelog}
    return {key: value for key, value in last.items() if value is not None}


def last_values(rows):
    """What a reader of the output knows in the end; a key without a value is as good as one never seen."""
    last = {(topic, key): value for topic, key, value, _ in rows}
    return {key: value for key, value in last.items() if value is not None}


@pytest.mark.parametrize("batch", [False, True])
def test_a_held_back_key_that_came_and_went_is_told_as_gone(batch):
    rows = [("a", "k", value, time) for time, value in enumerate("wxyz")]
    assert run(lists, rows, batch=batch, caching=True)[0] == [("out", b"k", None, 3)]


def table_join(builder):
    left, right = (builder.table(topic, TEXT, Materialized(topic)) for topic in "ab")
    kept = Materialized("joined", serdes.string, serdes.string)
    left.join(right, lambda one, other: one + other, kept).to_stream().to("out", OUT)


@pytest.mark.parametrize("batch", [False, True])
def test_a_join_that_saw_a_held_back_key_is_taken_back_when_the_key_goes(batch):
    rows = [("a", "k", "x", 0), ("b", "k", "y", 1), ("a", "k", None, 2)]
    with TopologyTestDriver(in_memory(table_join), caching=True) as driver:
        for chunk in [rows] if batch else [[row] for row in rows]:
            driver.pipe_all(chunk)
        driver.commit()
        assert list(driver.store("joined").all()) == []


def test_linear_topologies_let_batches_through_and_others_do_not():
    def linear(build):
        builder = StreamsBuilder()
        build(builder)
        return "KSTREAM-SOURCE-0000000000" in linear_sources(builder.build())

    assert linear(rekeyed_count)
    assert not linear(two_topics_one_output)
