"""The test driver: what goes in, what comes out, in which order."""

import tempfile
from pathlib import Path

import pytest

from engine import (
    Consumed,
    Grouped,
    Materialized,
    Processor,
    Produced,
    PunctuationType,
    Record,
    Repartitioned,
    Stores,
    TopologyTestDriver,
    ValueAndTimestamp,
    serdes,
)
from engine.errors import ConfigError, DeserializationError, ProcessingError, StoreError

TEXT = Consumed(serdes.string, serdes.string)
OUT = Produced(serdes.string, serdes.string)


def counting(builder):
    grouped = builder.stream("in", TEXT).group_by(
        lambda _, value: value, Grouped("by-value", serdes.string, serdes.string)
    )
    grouped.count(Materialized("counts")).to_stream().to("out")


def test_a_record_goes_through_repartition_topics_before_pipe_returns():
    with TopologyTestDriver(counting) as driver:
        driver.input_topic("in").pipe("k", "a", 7)
        assert driver.store("counts").get("a") == ValueAndTimestamp(1, 7)
        assert driver.output_topic("out").read_records() == [Record("a", 1, 7, None)]


def test_records_are_read_once():
    with TopologyTestDriver(counting) as driver:
        out = driver.output_topic("out")
        driver.input_topic("in").pipe("k", "a", 7)
        assert out.read_values() == [1]
        assert out.is_empty()
        assert out.read_records() == []


def test_with_caching_results_wait_for_the_commit_and_superseded_ones_are_left_out():
    with TopologyTestDriver(counting, caching=True) as driver:
        driver.input_topic("in").pipe_batch([("k", value, time) for time, value in enumerate("abaac")])
        out = driver.output_topic("out")
        assert out.is_empty()
        driver.commit()
        assert out.read_records() == [Record("b", 1, 1, None), Record("a", 3, 3, None), Record("c", 1, 4, None)]
        driver.commit()
        assert out.is_empty()


def test_changelogs_and_repartition_topics_are_there_as_bytes():
    with TopologyTestDriver(counting, application_id="shop") as driver:
        driver.input_topic("in").pipe("k", "a", 7)
        assert driver.internal_topics() == ["shop-by-value-repartition", "shop-counts-changelog"]
        assert driver.changelog("shop-counts-changelog") == [(b"a", b"\0\0\0\0\0\0\0\1", 7, None)]
        assert driver.changelog("shop-by-value-repartition") == [(b"a", b"a", 7, None)]


def test_headers_travel():
    with TopologyTestDriver(counting) as driver:
        driver.input_topic("in").pipe("k", "a", 7, [("trace", b"1")])
        assert driver.output_topic("out").read_records()[0].headers == [("trace", b"1")]


def test_topics_that_the_topology_does_not_read_are_refused_by_name():
    with TopologyTestDriver(counting) as driver, pytest.raises(ConfigError, match=r"does not read topic other.*in"):
        driver.input_topic("other")


def test_unknown_stores_are_refused_by_name():
    with TopologyTestDriver(counting) as driver, pytest.raises(ConfigError, match=r"no store 'other'.*counts"):
        driver.store("other")


def test_user_errors_end_the_test_with_their_cause():
    def build(builder):
        builder.stream("in", TEXT).map_values(int).to("out")

    with TopologyTestDriver(build) as driver:
        with pytest.raises(ProcessingError, match=r"key 'k'.*ValueError") as raised:
            driver.input_topic("in").pipe("k", "x", 1)
        assert isinstance(raised.value.__cause__, ValueError)


def test_bytes_that_cannot_be_read_end_the_test_with_their_place():
    def build(builder):
        builder.stream("in", Consumed(serdes.string, serdes.int64)).to("out")

    with TopologyTestDriver(build) as driver, pytest.raises(DeserializationError, match="in-0@0 cannot be read"):
        driver.input_topic("in", value_serde=serdes.string).pipe("k", "x", 1)


def test_closing_frees_the_directory_and_may_be_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    driver = TopologyTestDriver(counting)
    assert list(Path(tmp_path).iterdir())
    driver.close()
    driver.close()
    assert not list(Path(tmp_path).iterdir())
    with pytest.raises(ConfigError, match="closed"):
        driver.input_topic("in").pipe("k", "v", 1)


def test_a_negative_timestamp_drops_the_record():
    def build(builder):
        consumed = Consumed(serdes.string, serdes.string, timestamp_extractor=lambda record, _: int(record.value))
        builder.stream("in", consumed).to("out")

    with TopologyTestDriver(build) as driver:
        driver.input_topic("in").pipe_batch([("k", "5", 1), ("k", "-1", 2), ("k", "9", 3)])
        assert [record.timestamp for record in driver.output_topic("out").read_records()] == [5, 9]
        assert driver.dropped_records_total == 1


