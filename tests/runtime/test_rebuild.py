"""State that cannot be trusted is rebuilt, each with its cause, and is never read wrongly."""

import shutil

import pytest
from confluent_kafka import TopicPartition
from rocksdict import Options, Rdict

from engine.control import status
from engine.stores import memory_budget
from tests.runtime import programs
from tests.runtime.harness import alter, config, create, eventually, produce, read, run_to_the_end, running

pytestmark = pytest.mark.kafka
KEYS = 400


def fill(kafka, application):
    """Every key once, in each of the four partitions."""
    rows = [(b"%d-%04d" % (p, i) + b"x" * 200, b"v", 1_000, p) for p in range(4) for i in range(KEYS)]
    produce(kafka, programs.input_topic(application), rows)
    return [key for key, *_ in rows]


def cut(kafka, topic, partition, offset):
    admin = kafka.admin()
    place = TopicPartition(topic, partition, offset)
    admin.delete_records([place])[place].result(20)


def position_of(generation):
    """The changelog position that a closed store was left at."""
    with Rdict(str(generation), Options(raw_mode=True)) as database:
        return int.from_bytes(database.get_column_family("meta")[b"position"], "big")


def generation_of(state, application, task):
    directory = state / application / task / "counts"
    return directory / (directory / "CURRENT").read_text().strip()


def test_each_kind_of_distrust_is_rebuilt_with_its_cause(kafka, tmp_path):
    name = kafka.unique("rebuild")
    create(kafka, programs.input_topic(name), partitions=4)
    state, changelog = tmp_path / "state", f"{name}-counts-changelog"
    settings = config(kafka, name, state)
    build = programs.counts(name, output=False)
    keys = fill(kafka, name)
    run_to_the_end(build, settings)
    for task in ("0_2", "0_3"):
        shutil.copytree(state / name / task, tmp_path / task)
    fill(kafka, name)
    run_to_the_end(build, settings)

    # 0: of a format that this version does not know.
    with Rdict(str(generation_of(state, name, "0_0")), Options(raw_mode=True)) as database:
        database.get_column_family("meta")[b"format"] = b"99 of the future"
    # 1: one byte of a table file is another. RocksDB finds out when it reads the block.
    # The newest of the large ones: what an older one has of a key nobody asks for.
    tables = list(generation_of(state, name, "0_1").glob("*.sst"))
    large = max(path.stat().st_size for path in tables) // 2
    table = max(path for path in tables if path.stat().st_size > large)
    damaged = bytearray(table.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    table.write_bytes(damaged)
    memory_budget.configure(block_cache_bytes=1)  # the block must be read, not remembered
    # 2 and 3: behind, as after a restored backup; 2 begins later than it stands, 3 is older than tombstones are kept.
    for task in ("0_2", "0_3"):
        shutil.rmtree(state / name / task)
        shutil.move(tmp_path / task, state / name / task)
    alter(kafka, changelog, cleanup_policy="compact,delete", retention_ms="-1", delete_retention_ms="1")
    stands = position_of(generation_of(state, name, "0_2"))
    # Only the marker of the last commit goes, so that all keys are still there.
    cut(kafka, changelog, 2, stands + 1)

    fill(kafka, name)
    with running(build, settings) as engine:
        eventually(lambda: hasattr(engine, "tasks") and len(engine.tasks.running()) == 4, "all tasks")
        eventually(lambda: engine.loop.processed_total >= 4 * KEYS, "the third round")
        eventually(
            lambda: len(engine.tasks.running()) == 4 and not any(t.dirty for t in engine.tasks.running()), "commits"
        )
        found = {}
        for task in engine.tasks.published:
            rows = task.stores["counts"].store.committed().range(None, None, limit=1_000)
            found |= {row.key: int.from_bytes(row.value, "big") for row in rows}
        assert found == dict.fromkeys(keys, 3)
        causes = {t.id: t.restores["counts"].cause for t in engine.tasks.published}
        assert causes["0_0"].startswith("corruption: store counts was written as '99 of the future'")
        assert causes["0_1"].startswith("corruption:")
        assert "checksum" in causes["0_1"].lower()
        assert causes["0_2"] == f"truncated: the changelog begins at {stands + 1}, the store stands at {stands}"
        assert causes["0_3"] == "too old"
        told = {r.task: r.cause for r in engine.report.collect() if isinstance(r, status.StoreStatus)}
        assert told == causes
    assert len(read(kafka, changelog)) >= 2 * KEYS
