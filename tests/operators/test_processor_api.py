"""What a user's processor does to its stores, and whose fault an error in it is."""

import pytest

from engine import Consumed, Materialized, Processor, Produced, PunctuationType, Stores, TopologyTestDriver, serdes
from engine.config import EngineConfig
from engine.errors import Fatal, ProcessingError, TaskCorrupted, UnsupportedOperation
from engine.runtime.handlers import PolicyHandlers


class Putting(Processor):
    """Puts each value as it came into a store of numbers, digits as numbers, and forwards the record."""

    def init(self, context):
        self.context, self.store = context, context.state_store("sums")

    def process(self, record):
        if record.value == "corrupt":
            raise TaskCorrupted("the store is damaged")
        self.store.put(record.key, int(record.value) if record.value.isdigit() else record.value)
        self.context.forward(record)


def putting(builder):
    builder.add_state_store(Stores.persistent_key_value("sums", serdes.string, serdes.int64))
    builder.stream("in", Consumed(serdes.string, serdes.string)).process(Putting, stores=["sums"], name="putting").to(
        "out", Produced(serdes.string, serdes.string)
    )


def handlers(policy):
    return PolicyHandlers(EngineConfig("shop", processing_handler=policy), None, lambda _: None)


def rows(*values):
    return [(b"k", value.encode(), time, None) for time, value in enumerate(values)]


def test_a_value_that_a_stores_serde_refuses_costs_its_record_and_no_other():
    skipping = handlers("skip")
    with TopologyTestDriver(putting, application_id="shop", handlers=skipping) as driver:
        driver.pipe_raw("in", rows("1", "many", "3"))
        driver.commit()
        assert [row.value for row in driver.sent("out")] == [b"1", b"3"]
        assert driver.store("sums").get("k") == 3
        assert [row.value[-1] for row in driver.changelog("shop-sums-changelog")] == [1, 3]
    assert skipping.skipped_total == 1


def test_under_fail_it_stops_with_its_place_and_the_setting():
    with TopologyTestDriver(putting, handlers=handlers("fail")) as driver:
        driver.pipe_raw("in", rows("1"))
        with pytest.raises(Fatal, match=r"in-0@1 .* in node putting: SerializationError.*processing_handler"):
            driver.pipe_raw("in", rows("many"))


def test_what_the_engine_raises_about_itself_is_not_the_records_fault():
    skipping = handlers("skip")
    with TopologyTestDriver(putting, handlers=skipping) as driver, pytest.raises(TaskCorrupted):
        driver.pipe_raw("in", rows("corrupt"))
    assert skipping.skipped_total == 0


def test_an_error_that_was_told_of_a_node_below_is_not_told_again():
    def build(builder):
        builder.add_state_store(Stores.persistent_key_value("sums", serdes.string, serdes.int64))
        builder.stream("in", Consumed(serdes.string, serdes.string)).process(
            Putting, stores=["sums"], name="putting"
        ).map_values(lambda value: 1 // int(value), name="divided")

    with (
        TopologyTestDriver(build) as driver,
        pytest.raises(ProcessingError, match=r"^task 0_0, node divided, key 'k': ZeroDivisionError"),
    ):
        driver.pipe_raw("in", rows("0"))


def test_a_punctuation_that_puts_what_the_serde_refuses_is_the_handlers_too():
    class Ticking(Putting):
        def init(self, context):
            super().init(context)
            context.schedule(10, PunctuationType.STREAM_TIME, lambda _: self.store.put("k", "many"))

    def build(builder):
        builder.add_state_store(Stores.persistent_key_value("sums", serdes.string, serdes.int64))
        builder.stream("in", Consumed(serdes.string, serdes.string)).process(Ticking, stores=["sums"])

    skipping = handlers("skip")
    with TopologyTestDriver(build, handlers=skipping) as driver:
        driver.pipe_raw("in", [(b"k", b"1", 0, None), (b"k", b"2", 20, None)])
        assert driver.store("sums").get("k") == 2
    assert skipping.skipped_total == 2  # one for each record's time


class Resets(Processor):
    """Deletes a key's row of another operator's store."""

    def init(self, context):
        self.store = context.state_store("counts")

    def process(self, record):
        if record.value == "reset":
            self.store.delete(record.key)


@pytest.mark.parametrize("fold", ["count", "reduce", "table"])
def test_a_row_that_a_processor_deletes_leaves_a_cached_table_with_a_tombstone(fold):
    text = serdes.string

    def build(builder):
        stream = builder.stream("in", Consumed(text, text))
        kept = Materialized("counts", text, serdes.int64 if fold == "count" else text)
        made = {
            "count": lambda: stream.group_by_key().count(kept),
            "reduce": lambda: stream.group_by_key().reduce(lambda _, new: new, kept),
            "table": lambda: stream.to_table(kept),
        }[fold]()
        made.to_stream().to("out", Produced(text, serdes.int64 if fold == "count" else text))
        stream.process(Resets, stores=["counts"])

    with TopologyTestDriver(build, caching=True) as driver:
        driver.pipe_raw("in", rows("a", "reset"))
        driver.commit()
        assert [record[:2] for record in driver.output_topic("out").read_records()] == [("k", None)]
        assert driver.store("counts").get("k") is None


def test_a_global_tables_store_is_for_reading():
    class Reads(Putting):
        def process(self, record):
            if record.value == "read":
                self.context.forward(record.key, str(self.store.get("k").value) + next(iter(self.store.all()))[0])
            else:
                getattr(self.store, record.value)(record.key, "mine")

    text = serdes.string

    def build(builder):
        builder.global_table("everywhere", Consumed(text, text), Materialized("sums", text, text, store="in-memory"))
        builder.stream("in", Consumed(text, text)).process(Reads, stores=["sums"]).to("out", Produced(text, text))

    with TopologyTestDriver(build) as driver:
        driver.input_topic("everywhere").pipe("k", "x", 0)
        driver.pipe_raw("in", rows("read"))
        assert [record[:2] for record in driver.output_topic("out").read_records()] == [("k", "xk")]
        for change in ("put", "put_if_absent"):
            with pytest.raises(UnsupportedOperation, match=r"sums is a global table.* write to its topic everywhere"):
                driver.pipe_raw("in", rows(change))
