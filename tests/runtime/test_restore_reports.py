"""What is told of a restore: its start, how far it is, its end; and how far copies are behind."""

import shutil
from collections import Counter

import pytest

from engine.changelog.topics import Topics
from engine.config import AT_LEAST_ONCE, EXACTLY_ONCE
from engine.control.status import EventStatus, StoreStatus
from engine.partitioning import partition_for
from engine.runtime.state_directory import StateDirectory
from engine.stores import open_store
from tests.runtime import programs
from tests.runtime.harness import config, create, eventually, produce, reports, run_to_the_end, running
from tests.stores.vectors import Context

pytestmark = pytest.mark.kafka
PARTITIONS = (0, 1)


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
    with running(build, settings.with_(restore_bytes_per_second_max=20_000)) as engine:
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
        assert len(under_way) > 1
        assert began.sequence < under_way[-1].sequence < ended.sequence
        assert [r.position for r in under_way] == sorted(r.position for r in under_way)
        assert {(r.start, r.snapshot_end) for r in under_way} == {(start, end)}
        if guarantee == AT_LEAST_ONCE:
            assert all(r.restored_records == r.position - start and r.lag == end - r.position for r in under_way)
        last = stores[-1]
        assert (last.phase, last.restored_records, last.position, last.lag) == ("done", records, end, 0)
        assert last.restore_started_at <= last.restore_ended_at


def phases(engine):
    return {r.phase for r in engine.reporter.latest() if isinstance(r, StoreStatus)}
