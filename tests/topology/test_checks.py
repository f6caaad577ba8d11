"""Which changes of a topology are refused."""

import pytest

from engine import Consumed, Materialized, Stores, StreamsBuilder, TimeWindows, serdes
from engine.errors import TopologyError
from engine.topology.checks import check_change


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
