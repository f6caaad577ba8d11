from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import (
    BufferConfig,
    Consumed,
    Materialized,
    Produced,
    StreamsBuilder,
    Suppressed,
    TimeWindows,
    TopologyTestDriver,
    serdes,
)
from engine.errors import StoreFull
from engine.operators.buffer_value import BufferValue, decode_buffer_value, encode_buffer_value
from engine.operators.java_hash_order import java_hash_order

TEXT = Consumed(serdes.string, serdes.string)


def suppressed_table(suppressed: Suppressed) -> Any:
    def build(builder: StreamsBuilder) -> None:
        table = builder.table("in", TEXT, Materialized("table"))
        table.suppress(suppressed).to_stream().to("out", Produced(serdes.string, serdes.string))

    return build


def written(out: Any) -> list[tuple[str, Any, int]]:
    return [(record.key, record.value, record.timestamp) for record in out.read_records()]


def test_an_update_waits_and_keeps_the_place_of_the_first_of_its_key() -> None:
    with TopologyTestDriver(suppressed_table(Suppressed.until_time_limit(10, name="slow"))) as driver:
        out = driver.output_topic("out")
        topic = driver.input_topic("in")
        topic.pipe("a", "1", 0)
        topic.pipe("b", "1", 5)
        topic.pipe("a", "2", 9)
        assert written(out) == []
        topic.pipe("c", "1", 10)
        assert written(out) == [("a", "2", 9)]
        topic.pipe("c", "2", 100)
        assert written(out) == [("b", "1", 5), ("c", "2", 100)]


def test_a_full_buffer_emits_its_oldest_early() -> None:
    limit = Suppressed.until_time_limit(hours=1, buffer=BufferConfig.max_records(1), name="slow")
    with TopologyTestDriver(suppressed_table(limit)) as driver:
        out = driver.output_topic("out")
        topic = driver.input_topic("in")
        topic.pipe("b", "1", 1)
        topic.pipe("a", "1", 1)
        assert written(out) == [("a", "1", 1)]
        topic.pipe("c", "1", 2)
        assert written(out) == [("b", "1", 1)]


def test_a_buffer_counts_bytes_as_kafka_streams_does() -> None:
    # A row: 8 of time, 1 of key, 20 of context, 2 of the topic's name "in", 3 of value.
    limit = Suppressed.until_time_limit(hours=1, buffer=BufferConfig.max_bytes(34), name="slow")
    with TopologyTestDriver(suppressed_table(limit)) as driver:
        out = driver.output_topic("out")
        topic = driver.input_topic("in")
        topic.pipe("a", "123", 1)
        assert written(out) == []
        topic.pipe("a", "1234", 2)
        assert written(out) == [("a", "1234", 2)]


def test_a_full_buffer_can_stop_the_engine() -> None:
    buffer = BufferConfig.max_records(1).shut_down_when_full()
    with TopologyTestDriver(suppressed_table(Suppressed.until_time_limit(10, buffer, name="slow"))) as driver:
        driver.input_topic("in").pipe("a", "1", 1)
        with pytest.raises(StoreFull, match="2 records"):
            driver.input_topic("in").pipe("b", "1", 1)


def windowed_counts(builder: StreamsBuilder) -> None:
    windows = TimeWindows.of(10, grace_ms=5)
    counts = builder.stream("in", TEXT).group_by_key().windowed_by(windows).count(Materialized("counts"))
    closed = counts.suppress(Suppressed.until_window_closes(BufferConfig.unbounded(), name="closed"))
    closed.to_stream(lambda window, _: f"{window.key}@{window.start}").to("out", Produced(serdes.string, serdes.int64))


def test_a_window_comes_out_once_when_it_has_closed_with_and_without_a_cache() -> None:
    for caching in (False, True):
        with TopologyTestDriver(windowed_counts, caching=caching) as driver:
            out = driver.output_topic("out")
            topic = driver.input_topic("in")
            for time in (1, 9, 14, 3, 15, 40, 2):
                topic.pipe("k", "v", time)
            driver.commit()
            assert written(out) == [("k@0", 3, 9), ("k@10", 2, 15)]


def test_what_waits_is_logged_once_per_commit() -> None:
    with TopologyTestDriver(windowed_counts, caching=True) as driver:
        topic = driver.input_topic("in")
        topic.pipe("k", "v", 1)
        topic.pipe("k", "v", 2)
        driver.commit()
        topic.pipe("k", "v", 3)
        driver.commit()
        rows = driver.changelog("test-closed-store-changelog")
        values = [decode_buffer_value(row.value or b"") for row in rows]
        assert [(value.prior, value.old, value.new, value.timestamp) for value in values] == [
            (None, None, (2).to_bytes(8, "big"), 2),
            (None, (2).to_bytes(8, "big"), (3).to_bytes(8, "big"), 3),
        ]
        assert {row.key for row in rows} == {b"k" + bytes(8)}


optional = st.none() | st.binary(max_size=5)


@given(
    st.builds(
        BufferValue,
        st.integers(0, 2**63 - 1),
        st.integers(-1, 2**63 - 1),
        st.text(max_size=5),
        st.integers(0, 100),
        st.none() | st.lists(st.tuples(st.text(max_size=3), optional), min_size=1, max_size=3),
        optional,
        optional,
        optional,
    )
)
def test_a_waiting_record_survives_its_bytes(value: BufferValue) -> None:
    data = encode_buffer_value(**value._asdict())
    assert decode_buffer_value(data) == value
    assert decode_buffer_value(data + bytes(8)) == value


def test_keys_are_logged_in_the_order_of_a_java_hash_set() -> None:
    # Arrays.hashCode of one byte is 31 + it: "a" 128, "b" 129, "p" 143, "q" 144; 16 buckets.
    assert java_hash_order([b"p", b"q", b"b", b"a"], 16) == ([b"q", b"a", b"b", b"p"], 16)
    # Bytes are signed in Java: 0xFF is -1, so its hash is 30.
    assert java_hash_order([b"p", b"\xff"], 16) == ([b"\xff", b"p"], 16)
    # Beyond three quarters the table doubles: "a" and "q" no longer share a bucket.
    many = [b"q", b"a", *(bytes([i]) for i in range(11))]
    ordered, capacity = java_hash_order(many, 16)
    assert capacity == 32
    assert ordered.index(b"a") < ordered.index(b"q")
