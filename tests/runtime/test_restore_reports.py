"""What is told of a restore: its start, how far it is, its end; and how far copies are behind."""

import shutil
import threading
from collections import Counter

import httpx
import pytest

from engine.changelog.topics import Topics
from engine.config import AT_LEAST_ONCE, EXACTLY_ONCE
from engine.control.status import EventStatus, StoreStatus
from engine.partitioning import partition_for
from engine.runtime.restore_pace import Pace
from engine.runtime.state_directory import StateDirectory
from engine.stores import open_store
from tests.runtime import programs
from tests.runtime.harness import config, create, eventually, produce, reports, run_to_the_end, running
from tests.stores.vectors import Context

pytestmark = pytest.mark.kafka
PARTITIONS = (0, 1)
TOKEN = "a-token-of-the-tests"  # noqa: S105 - opens nothing


@pytest.fixture
def application(kafka):
    name = kafka.unique("told")
    create(kafka, programs.input_topic(name), partitions=len(PARTITIONS))
    return name


def ends(kafka, application):
    """The ends of the changelog's partitions."""
    changelog = f"{application}-counts-changelog"
    found = Topics({"bootstrap.servers": kafka.bootstrap_servers}).end_offsets([(changelog, p) for p in PARTITIONS])
    return {partition: end for (_, partition), end in found.items()}


def positions(engine, path):
    """Where the stores of an engine that has ended stand on disk."""
    found, directory = {}, StateDirectory(path, engine.config.application_id)
    for partition in PARTITIONS:
        generation = directory.current(f"0_{partition}", "counts")
        files = directory.generation_directory(f"0_{partition}", "counts", generation)
        store = open_store(engine.topology.stores["counts"], files, Context())
        found[partition] = store.position
        store.close()
    return found


@pytest.mark.parametrize("guarantee", [AT_LEAST_ONCE, EXACTLY_ONCE])
def test_a_restore_tells_its_start_its_progress_and_its_end(kafka, application, tmp_path, guarantee):
    """RestoreIntegrationTest.shouldRestoreStateFromChangelogTopic: what lies between position N and end E, and only that."""
    build, keys = programs.quiet_counts(application), [f"k{i % 100}".encode() for i in range(3_000)]
    # Without a cache every put is a record of the changelog.
    settings = config(kafka, application, tmp_path / "state", guarantee=guarantee, caching=False)
    produce(kafka, programs.input_topic(application), [(key, b"v") for key in keys])
    starts = positions(run_to_the_end(build, settings), tmp_path / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "earlier")
    produce(kafka, programs.input_topic(application), [(key, b"v") for key in keys])
    run_to_the_end(build, settings)
    shutil.rmtree(tmp_path / "state")
    shutil.move(tmp_path / "earlier", tmp_path / "state")
    # A record's value is 16 bytes: it takes some seconds, hence some reports.
    with running(build, settings.with_(restore_bytes_per_second_max=5_000)) as engine:
        eventually(lambda: hasattr(engine, "tasks") and len(engine.tasks.running()) == len(PARTITIONS), "both tasks")
        expected = ends(kafka, application)
        eventually(lambda: phases(engine) == {"done"}, "the last report")
    told = reports(kafka, engine)
    between = Counter(partition_for(key, len(PARTITIONS)) for key in keys)
    for partition in PARTITIONS:
        start, end, records = starts[partition], expected[partition], between[partition]
        if guarantee == AT_LEAST_ONCE:
            assert records == end - start
        of_task = [r for r in told if getattr(r, "task", None) == f"0_{partition}"]
        began, ended = (
            next(r for r in of_task if isinstance(r, EventStatus) and r.event == f"restore-{what}")
            for what in ("started", "ended")
        )
        assert began.data == {"start": start, "end": end, "cause": "behind its changelog"}
        assert ended.data == {"records": records}
        stores = [r for r in of_task if isinstance(r, StoreStatus)]
        under_way = [r for r in stores if r.position is not None and start < r.position < end and r.phase != "done"]
        assert under_way
        assert began.sequence < under_way[-1].sequence < ended.sequence
        assert [r.position for r in under_way] == sorted(r.position for r in under_way)
        assert {(r.start, r.snapshot_end) for r in under_way} == {(start, end)}
        if guarantee == AT_LEAST_ONCE:
            assert all(r.restored_records == r.position - start and r.lag == end - r.position for r in under_way)
        last = stores[-1]
        assert (last.phase, last.restored_records, last.position, last.lag) == ("done", records, end, 0)
        assert last.restore_started_at <= last.restore_ended_at


@pytest.mark.parametrize(("guarantee", "end"), [(AT_LEAST_ONCE, 5), (EXACTLY_ONCE, 6)])
def test_how_far_each_copy_has_come_is_told_in_offsets(kafka, tmp_path, monkeypatch, guarantee, end):
    """LagFetchIntegrationTest: (position, end, lag) of the owner, of a standby, and of a restore that has read nothing yet.

    Ends are the topic's: with exactly-once the fifth record is followed by its transaction's marker. Who runs has all that is
    committed, hence no lag; its position goes no further than the last record.
    """
    name = kafka.unique("lags")
    create(kafka, programs.input_topic(name))
    produce(kafka, programs.input_topic(name), [(f"k{i}".encode(), b"v") for i in range(1, 6)])
    (tmp_path / "token").write_text(TOKEN)
    one, two = (
        config(
            kafka,
            name,
            tmp_path / each,
            instance_id=each,
            guarantee=guarantee,
            commit_interval_ms=100,
            num_standby_replicas=1,
            listen="127.0.0.1:0",
            token_file=tmp_path / "token",
        )
        for each in ("one", "two")
    )
    build = programs.quiet_counts(name)
    with running(build, one) as engine:
        eventually(lambda: triple(engine) == ("active", 5, end, 0), "the owner's")
        with running(build, two) as other:
            eventually(lambda: triple(other) == ("standby", end, end, 0), "the standby's")
    shutil.rmtree(tmp_path / "one")
    reads = threading.Event()
    # Throttled, so that it has not read anything yet.
    monkeypatch.setattr(Pace, "wait_seconds", property(lambda _pace: 0.0 if reads.is_set() else 0.1))
    with running(build, one) as engine:
        eventually(lambda: triple(engine) == ("active", 0, end, end), "the owner's")
        reads.set()
        eventually(lambda: triple(engine) == ("active", end, end, 0), "the owner's")


def triple(engine):
    """Role, position, end and lag of the copy at an engine, as its service tells them."""
    if engine.address is None or engine.phase != "running":
        return None
    headers = {"authorization": f"Bearer {TOKEN}"}
    (store,) = httpx.get(f"{engine.address}/v1/stores", headers=headers, timeout=20).json()["stores"]
    return next((tuple(c[n] for n in ("role", "position", "end", "lag")) for c in store["partitions"]), None)


def phases(engine):
    return {r.phase for r in engine.reporter.latest() if isinstance(r, StoreStatus)}
