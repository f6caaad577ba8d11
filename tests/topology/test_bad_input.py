"""What cannot work is refused where it is written, in words that say what to write instead."""

from __future__ import annotations

import functools
import operator
from datetime import timedelta
from typing import Any

import pytest

from engine import (
    BufferConfig,
    Consumed,
    Grouped,
    Joined,
    JoinWindows,
    Materialized,
    Processor,
    Produced,
    Repartitioned,
    SessionWindows,
    Stores,
    StreamJoined,
    StreamsBuilder,
    Suppressed,
    TableJoined,
    TimeWindows,
    serdes,
)
from engine.errors import ConfigError, TopologyError
from engine.limits import PATH_LENGTH_MAX
from engine.topology.builder import topology_of

TEXT = serdes.string
TEXTS = Consumed(TEXT, TEXT)


def stream() -> Any:
    return StreamsBuilder().stream("in", TEXTS)


def table(builder: Any = None, topic: str = "table") -> Any:
    return (builder or StreamsBuilder()).table(topic, TEXTS, Materialized(topic))


def groups() -> Any:
    return stream().group_by_key()


def sessions() -> Any:
    return groups().windowed_by(SessionWindows.of(5))


async def waits(*_: Any) -> Any:
    """A coroutine function of any arguments."""


def wrong(*_: Any, missing: Any) -> Any:
    """No positional call suits it."""


CALLERS = {
    "filter": (lambda f: stream().filter(f), "predicate", "(key, value)"),
    "filter not": (lambda f: stream().filter_not(f), "predicate", "(key, value)"),
    "map": (lambda f: stream().map(f), "mapper", "(key, value)"),
    "map values": (lambda f: stream().map_values(f), "mapper", "(value) or (key, value)"),
    "flat map": (lambda f: stream().flat_map(f), "mapper", "(key, value)"),
    "flat map values": (lambda f: stream().flat_map_values(f), "mapper", "(value) or (key, value)"),
    "select key": (lambda f: stream().select_key(f), "selector", "(key, value)"),
    "group by": (lambda f: stream().group_by(f), "selector", "(key, value)"),
    "peek": (lambda f: stream().peek(f), "action", "(key, value)"),
    "for each": (lambda f: stream().for_each(f), "action", "(key, value)"),
    "branch": (lambda f: stream().split().branch(f), "predicate", "(key, value)"),
    "topic": (lambda f: stream().to(f), "topic", "(key, value)"),
    "process": (lambda f: stream().process(f), "processor", "()"),
    "process values": (lambda f: stream().process_values(f), "processor", "()"),
    "extractor": (lambda f: Consumed(TEXT, TEXT, f), "timestamp extractor", "(record, partition_time)"),
    "partitioner": (lambda f: Produced(TEXT, TEXT, f), "partitioner", "(topic, key, value, partitions)"),
    "repartition": (lambda f: Repartitioned("r", partitioner=f), "partitioner", "(topic, key, value, partitions)"),
    "table joined": (lambda f: TableJoined("r", other_partitioner=f), "other partitioner", "partitions)"),
    "reduce": (lambda f: groups().reduce(f, "s"), "reducer", "(aggregate, value)"),
    "initializer": (lambda f: groups().aggregate(f, max, "s"), "initializer", "()"),
    "aggregator": (lambda f: groups().aggregate(str, f, "s"), "aggregator", "(key, value, aggregate)"),
    "cogroup": (lambda f: groups().cogroup(f), "aggregator", "(key, value, aggregate)"),
    "cogroup initializer": (lambda f: groups().cogroup(max).aggregate(f, "s"), "initializer", "()"),
    "session reduce": (lambda f: sessions().reduce(f, "s"), "reducer", "(aggregate, value)"),
    "merger": (lambda f: sessions().aggregate(str, max, f, "s"), "merger", "(key, one, other)"),
    "window aggregator": (
        lambda f: groups().windowed_by(TimeWindows.of(5)).aggregate(str, f, "s"),
        "aggregator",
        "(key, value, aggregate)",
    ),
    "table filter": (lambda f: table().filter(f), "predicate", "(key, value)"),
    "table map": (lambda f: table().map_values(f), "mapper", "(value) or (key, value)"),
    "table group": (lambda f: table().group_by(f), "selector", "(key, value)"),
    "adder": (lambda f: table().group_by(lambda k, v: (k, v)).reduce(f, max, "s"), "adder", "(aggregate, new)"),
    "subtractor": (lambda f: table().group_by(lambda k, v: (k, v)).reduce(max, f, "s"), "subtractor", "old)"),
    "stream join": (
        lambda f: (s := stream()).join(s.builder.stream("b", TEXTS), f, JoinWindows.of(5), "j"),
        "joiner",
        "(left, right) or (key, left, right)",
    ),
    "lookup": (lambda f: (s := stream()).join(table(s.builder), f), "joiner", "(left, right) or (key, left, right)"),
    "table join": (lambda f: (t := table()).join(table(t.builder, "b"), f), "joiner", "(key, left, right)"),
    "foreign key": (
        lambda f: (t := table()).join(table(t.builder, "b"), f, max, "fk"),
        "foreign-key extractor",
        "(value) or (key, value)",
    ),
}


