"""A snapshot's files, served as entries: every question of the store's kind, partition after partition, read-only."""

import uuid

import pytest

from engine import serdes
from engine.changelog import snapshot_files
from engine.changelog.snapshot_files import SnapshotFile
from engine.errors import ConfigError
from engine.partitioning import partition_for
from engine.query import snapshots
from engine.query.snapshots import Snapshots
from engine.stores import layouts, open_store
from engine.topology.stores import StoreSpec
from tests.query.fakes import COUNTS, FakeInstance, NoContext

WINDOWS = StoreSpec(
    "hours", "window", key_serde=serdes.string, value_serde=serdes.int64, retention_ms=10**12, window_ms=1_000
)


def write(application, spec, rows, *, count=2):
    """Lay a snapshot down as a worker does; ``rows`` are changelog records by partition."""
    name = str(uuid.uuid4())
    directory = snapshot_files.directory_of(application, name)
    directory.mkdir(parents=True)
    described = SnapshotFile(spec.name, "a-changelog", count, {p: 100 + p for p in rows}, spec.shape())
    for partition, records in rows.items():
        store = open_store(described.spec(), directory / str(partition), NoContext())
        store.restore(records, 100 + partition)
        store.flush()
        store.close()
    snapshot_files.write(directory, described)
    return name


def counts(*keys):
    return [(key.encode(), serdes.int64.serialize(number), 1_000) for number, key in enumerate(keys)]


@pytest.fixture
def served(serve, tmp_path):
    instance = FakeInstance(known={"counts": COUNTS, "hours": WINDOWS})
    reading = Snapshots(tmp_path, "i-1", instance.specs, instance.placing_topic, instance.key_partitions)
    found = serve(instance, more_routes=reading.routes())
    found.application, found.reading = tmp_path, reading
    yield found
    reading.close()


def keys(answer):
    assert answer.status_code == 200, answer.text
    return [entry["key"] for entry in answer.json()["entries"]]


def test_all_entries_come_partition_by_partition_with_a_cursor(served):
    name = write(served.application, COUNTS, {0: counts("a", "b", "c"), 1: counts("d", "e")})
    path = f"/v1/snapshots/{name}/entries"

    first = served.get(path, limit=2)
    assert keys(first) == ["a", "b"]
    second = served.get(path, limit=2, cursor=first.json()["cursor"])
    assert keys(second) == ["c", "d"]
    third = served.get(path, limit=2, cursor=second.json()["cursor"])
    assert (keys(third), third.json()["cursor"]) == (["e"], None)
    assert third.json()["sources"] == [
        {"instance": "i-1", "partition": 1, "role": "snapshot", "position": 101, "lag": None, "error": None}
    ]
    assert keys(served.get(path, reverse="true")) == ["e", "d", "c", "b", "a"]
    assert keys(served.get(path, partition=1)) == ["d", "e"]
    assert keys(served.get(path, from_="b", to="d")) == ["b", "c", "d"]
    assert keys(served.get(path, prefix="e")) == ["e"]


def test_a_key_is_looked_for_where_the_partitioner_puts_it(served):
    held = partition_for(b"UA", 2)
    name = write(served.application, COUNTS, {held: counts("UA")})

    answer = served.get(f"/v1/snapshots/{name}/entries", key="UA")
    assert answer.json()["entries"][0]["value"] == 0

    name = write(served.application, COUNTS, {1 - held: counts("x")})
    refused = served.get(f"/v1/snapshots/{name}/entries", key="UA")
    assert refused.status_code == 400
    assert f"and not of {held}" in refused.json()["error"]["message"]


def test_a_key_that_another_partitioner_placed_is_asked_for_with_its_partition(served):
    elsewhere = 1 - partition_for(b"UA", 2)
    path = f"/v1/snapshots/{write(served.application, COUNTS, {elsewhere: counts('UA')})}/entries"
    served.instance.placing["counts"] = "shop-placed-repartition"

    refused = served.get(path, key="UA")
    assert refused.status_code == 400
    assert (
        "topic shop-placed-repartition is written with a partitioner of its own" in refused.json()["error"]["message"]
    )
    assert (
        keys(served.get(path, key="UA", partition=elsewhere)) == keys(served.get(path, from_="UA", to="UA")) == ["UA"]
    )


def test_windows_are_found_by_their_start(served):
    rows = [(layouts.window_key(b"k", start), serdes.int64.serialize(start), start) for start in (1_000, 2_000, 3_000)]
    name = write(served.application, WINDOWS, {0: rows}, count=1)

    found = served.get(f"/v1/snapshots/{name}/entries", key="k", window_from=2_000).json()["entries"]
    assert [(entry["window"], entry["value"]) for entry in found] == [
        ({"start": 2_000, "end": 3_000}, 2_000),
        ({"start": 3_000, "end": 4_000}, 3_000),
    ]


def test_what_is_not_there_is_said_by_name(served):
    gone = served.get(f"/v1/snapshots/{uuid.uuid4()}/entries")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not-found")
    for name in ("..", "..%2f..%2fetc", "nothing"):
        assert served.get(f"/v1/snapshots/{name}/entries").status_code in {400, 404}
    with pytest.raises(ConfigError):
        snapshot_files.directory_of(served.application, "../counts")
    damaged = write(served.application, COUNTS, {0: counts("a")})
    (served.application / "snapshots" / damaged / "snapshot.json").write_text('{"store": "../x"}')
    assert served.get(f"/v1/snapshots/{damaged}/entries").status_code == 400


def test_only_so_many_stay_open_and_idle_ones_are_closed(served, monkeypatch):
    monkeypatch.setattr(snapshots, "SNAPSHOT_STORES_OPEN_MAX", 2)
    name = write(served.application, COUNTS, {p: counts(f"k{p}") for p in range(4)}, count=4)

    assert len(keys(served.get(f"/v1/snapshots/{name}/entries"))) == 4
    assert len(served.reading._opened) == 2
    monkeypatch.setattr(snapshots, "SNAPSHOT_IDLE_SECONDS", 0.0)
    served.get(f"/v1/snapshots/{name}/entries", partition=0)
    assert list(served.reading._opened) == [(name, 0)]


def test_it_needs_the_token(served):
    answer = served.http.get(f"/v1/snapshots/{uuid.uuid4()}/entries", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
