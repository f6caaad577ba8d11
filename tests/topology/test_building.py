"""What a builder makes, and what it refuses."""

import pytest

from engine import Branched, Consumed, Grouped, Materialized, Produced, Repartitioned, Stores, StreamsBuilder, serdes
from engine.errors import ConfigError, TopologyError
from engine.names import repartition_topic
from engine.runtime.partitions import partition_counts, shapes

TEXT = Consumed(serdes.string, serdes.string)


@pytest.fixture
def builder():
    return StreamsBuilder()


def test_describe_is_kafka_streams_text(builder):
    words = builder.stream("words", TEXT)
    counted = words.select_key(lambda _, word: word).group_by_key(Grouped("by-word")).count(Materialized("counts"))
    counted.to_stream().to("out", Produced(serdes.string, serdes.int64))
    assert builder.build().describe() == (
        "Topologies:\n"
        "   Sub-topology: 0\n"
        "    Source: KSTREAM-SOURCE-0000000000 (topics: [words])\n"
        "      --> KSTREAM-KEY-SELECT-0000000001\n"
        "    Processor: KSTREAM-KEY-SELECT-0000000001 (stores: [])\n"
        "      --> by-word-repartition-filter\n"
        "      <-- KSTREAM-SOURCE-0000000000\n"
        "    Processor: by-word-repartition-filter (stores: [])\n"
        "      --> by-word-repartition-sink\n"
        "      <-- KSTREAM-KEY-SELECT-0000000001\n"
        "    Sink: by-word-repartition-sink (topic: by-word-repartition)\n"
        "      <-- by-word-repartition-filter\n"
        "\n"
        "   Sub-topology: 1\n"
        "    Source: by-word-repartition-source (topics: [by-word-repartition])\n"
        "      --> KSTREAM-AGGREGATE-0000000002\n"
        "    Processor: KSTREAM-AGGREGATE-0000000002 (stores: [counts])\n"
        "      --> KTABLE-TOSTREAM-0000000003\n"
        "      <-- by-word-repartition-source\n"
        "    Processor: KTABLE-TOSTREAM-0000000003 (stores: [])\n"
        "      --> KSTREAM-SINK-0000000004\n"
        "      <-- KSTREAM-AGGREGATE-0000000002\n"
        "    Sink: KSTREAM-SINK-0000000004 (topic: out)\n"
        "      <-- KTABLE-TOSTREAM-0000000003\n"
    )


def test_json_is_what_the_contract_says(builder):
    builder.table("planes", TEXT, Materialized("planes")).to_stream().to("copy")
    topology = builder.build()
    described = topology.to_json("shop", {0: 3})
    assert described["hash"] == topology.hash
    assert described["sub_topologies"] == [
        {
            "id": 0,
            "partitions": 3,
            "sources": ["planes"],
            "sinks": ["copy"],
            "stores": ["planes"],
            "nodes": [
                {
                    "name": "KSTREAM-SOURCE-0000000000",
                    "type": "Source",
                    "label": "source",
                    "stores": [],
                    "topic": "planes",
                    "successors": ["KTABLE-SOURCE-0000000001"],
                },
                {
                    "name": "KTABLE-SOURCE-0000000001",
                    "type": "TableSource",
                    "label": "table",
                    "stores": ["planes"],
                    "topic": None,
                    "successors": ["KTABLE-TOSTREAM-0000000002"],
                },
                {
                    "name": "KTABLE-TOSTREAM-0000000002",
                    "type": "TableToStream",
                    "label": "to stream",
                    "stores": [],
                    "topic": None,
                    "successors": ["KSTREAM-SINK-0000000003"],
                },
                {
                    "name": "KSTREAM-SINK-0000000003",
                    "type": "Sink",
                    "label": "sink",
                    "stores": [],
                    "topic": "copy",
                    "successors": [],
                },
            ],
        }
    ]
    assert described["stores"] == [
        {
            "name": "planes",
            "kind": "key-value",
            "backend": "rocksdb",
            "key_serde": "string",
            "value_serde": "string",
            "changelog": "shop-planes-changelog",
            "caching": True,
            "window_ms": None,
            "retention_ms": None,
            "sub_topology": 0,
            "placed_by": None,
        }
    ]


def test_mermaid_draws_topics_nodes_and_stores_and_escapes_names(builder):
    builder.table("planes", TEXT, Materialized("planes")).to_stream().to(lambda _key, value: value)
    chart = builder.build().to_mermaid()
    assert chart.startswith("flowchart TD\n")
    assert '[("planes")]' in chart
    assert '(["planes"])' in chart
    assert "<lambda>" not in chart


def test_the_hash_tells_topologies_apart_and_is_the_same_for_the_same_one():
    def made(name):
        builder = StreamsBuilder()
        builder.stream("in", TEXT).group_by_key().count(Materialized(name))
        return builder.build().hash

    assert made("a") == made("a")
    assert made("a") != made("b")


