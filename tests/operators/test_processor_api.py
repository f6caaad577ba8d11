"""What a user's processor does to its stores, and whose fault an error in it is."""

import pytest

from engine import Consumed, Processor, Produced, PunctuationType, Stores, TopologyTestDriver, serdes
from engine.config import EngineConfig
from engine.errors import Fatal, ProcessingError, TaskCorrupted
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