@pytest.mark.parametrize(("give", "what", "call"), CALLERS.values(), ids=CALLERS)
def test_a_function_that_cannot_be_called_so_is_refused(give: Any, what: str, call: str) -> None:
    with pytest.raises(TopologyError) as refused:
        give(wrong)
    assert f"the {what} wrong takes (*_: 'Any', missing: 'Any') -> 'Any': it is called with (" in str(refused.value)
    assert str(refused.value).endswith(call)
    with pytest.raises(TopologyError, match=f"the {what} waits is async: the engine calls functions without awaiting"):
        give(waits)


class Waits:
    async def __call__(self, *_: Any) -> Any:
        """What it returns is a coroutine as well."""


def test_an_object_whose_call_is_async_is_refused() -> None:
    with pytest.raises(TopologyError, match="is async"):
        stream().map_values(Waits())


class Called:
    def __call__(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    "mapper",
    [
        str,
        len,
        str.upper,
        max,
        operator.itemgetter(0),
        functools.partial(lambda prefix, value: prefix + value, "-"),
        Called(),
        lambda *arguments: arguments,
        lambda key, value, more=None: (key, value, more),
    ],
)
def test_any_kind_of_function_maps_values(mapper: Any) -> None:
    stream().map_values(mapper)


@pytest.mark.parametrize("serde", [str, serdes.avro, "string", TEXTS])
@pytest.mark.parametrize(
    ("give", "where"),
    [
        (Consumed, "Consumed: key_serde"),
        (lambda serde: Produced(None, serde), "Produced: value_serde"),
        (lambda serde: Grouped("g", serde), "Grouped: key_serde"),
        (lambda serde: Joined("j", None, serde), "Joined: value_serde"),
        (lambda serde: StreamJoined("j", None, None, serde), "StreamJoined: other_value_serde"),
        (lambda serde: Repartitioned("r", serde), "Repartitioned r: key_serde"),
        (lambda serde: Materialized("m", None, serde), "store m: value_serde"),
        (lambda serde: Stores.persistent_key_value("s", serde), "store s: key_serde"),
        (lambda serde: Stores.in_memory_session("s", 5).serdes(None, serde), "store s: value_serde"),
    ],
)
def test_what_is_no_serde_is_refused(give: Any, where: str, serde: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{where} is .*: give a serde, such as serdes.string"):
        give(serde)


@pytest.mark.parametrize(
    ("give", "says"),
    [
        (lambda: Joined("j", grace_ms=-1), "Joined: grace_ms is -1: give a whole number, 0 or more"),
        (lambda: Joined("j", grace_ms="5"), "Joined: grace_ms is '5': give a whole number"),
        (lambda: Materialized("m", retention_ms=1.5), "store m: retention_ms is 1.5: give a whole number"),
        (lambda: Materialized("m", logging="no"), "store m: logging is 'no': give True or False"),
        (lambda: Materialized("m", caching=None), "store m: caching is None: give True or False"),
        (lambda: Materialized("m", topic_config={"retention.ms": 5}), "store m: topic_config .*as text"),
        (lambda: Materialized("m", rocksdb=[]), r"store m: rocksdb is \[\]: give settings by name"),
        (lambda: Materialized("m", rocksdb={"block_size": 1}), "store m: rocksdb block_size is 1: give a whole"),
        (lambda: Materialized("m", store=[]), "neither 'rocksdb' nor 'in-memory'"),
        (lambda: Repartitioned("r", partitions=0), "Repartitioned r: partitions is 0: give a whole number, 1 or more"),
        (lambda: StreamJoined("j", single_store=1), "StreamJoined: single_store is 1: give True or False"),
        (lambda: StreamJoined("j", this_store="s"), "a store is given as 's': give a StoreSupplier"),
        (lambda: BufferConfig.max_records(-1), "BufferConfig: records_max is -1: give a whole number, 0 or more"),
        (lambda: BufferConfig.max_bytes("1 MB"), "BufferConfig: bytes_max is '1 MB'"),
        (lambda: Suppressed.until_time_limit(5, 10), r"the buffer of a suppression .*give a BufferConfig"),
        (
            lambda: StreamsBuilder().global_table("t", TEXTS, Stores.persistent_versioned("g", 60_000)),
            "cannot have a versioned store",
        ),
        (
            lambda: (s := stream()).join(
                s.builder.table("t", TEXTS, Stores.persistent_versioned("v", 60_000)), max, Joined("j", grace_ms=60_001)
            ),
            "store v knows the last 60000 ms and the join waits for 60001 ms",
        ),
        (lambda: stream().split().branch(max, "a").branch(max, "a"), "two branches are named 'a'"),
        (lambda: stream().split().branch(max, "a").default_branch("a"), "two branches are named 'a'"),
        (lambda: Stores.lru_map("s", 0), "store s: max_entries is 0: give a whole number, 1 or more"),
        (lambda: Stores.in_memory_key_value("s").max_bytes("1 GiB"), "store s: max_bytes is '1 GiB'"),
        (lambda: Stores.persistent_key_value("s", timestamped=1), "store s: timestamped is 1"),
    ],
)
def test_an_option_that_is_not_what_its_name_stands_for_is_refused(give: Any, says: str) -> None:
    with pytest.raises((ConfigError, TopologyError), match=says):
        give()


def test_times_are_given_in_ms_or_as_timedeltas() -> None:
    assert Joined("j", grace_ms=timedelta(seconds=1)).grace_ms == 1_000
    assert Materialized("m", retention_ms=timedelta(days=1)).retention_ms == 86_400_000


@pytest.mark.parametrize("topic", ["", "a b", "x/y", "..", "x" * 250])
@pytest.mark.parametrize(
    "give",
    [
        lambda topic: StreamsBuilder().stream(topic),
        lambda topic: StreamsBuilder().stream(["in", topic]),
        lambda topic: StreamsBuilder().table(topic),
        lambda topic: StreamsBuilder().global_table(topic, None, "global"),
        lambda topic: stream().to(topic),
    ],
)
def test_a_topic_that_kafka_cannot_have_is_refused(give: Any, topic: str) -> None:
    with pytest.raises(ConfigError, match=r"^topic .* is not a usable name|^topic .* has 250 characters"):
        give(topic)


def test_a_topic_may_be_as_long_as_kafka_allows() -> None:
    StreamsBuilder().stream("x" * 249).to("y" * 249)


@pytest.mark.parametrize("topics", [[], None, 5])
def test_a_stream_of_no_topic_is_refused(topics: Any) -> None:
    with pytest.raises(TopologyError, match="cannot be read: give a name, or a list of names"):
        StreamsBuilder().stream(topics)


@pytest.mark.parametrize(
    ("give", "says"),
    [
        (lambda: StreamsBuilder().stream("in", TEXT), r"how a topic is read .*give a Consumed"),
        (lambda: StreamsBuilder().table("in", Produced(TEXT, TEXT)), r"how a topic is read .*give a Consumed"),
        (lambda: stream().to("out", TEXTS), r"how a topic is written .*give a Produced"),
        (lambda: groups().count(TEXTS), r"how a result is stored .*give a Materialized"),
        (lambda: stream().group_by_key(Materialized("m")), r"a grouping .*give a Grouped"),
        (lambda: stream().filter(max, 5), r"an operator's name .*give a Named"),
        (lambda: stream().merge(table()), r"what a stream merges with .*give a Stream"),
        (lambda: groups().cogroup(max).cogroup(stream(), max), r"give a GroupedStream"),
    ],
)
def test_options_of_another_kind_are_refused(give: Any, says: str) -> None:
    with pytest.raises(TopologyError, match=says):
        give()


@pytest.mark.parametrize(
    "meet",
    [
        lambda: stream().merge(stream()),
        lambda: stream().join(stream(), max, JoinWindows.of(5), "j"),
        lambda: stream().join(table(), max),
        lambda: table().join(table(), max),
        lambda: table().join(table(), str, max, "fk"),
        lambda: groups().cogroup(max).cogroup(groups(), max),
    ],
)
def test_what_comes_from_another_builder_is_refused(meet: Any) -> None:
    with pytest.raises(TopologyError, match="from another StreamsBuilder"):
        meet()


def one_store(build: Any) -> Any:
    builder = StreamsBuilder()
    build(builder, builder.stream("in", TEXTS))
    return builder


@pytest.mark.parametrize(
    "build",
    [
        lambda b, s: [each.group_by_key().count("c") for each in (s, b.stream("other", TEXTS))],
        lambda _, s: [s.group_by_key().windowed_by(TimeWindows.of(5)).count("c") for _ in "12"],
        lambda b, _: [b.table("t", TEXTS, Materialized("c")) for _ in "12"],
        lambda b, _: [table(b, "a").filter(max, "c"), table(b, "b").filter(max, "c")],
        lambda b, _: [table(b, "a").join(table(b, "b"), max, "c"), table(b, "d").join(table(b, "e"), max, "c")],
        lambda _, s: [s.group_by_key().cogroup(max).aggregate(str, Materialized("c", TEXT, TEXT)) for _ in "12"],
    ],
)
def test_two_operators_do_not_share_a_store(build: Any) -> None:
    with pytest.raises(TopologyError, match="two operators would keep what they know in one store, 'c'"):
        one_store(build)


def test_processors_may_share_a_store_and_read_an_operators() -> None:
    shared = Stores.in_memory_key_value("s", TEXT, TEXT)

    def build(_: Any, stream: Any) -> None:
        stream.group_by_key().count("c")
        for _ in "12":
            stream.process(Processor, [shared, "c"])

    assert set(one_store(build).graph.stores) == {"c", "s"}


@pytest.mark.parametrize("deeper", [lambda s: s.map_values(str), lambda s: s.process(Processor)])
def test_a_path_that_no_record_can_pass_is_refused(deeper: Any) -> None:
    def deep(operators: int) -> Any:
        builder = StreamsBuilder()
        stream = builder.stream("in", TEXTS)
        for _ in range(operators):
            stream = deeper(stream)
        stream.to("out")
        return builder

    deep(PATH_LENGTH_MAX - 2).build()
    with pytest.raises(TopologyError, match=f"more than {PATH_LENGTH_MAX} operators stand one below the other"):
        deep(PATH_LENGTH_MAX - 1).build()


def no_builder() -> None:
    pass


@pytest.mark.parametrize(
    ("build", "says"),
    [(no_builder, r"no_builder takes \(\) .*\(builder\)"), (waits, "is async"), (5, "give a function")],
)
def test_a_build_function_that_takes_no_builder_is_refused(build: Any, says: str) -> None:
    with pytest.raises(TopologyError, match=f"the build function .*{says}"):
        topology_of(build)


class Half:
    def init(self, context: Any) -> None:
        pass


@pytest.mark.parametrize("processor", [Half, object, Processor()])
def test_what_is_no_processor_is_refused(processor: Any) -> None:
    with pytest.raises(TopologyError, match=r"has no method|give a function"):
        stream().process(processor)
