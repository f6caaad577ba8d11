"""Windows, sessions and key-value stores on both backends over real HTTP, beside a writer that goes on committing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import serdes
from engine.stores import open_store
from engine.topology.stores import StoreSpec
from tests.query.fakes import FakeHandle, FakeInstance, NoContext
from tests.query.test_entries import refused

HOUR = 3_600_000
BACKENDS = pytest.mark.parametrize("backend", ["memory", "rocksdb"])


def window_spec(backend):
    return StoreSpec(
        "hourly",
        "window",
        backend,
        serdes.string,
        serdes.int64,
        retention_ms=48 * HOUR,
        window_ms=HOUR,
        segment_interval_ms=12 * HOUR,
    )


def session_spec(backend):
    return StoreSpec(
        "visits",
        "session",
        backend,
        serdes.string,
        serdes.int64,
        retention_ms=48 * HOUR,
        segment_interval_ms=12 * HOUR,
    )


def hold(serve, spec, fill, directory):
    store = open_store(spec, directory / spec.name, NoContext())
    fill(store)
    store.drain_changelog()
    store.commit(1)
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store), partitions=1)
    return serve(instance)


@pytest.fixture
def windows(serve, tmp_path, backend):
    def fill(store):
        for hour in range(24):
            for origin in ("EWR", "JFK", "LGA"):
                store.put(origin, hour * 10 + len(origin), hour * HOUR)

    return hold(serve, window_spec(backend), fill, tmp_path)


def places(reply):
    assert reply.status_code == 200, reply.text
    return [(entry["key"], entry["window"]["start"] // HOUR) for entry in reply.json()["entries"]]


@BACKENDS
def test_the_windows_of_a_key_between_two_starts_both_inclusive(windows):
    reply = windows.entries("hourly", key="JFK", window_from=3 * HOUR, window_to=5 * HOUR)
    assert places(reply) == [("JFK", 3), ("JFK", 4), ("JFK", 5)]
    entry = reply.json()["entries"][0]
    assert (entry["value"], entry["window"], entry["session"]) == (33, {"start": 3 * HOUR, "end": 4 * HOUR}, None)


@BACKENDS
def test_the_windows_of_all_keys_between_two_starts(windows):
    reply = windows.entries("hourly", window_from=3 * HOUR, window_to=4 * HOUR)
    assert sorted(places(reply)) == [(key, hour) for key in ("EWR", "JFK", "LGA") for hour in (3, 4)]


@BACKENDS
def test_windows_by_range_and_prefix_of_keys(windows):
    assert {key for key, _ in places(windows.entries("hourly", from_="EWR", to="JFK"))} == {"EWR", "JFK"}
    assert {key for key, _ in places(windows.entries("hourly", prefix="L"))} == {"LGA"}
    assert len(places(windows.entries("hourly", prefix="L", window_from=20 * HOUR))) == 4


@BACKENDS
@pytest.mark.parametrize("reverse", ["false", "true"])
@pytest.mark.parametrize("selected", [{}, {"key": "JFK"}, {"window_from": 10 * HOUR}, {"prefix": "E"}])
def test_paging_through_windows_gives_each_once(windows, reverse, selected):
    whole = places(windows.entries("hourly", limit=1000, reverse=reverse, **selected))
    seen, cursor = [], {}
    while True:
        reply = windows.entries("hourly", limit=5, reverse=reverse, **selected, **cursor)
        seen += places(reply)
        if reply.json()["cursor"] is None:
            break
        cursor = {"cursor": reply.json()["cursor"]}
    assert seen == whole
    assert len(set(seen)) == len(seen)
    assert whole[::-1] == places(
        windows.entries("hourly", limit=1000, reverse="false" if reverse == "true" else "true", **selected)
    )


@BACKENDS
@pytest.mark.parametrize(
    "parameters",
    [
        {"window_from": 5, "window_to": 4},
        {"session_from": 5},
        {"as_of": 5, "key": "JFK"},
        {"window_from": "yesterday"},
        {"window_from": 2**63},
    ],
)
def test_times_that_do_not_fit_a_window_store_are_refused(windows, parameters):
    refused(windows.entries("hourly", **parameters), 400, "bad-request")


@BACKENDS
def test_multi_get_of_a_window_store_is_refused(windows):
    refused(windows.http.post("/v1/stores/hourly/multi-get", json={"keys": ["JFK"]}), 400, "bad-request")


@BACKENDS
def test_sessions_that_overlap_a_time(serve, tmp_path, backend):
    def fill(store):
        store.put("ann", 1_000, 2_000, 1)
        store.put("ann", 5_000, 9_000, 2)
        store.put("bob", 1_500, 6_000, 3)

    served = hold(serve, session_spec(backend), fill, tmp_path)

    def found(**parameters):
        reply = served.entries("visits", **parameters)
        assert reply.status_code == 200, reply.text
        return sorted((entry["key"], entry["session"]["start"], entry["value"]) for entry in reply.json()["entries"])

    assert found() == [("ann", 1_000, 1), ("ann", 5_000, 2), ("bob", 1_500, 3)]
    assert found(key="ann") == [("ann", 1_000, 1), ("ann", 5_000, 2)]
    assert found(session_from=3_000, session_to=4_000) == [("bob", 1_500, 3)]
    assert found(key="ann", session_from=2_000, session_to=5_000) == [("ann", 1_000, 1), ("ann", 5_000, 2)]
    assert found(prefix="b") == [("bob", 1_500, 3)]
    refused(served.entries("visits", window_from=1), 400, "bad-request")


@BACKENDS
def test_reads_beside_a_committing_writer_see_whole_commits_only(serve, tmp_path, backend):
    spec = StoreSpec("pairs", "key-value", backend, serdes.string, serdes.int64)
    store = open_store(spec, tmp_path / "pairs", NoContext())
    ends = threading.Event()

    def write():
        number = 0
        while not ends.is_set():
            number += 1
            for key in ("a", "b", "c"):
                store.put(key, number)
            store.drain_changelog()
            store.commit(number)
            # As the loop does, which waits for records: a thread that never pauses would measure the scheduler.
            time.sleep(0.001)

    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store), partitions=1)
    served = serve(instance)
    for key in ("a", "b", "c"):
        store.put(key, 0)
    store.drain_changelog()
    store.commit(0)
    writer = threading.Thread(target=write)
    writer.start()
    try:

        def read(_):
            reply = served.entries("pairs", key="a")
            assert reply.status_code == 200
            return reply.json()["entries"][0]["value"]

        with ThreadPoolExecutor(4) as threads:
            values = list(threads.map(read, range(200)))
        for _ in range(50):
            found = [entry["value"] for entry in served.entries("pairs").json()["entries"]]
            assert len(found) == 3
    finally:
        ends.set()
        writer.join()
        store.close()
    assert max(values) > 0


@BACKENDS
def test_uncommitted_writes_are_not_read(serve, tmp_path, backend):
    spec = StoreSpec("plain", "key-value", backend, serdes.string, serdes.int64)
    store = open_store(spec, tmp_path / "plain", NoContext())
    store.put("a", 1)
    store.drain_changelog()
    store.commit(1)
    store.put("a", 2)
    store.put("b", 2)
    instance = FakeInstance()
    instance.hold(FakeHandle(spec, 0, store), partitions=1)
    served = serve(instance)
    assert [(entry["key"], entry["value"]) for entry in served.entries("plain").json()["entries"]] == [("a", 1)]
    store.commit(2)
    assert served.entries("plain", key="a").json()["entries"][0]["value"] == 2
    store.close()
