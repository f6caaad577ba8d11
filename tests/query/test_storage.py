"""How copies lie on disk, over real HTTP and RocksDB: each from its owner, refusals beside them, nothing made up."""

import httpx
import pytest

from engine import serdes
from engine.query.client import QueryClient
from engine.topology.stores import StoreSpec
from tests.query.fakes import COUNTS, TOKEN, FakeHandle, FakeInstance, store_of

ON_DISK = StoreSpec("routes", "key-value", "rocksdb", serdes.string, serdes.int64)


@pytest.fixture
def pair(serve, tmp_path):
    """Two instances: partition 0 here, 1 there, 2 restoring there."""
    here, there = FakeInstance("i-1"), FakeInstance("i-2")
    stores = []
    for partition, (owner, phase) in enumerate([(here, "done"), (there, "done"), (there, "applying")]):
        store = store_of(ON_DISK, [(f"k{n}", n) for n in range(10 * (partition + 1))], tmp_path / str(partition))
        store.flush()
        stores.append(store)
        owner.hold(FakeHandle(ON_DISK, partition, store, phase=phase, bytes=store.bytes()), partitions=3)
    here.known["routes"] = there.known["routes"] = ON_DISK
    here.partitions["routes"] = there.partitions["routes"] = 3
    first, second = serve(here), serve(there)
    first.knows(second)
    yield first
    for store in stores:
        store.close()


def test_every_partition_is_asked_of_its_owner_and_a_refusal_stands_beside_them(pair):
    with QueryClient(pair.address, TOKEN) as client:
        found = client.rocksdb("routes")

    assert [(c["partition"], c["instance"], c["backend"]) for c in found["copies"]] == [
        (0, "i-1", "rocksdb"),
        (1, "i-2", "rocksdb"),
    ]
    for copy, rows in zip(found["copies"], (10, 20), strict=True):
        assert sum(level["entries"] for level in copy["rocksdb"]["levels"]) >= rows
        assert copy["rocksdb"]["sst_bytes"] > 0
    codes = [source["error"] and source["error"]["code"] for source in found["sources"]]
    assert codes == [None, None, "store-restoring"]
    assert found["next"] is None


def test_partitions_come_in_pages_or_alone(pair):
    with QueryClient(pair.address, TOKEN) as client:
        first = client.rocksdb("routes", limit=1)
        assert ([c["partition"] for c in first["copies"]], first["next"]) == ([0], 1)
        second = client.rocksdb("routes", **{"from": first["next"], "limit": 1})
        assert ([c["partition"] for c in second["copies"]], second["next"]) == ([1], 2)
        assert [c["partition"] for c in client.rocksdb("routes", partition=1)["copies"]] == [1]


def test_a_store_in_memory_has_its_bytes_and_its_bound_and_no_levels(serve):
    spec = COUNTS.with_(max_bytes=1_000_000)
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store_of(spec, [("a", 1)]), bytes=180), partitions=1)
    with QueryClient(serve(instance).address, TOKEN) as client:
        (copy,) = client.rocksdb("counts")["copies"]
    assert (copy["backend"], copy["bytes"], copy["max_bytes"], copy["rocksdb"]) == ("memory", 180, 1_000_000, None)


def test_it_takes_the_token_and_known_parameters(pair):
    url = f"{pair.address}/v1/stores/routes/rocksdb"
    assert httpx.get(url).status_code == 401
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert httpx.get(url, params={"partition": 9}, headers=headers).status_code == 400
    assert httpx.get(url, params={"levels": 1}, headers=headers).status_code == 400
    assert httpx.get(f"{pair.address}/v1/stores/none/rocksdb", headers=headers).status_code == 404