@pytest.mark.parametrize(
    ("needs_a_name", "says"),
    [
        (lambda stream: stream.group_by_key().count(), "needs a name: pass Materialized"),
        (lambda stream: stream.group_by_key().reduce(lambda a, b: a + b, Materialized()), "needs a name"),
        (lambda stream: stream.repartition(None), "pass Repartitioned"),
        (lambda stream: stream.map(lambda k, v: (v, k)).to_table(), "needs a name"),
        (lambda stream: stream.to_table().group_by(lambda k, v: (v, k)), "must keep its values here"),
    ],
)
def test_stores_and_repartitions_need_explicit_names(builder, needs_a_name, says):
    with pytest.raises(TopologyError, match=says):
        needs_a_name(builder.stream("in", TEXT))


@pytest.mark.parametrize("name", ["", "a b", "..", "x/y", "é", "x" * 201])
def test_names_that_no_topic_can_have_are_refused(name):
    for make in (Materialized, Grouped, Repartitioned, Stores.persistent_key_value):
        with pytest.raises(ConfigError):
            make(name)


def test_an_aggregate_without_a_value_serde_is_refused(builder):
    with pytest.raises(TopologyError, match="needs a value serde"):
        builder.stream("in", TEXT).group_by_key().aggregate(
            list, lambda _, value, seen: [*seen, value], Materialized("s")
        )


def test_two_stores_of_one_name_are_refused_unless_they_agree(builder):
    builder.add_state_store(Stores.persistent_key_value("s", serdes.string, serdes.string))
    builder.add_state_store(Stores.persistent_key_value("s", serdes.string, serdes.string))
    with pytest.raises(TopologyError, match="two different stores are named 's'"):
        builder.add_state_store(Stores.in_memory_key_value("s", serdes.string, serdes.string))


def test_a_topology_that_reads_nothing_is_refused(builder):
    with pytest.raises(TopologyError, match="reads nothing"):
        builder.build()


def test_an_unconnected_store_is_refused(builder):
    builder.stream("in", TEXT).to("out")
    builder.add_state_store(Stores.persistent_key_value("s"))
    with pytest.raises(TopologyError, match="no processor uses it"):
        builder.build()


def test_the_same_topic_read_the_same_way_is_one_source(builder):
    builder.stream("in", TEXT).to("a")
    builder.stream("in", TEXT).to("b")
    topology = builder.build()
    assert len(topology.sub_topologies) == 1


def test_the_same_topic_read_differently_is_refused(builder):
    builder.stream("in", TEXT).to("a")
    builder.stream("in", Consumed(serdes.string, serdes.json)).to("b")
    with pytest.raises(TopologyError, match="topic in is read twice"):
        builder.build()


def test_branches_have_the_splits_name_before_their_own(builder):
    kept = []
    branches = (
        builder.stream("in", TEXT)
        .split("kind-")
        .branch(lambda _, value: value == "a", "a")
        .branch(lambda _, value: value == "b")
        .branch(lambda _, value: value == "c", Branched("c", consumer=kept.append))
        .default_branch(Branched.as_("rest"))
    )
    assert list(branches) == ["kind-a", "kind-2", "kind-rest"]
    assert len(kept) == 1


def test_keys_that_may_have_changed_go_through_a_repartition_topic_once_per_named_group(builder):
    group = builder.stream("in", TEXT).group_by(lambda _, value: value, Grouped("again", serdes.string, serdes.string))
    group.count(Materialized("counts"))
    group.reduce(lambda one, other: one + other, Materialized("sums"))
    assert builder.build().repartition_topics() == {"again": None}


def test_keys_that_cannot_have_changed_are_not_repartitioned(builder):
    stream = builder.stream("in", TEXT).filter(lambda _k, _v: True).map_values(str.upper).peek(lambda _k, _v: None)
    stream.process_values(lambda: None).group_by_key().count(Materialized("counts"))
    assert builder.build().repartition_topics() == {}


def test_repartition_serdes_come_from_upstream_where_the_operator_leaves_them_alone(builder):
    builder.stream("in", TEXT).select_key(lambda _, value: value).repartition(Repartitioned("r", serdes.int32))
    sink = next(node.operation for node in builder.graph.nodes.values() if node.name == "r-repartition-sink")
    assert (sink.key_serde, sink.value_serde) == (serdes.int32, serdes.string)


def test_joined_topics_with_different_counts_are_refused_by_name(builder):
    stream, table = builder.stream("left", TEXT), builder.table("right", TEXT, Materialized("right"))
    stream.join(table, lambda one, other: one + other)
    topology = builder.build()
    assert topology.input_topics() == ["left", "right"]
    with pytest.raises(TopologyError, match="left has 3, right has 4"):
        partition_counts(topology, shapes(topology, "shop"), "shop", {"left": 3, "right": 4})


def test_a_repartition_topic_takes_the_count_of_what_it_is_joined_with(builder):
    stream, table = builder.stream("left", TEXT), builder.table("right", TEXT, Materialized("right"))
    again = stream.select_key(lambda _, value: value).repartition(Repartitioned("again", serdes.string))
    again.join(table, lambda one, other: one + other)
    topology = builder.build()
    known = partition_counts(topology, shapes(topology, "shop"), "shop", {"left": 3, "right": 4})
    assert known[repartition_topic("shop", "again")] == 4
