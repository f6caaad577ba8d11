"""Which stores are filled by a partitioner of the topology's own, so that Kafka's does not say where their keys lie."""

import pytest

from engine import (
    Consumed,
    Grouped,
    Joined,
    Materialized,
    Produced,
    Repartitioned,
    StreamsBuilder,
    TableJoined,
    TopologyTestDriver,
    serdes,
)
from engine.records import Windowed
from engine.serdes.windowed import placing_bytes

TEXT = Consumed(serdes.string, serdes.string)


def to_the_first(_topic, _key, _value, _partitions):
    return 0


@pytest.fixture
def builder():
    return StreamsBuilder()


def placing(builder):
    topology = builder.build()
    shown = {store["name"]: store["placed_by"] for store in topology.to_json("shop")["stores"]}
    assert shown == {name: topology.placing_topic(name, "shop") for name in topology.stores}
    return shown


def rows(name):
    return Materialized(name, serdes.string, serdes.string)


def test_kafkas_partitioner_places_what_nothing_else_is_said_of(builder):
    words = builder.stream("words", TEXT)
    words.group_by(lambda _, word: word, Grouped("by-word", serdes.string, serdes.string)).count(Materialized("counts"))
    builder.global_table("everywhere", TEXT, rows("everywhere"))
    words.to("out", Produced(serdes.string, serdes.string, to_the_first))
    assert placing(builder) == {"counts": None, "everywhere": None}


def test_a_repartition_by_another_partitioner_places_its_readers_stores(builder):
    words, table = builder.stream("words", TEXT), builder.table("table", TEXT, rows("table"))
    words.group_by_key().count(Materialized("before"))
    placed = words.repartition(Repartitioned("placed", serdes.string, serdes.string, None, to_the_first))
    placed.group_by_key().count(Materialized("after"))
    # What is joined lies together, whoever wrote it.
    placed.join(table, lambda value, row: value + row, Joined("with-row")).to("out")
    assert placing(builder) == {
        "before": None,
        "after": "shop-placed-repartition",
        "table": "shop-placed-repartition",
    }


def test_a_users_topic_that_is_read_back_places_too(builder):
    builder.stream("words", TEXT).to("own", Produced(serdes.string, serdes.string, to_the_first))
    builder.table("own", TEXT, rows("own"))
    assert placing(builder) == {"own": "own"}


def test_subscriptions_of_a_foreign_key_join_lie_with_their_foreign_key(builder):
    left, right = builder.table("left", TEXT, rows("left")), builder.table("right", TEXT, rows("right"))
    left.join(right, lambda value: value, lambda a, b: a + b, TableJoined("fk"), rows("joined"))
    assert placing(builder) == {
        "left": None,
        "right": None,
        "joined": None,
        "fk-subscription-store": "shop-fk-subscription-registration-topic",
    }


def test_the_partitioners_of_a_foreign_key_join_place_both_sides(builder):
    left, right = builder.table("left", TEXT, rows("left")), builder.table("right", TEXT, rows("right"))
    both = TableJoined("fk", to_the_first, to_the_first)
    left.join(right, lambda value: value, lambda a, b: a + b, both, rows("joined"))
    registered, answered = (f"shop-fk-subscription-{topic}-topic" for topic in ("registration", "response"))
    assert placing(builder) == {
        "left": answered,
        "right": registered,
        "joined": answered,
        "fk-subscription-store": registered,
    }


def test_each_partitioner_of_a_foreign_key_join_is_asked_about_its_own_tables_keys(builder):
    numbers = Consumed(serdes.int64, serdes.string)
    left, right = builder.table("left", numbers, "left"), builder.table("right", TEXT, "right")
    asked = []

    def placed(by):
        return lambda topic, key, value, partitions: asked.append((by, topic, key, value, partitions)) or 0

    both = TableJoined("fk", placed("left"), placed("right"))
    left.join(right, lambda value: value, lambda a, b: a + b, both).to_stream().to(
        "out", Produced(serdes.int64, serdes.string)
    )
    with TopologyTestDriver(builder.build(), application_id="shop") as driver:
        driver.input_topic("right").pipe("b", "R", 0)
        driver.input_topic("left").pipe(7, "b", 1)
    assert asked == [
        ("right", "shop-fk-subscription-registration-topic", "b", None, 1),
        ("left", "shop-fk-subscription-response-topic", 7, None, 1),
    ]


def test_a_store_is_fed_by_the_topics_above_it_and_not_by_all_of_its_sub_topology(builder):
    clicks, views = builder.stream("clicks", TEXT), builder.stream("views", TEXT)
    clicks.group_by_key().count("counts").to_stream().map_values(str).merge(views).to("out")
    by_word = clicks.merge(views).group_by(lambda _, word: word, Grouped("by-word", serdes.string, serdes.string))
    by_word.count("words")
    views.merge(clicks).group_by_key().count("both")
    topology = builder.build()
    assert topology.feeding_topics("counts", "shop") == {"clicks"}
    assert topology.feeding_topics("words", "shop") == {"shop-by-word-repartition"}
    assert topology.feeding_topics("both", "shop") == {"clicks", "views"}


def test_all_windows_of_a_key_lie_where_the_key_does():
    hour = serdes.TimeWindowedSerde(serdes.string, 3_600_000)
    session = serdes.SessionWindowedSerde(serdes.string)
    window = Windowed("tea", 0, 3_600_000)
    assert {placing_bytes(serde, serde.serialize(window)) for serde in (hour, session)} == {b"tea"}
    assert placing_bytes(serdes.string, b"tea") == placing_bytes(None, b"tea") == b"tea"
