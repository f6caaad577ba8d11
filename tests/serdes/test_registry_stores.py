"""Stores whose keys and values are written through a schema registry: bound to the changelog, restored, read back."""

import json
import struct
from contextlib import closing

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from engine import Consumed, Materialized, Produced, Stores, serdes
from engine.changelog.restore import UnattendedContext
from engine.runtime.task import TaskContext
from engine.stores import open_store
from engine.testing.driver import TopologyTestDriver
from tests.serdes.small_registry import SmallRegistry

PLANE = json.dumps({"type": "record", "name": "Plane", "fields": [{"name": "seats", "type": "int"}]})
HEADER = struct.pack(">bI", 0, 1)  # Confluent's: a zero, then the id of the one schema of these tests


@pytest.fixture
def registry():
    server = SmallRegistry()
    yield server
    server.close()


def avro(registry, schema=PLANE):
    return serdes.avro(schema, registry=SchemaRegistryClient({"url": registry.url, "max.retries": 0}))


@pytest.mark.parametrize("backend", ["rocksdb", "in-memory"])
def test_a_table_of_avro_values_is_changed_restored_and_read_back(registry, backend, tmp_path):
    def build(builder):
        builder.table("planes", Consumed(serdes.string, avro(registry)), Materialized("planes", store=backend))

    written = avro(registry).for_topic("planes", is_key=False).serialize
    with TopologyTestDriver(build, application_id="shop") as driver:
        driver.pipe_raw(
            "planes",
            [
                (b"a", written({"seats": 1}), 1, None),
                (b"b", written({"seats": 2}), 2, None),
                (b"a", written({"seats": 3}), 3, None),
                (b"b", None, 4, None),
            ],
        )
        driver.commit()
        assert driver.store("planes").get("a") == ({"seats": 3}, 3)
        assert driver.store("planes").get("b") is None
        records = [(row.key, row.value, row.timestamp) for row in driver.changelog("shop-planes-changelog")]
        spec = driver.topology.stores["planes"]
    # Avro's zigzag writes 1, 2 and 3 as 2, 4 and 6.
    assert records == [
        (b"a", HEADER + b"\x02", 1),
        (b"b", HEADER + b"\x04", 2),
        (b"a", HEADER + b"\x06", 3),
        (b"b", None, 4),
    ]
    assert list(registry.subjects) == ["planes-value", "shop-planes-changelog-value"]

    # Restored as the engine does: on disk by a process that knows no serdes, in memory by the task's own.
    task = TaskContext("shop", "0_0", 0, lambda: 0)
    path = tmp_path / "planes" if backend == "rocksdb" else None
    bare = spec.with_(key_serde=None, value_serde=None)
    store = open_store(spec, None, task) if path is None else open_store(bare, path, UnattendedContext())
    store.restore(records, len(records))
    if path is not None:
        store.flush()
        store.close()
        store = open_store(spec, path, task)
    with closing(store):
        assert store.position == 4
        assert list(store.all()) == [("a", ({"seats": 3}, 3))]


@pytest.mark.parametrize("kind", ["window", "session", "versioned"])
def test_stores_of_every_kind_know_the_topic_of_their_keys_and_values(registry, kind, tmp_path):
    key, value = avro(registry, '"string"'), avro(registry)
    spec = {
        "window": Stores.persistent_window("s", 1_000, 10, key, value),
        "session": Stores.persistent_session("s", 1_000, key, value),
        "versioned": Stores.persistent_versioned("s", 1_000, key_serde=key, value_serde=value),
    }[kind].spec
    with closing(open_store(spec, tmp_path / "s", TaskContext("shop", "0_0", 0, lambda: 0))) as store:
        if kind == "session":
            store.put("k", 5, 5, {"seats": 1})
            found = store.fetch_session("k", 5, 5)
        else:
            store.put("k", {"seats": 1}, 5)
            found = store.fetch("k", 5) if kind == "window" else store.get("k").value
        assert found == {"seats": 1}
        store.drain_changelog()
    assert sorted(registry.subjects) == ["shop-s-changelog-key", "shop-s-changelog-value"]


def test_a_global_tables_store_knows_the_topic_that_it_reads(registry):
    def build(builder):
        builder.global_table("planes", Consumed(serdes.string, avro(registry)), "planes-by-key")
        builder.stream("in", Consumed(serdes.string, serdes.string)).to("out", Produced(serdes.string, serdes.string))

    written = avro(registry).for_topic("planes", is_key=False).serialize({"seats": 1})
    with TopologyTestDriver(build, application_id="shop") as driver:
        driver.pipe_raw("planes", [(b"a", written, 1, None)])
        assert driver.store("planes-by-key").get("a") == ({"seats": 1}, 1)
    assert list(registry.subjects) == ["planes-value"]
