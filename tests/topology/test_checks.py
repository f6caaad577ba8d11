"""Which changes of a topology are refused, and which serdes."""

from datetime import timedelta

import pytest

from engine import (
    Consumed,
    JoinWindows,
    Materialized,
    Stores,
    StreamJoined,
    StreamsBuilder,
    Suppressed,
    TableJoined,
    TimeWindows,
    serdes,
)
from engine.errors import TopologyError
from engine.topology.checks import check_change, check_serdes


def topology(*stores, table=None):
    builder = StreamsBuilder()
    group = builder.stream("in", Consumed(serdes.string, serdes.string)).group_by_key()
    for store in stores:
        group.count(store)
    if table:
        table(group)
    return builder.build()


def counted(name, value_serde=serdes.int64, **options):
    return Materialized(name, serdes.string, value_serde, **options)


def check(before, after):
    check_change(before.to_json(), after)


def test_the_same_topology_is_safe():
    check(topology(counted("a")), topology(counted("a")))


def test_a_new_store_is_safe():
    check(topology(counted("a")), topology(counted("a"), counted("b")))


def test_a_dropped_store_is_safe():
    check(topology(counted("a"), counted("b")), topology(counted("a")))


def test_another_backend_is_safe_because_it_restores_from_the_changelog():
    check(topology(counted("a")), topology(counted("a", store="in-memory")))


def test_a_renamed_store_is_refused_with_what_to_do():
    with pytest.raises(TopologyError, match=r"store a is gone and b is new and just like it.*Call it a again"):
        check(topology(counted("a")), topology(counted("b")))


def test_another_value_serde_is_refused():
    with pytest.raises(TopologyError, match="store a had value serde int64 and now has json"):
        check(topology(counted("a")), topology(counted("a", serdes.json)))


def test_another_kind_is_refused():
    versioned = Materialized.as_(Stores.persistent_versioned("a", 1000), serdes.string, serdes.int64)
    with pytest.raises(TopologyError, match="store a had kind key-value and now has versioned"):
        check(topology(counted("a")), topology(versioned))


def test_another_window_size_is_refused():
    def windows(size_ms):
        return topology(table=lambda group: group.windowed_by(TimeWindows.of(size_ms=size_ms)).count(counted("a")))

    check(windows(10), windows(10))
    with pytest.raises(TopologyError, match="store a had window size 10 and now has 20"):
        check(windows(10), windows(20))


AVRO = serdes.avro('"string"', registry="http://127.0.0.1:9")
BOUND = AVRO.for_topic("flights", is_key=False)


def pair(left, right):
    return [left, right]


def joined(method, key=serdes.string, value=AVRO):
    builder = StreamsBuilder()
    flights = builder.stream("flights", Consumed(key, value))
    weather = builder.stream("weather", Consumed(key, value))
    getattr(flights, method)(weather, pair, JoinWindows.of(difference_ms=10), StreamJoined("both"))
    return builder.build()


def suppressed(value):
    builder = StreamsBuilder()
    table = builder.table("flights", Consumed(serdes.string, value), "flights")
    table.suppress(Suppressed.until_time_limit(timedelta(seconds=1)))
    return builder.build()


def foreign(value):
    builder = StreamsBuilder()
    flights = builder.table("flights", Consumed(serdes.string, value), "flights")
    planes = builder.table("planes", Consumed(serdes.string, serdes.string), "planes")
    flights.join(planes, lambda flight: flight, pair, TableJoined("both"))
    return builder.build()


def looked_up(key):
    builder = StreamsBuilder()
    planes = builder.table("planes", Consumed(key, AVRO), "planes")
    builder.stream("flights", Consumed(key, AVRO)).join(planes, pair)
    return builder.build()


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: suppressed(AVRO), r"^flights-suppress \(suppress\) has avro as value_serde"),
        (lambda: foreign(AVRO), r"has avro as value_serde"),
        (lambda: joined("left_join"), r"has avro as left_serde and avro as right_serde"),
        (lambda: joined("join", AVRO, serdes.string), r"has avro as key_serde"),
        (lambda: joined("join", serdes.TimeWindowedSerde(AVRO, 10)), r"has time-windowed-avro as key_serde"),
        (lambda: looked_up(AVRO), r"has avro as table_key_serde"),
    ],
)
def test_a_registry_serde_is_refused_where_no_topic_names_its_schemas(refused, words):
    with pytest.raises(TopologyError, match=words + r".*bind the serde by hand.*for_topic"):
        check_serdes(refused())


@pytest.mark.parametrize(
    "topology",
    [
        lambda: suppressed(BOUND),
        lambda: foreign(BOUND),
        lambda: joined("left_join", value=BOUND),
        lambda: joined("join"),
        lambda: looked_up(serdes.string),
    ],
    ids=["suppressed", "foreign", "left join", "inner join", "looked up"],
)
def test_a_registry_serde_is_taken_where_it_is_bound_or_only_stores_and_topics_use_it(topology):
    check_serdes(topology())