def test_what_is_written_to_a_topic_that_the_topology_reads_comes_back_in():
    def build(builder):
        builder.stream("in", TEXT).to("middle")
        builder.stream("middle", TEXT).map_values(str.upper).to("out", OUT)

    with TopologyTestDriver(build) as driver:
        driver.input_topic("in").pipe("k", "a", 1)
        assert driver.output_topic("out").read_values() == ["A"]
        assert driver.output_topic("middle").read_values() == ["a"]


class Forwarding(Processor):
    """Tells what it sees of its context."""

    def init(self, context):
        self.context = context
        self.seen = context.state_store("seen")
        context.schedule(10, PunctuationType.WALL_CLOCK_TIME, lambda time: context.forward("tick", str(time), time))

    def process(self, record):
        self.seen.put(record.key, record.value)
        where = self.context.record_metadata
        self.context.forward(record.key, f"{where.topic}@{where.offset}", child="one")
        self.context.forward(record._replace(value=str(self.context.current_stream_time_ms())), child="two")


def processing(builder):
    stream = builder.stream("in", TEXT).process(
        Forwarding, stores=[Stores.in_memory_key_value("seen", serdes.string, serdes.string)]
    )
    stream.peek(lambda _key, _value: None, name="one").to("one", OUT)
    stream.peek(lambda _key, _value: None, name="two").to("two", OUT)


def test_a_processor_sees_its_record_its_stores_and_both_clocks():
    with TopologyTestDriver(processing) as driver:
        driver.input_topic("in").pipe_batch([("k", "a", 5), ("k", "b", 3)])
        assert driver.output_topic("one").read_records() == [Record("k", "in@0", 5), Record("k", "in@1", 3)]
        assert driver.output_topic("two").read_records() == [Record("k", "5", 5), Record("k", "5", 3)]
        assert driver.store("seen").get("k") == "b"
        driver.advance_wall_clock(25)
        assert driver.output_topic("one").read_records() == [Record("tick", "25", 25)]
        assert driver.changelog("test-seen-changelog") == [(b"k", b"a", 5, None), (b"k", b"b", 3, None)]


def test_a_processor_reaches_only_the_stores_it_is_connected_to():
    class Greedy(Processor):
        def init(self, context):
            context.state_store("other")

    def build(builder):
        builder.add_state_store(Stores.in_memory_key_value("other"))
        builder.stream("in", TEXT).process(Greedy)
        builder.stream("in2", TEXT).process(Greedy, stores=["other"])

    with pytest.raises(StoreError, match="not connected to store 'other'"):
        TopologyTestDriver(build)


def test_process_values_keeps_keys():
    class Rekeying(Processor):
        def process(self, record):
            self.context.forward("other", record.value)

    def build(builder):
        builder.stream("in", TEXT).process_values(Rekeying).to("out")

    with TopologyTestDriver(build) as driver, pytest.raises(StoreError, match="process_values keeps keys"):
        driver.input_topic("in").pipe("k", "v", 1)


def test_a_processor_can_ask_for_a_commit():
    class Committing(Processor):
        def process(self, record):
            self.context.forward(record)
            self.context.commit()

    def build(builder):
        stream = builder.stream("in", TEXT).process_values(Committing)
        kept = Materialized("counts", serdes.string, serdes.int64)
        stream.group_by_key(Grouped(None, serdes.string, serdes.string)).count(kept).to_stream().to("out")

    with TopologyTestDriver(build, caching=True) as driver:
        driver.input_topic("in").pipe("k", "v", 1)
        assert driver.output_topic("out").read_values() == [1]


def test_null_keys_do_not_pass_a_repartition():
    def build(builder):
        builder.stream("in", TEXT).repartition(Repartitioned("again")).to("out", OUT)

    with TopologyTestDriver(build) as driver:
        driver.input_topic("in").pipe_batch([(None, "a", 1), ("k", "b", 2)])
        assert driver.output_topic("out").read_values() == ["b"]
        assert driver.dropped_records_total == 0


def test_sinks_may_choose_the_topic_by_record():
    def build(builder):
        builder.stream("in", TEXT).to(lambda _, value: f"out-{value}", OUT)

    with TopologyTestDriver(build) as driver:
        driver.input_topic("in").pipe_batch([("k", value, time) for time, value in enumerate("aab")])
        assert driver.output_topic("out-a").read_values() == ["a", "a"]
        assert driver.output_topic("out-b").read_values() == ["b"]


def test_a_record_is_read_once_whichever_object_of_the_topic_asks():
    def build(builder):
        builder.stream("in", Consumed(serdes.string, serdes.string)).to("out")

    with TopologyTestDriver(build) as driver:
        driver.input_topic("in").pipe("a", "1", 0)
        assert not driver.output_topic("out").is_empty()
        assert driver.output_topic("out").read_values() == ["1"]
        driver.input_topic("in").pipe("a", "2", 0)
        assert driver.output_topic("out").read_values() == ["2"]
        assert driver.output_topic("out").read_records() == []
        assert driver.output_topic("out").is_empty()
