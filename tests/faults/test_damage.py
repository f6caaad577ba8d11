"""Files that a disk, a crash or a hand has damaged: the store is as it was, or says that it must be rebuilt. Never a wrong read."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest

from engine import serdes
from engine.errors import TaskCorrupted
from engine.stores import memory_budget, open_store
from engine.stores.backend import EVERYTHING
from engine.topology.stores import StoreSpec
from tests.faults.lengths import SEED, lengths
from tests.runtime import programs
from tests.runtime.harness import config, counted, create, eventually, fold, int64, produce, read, running
from tests.stores.vectors import Context

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of its own there
ROWS = 4_000
SPECS = {
    "key-value": StoreSpec("s", "key-value", "rocksdb", serdes.string, serdes.string, timestamped=True),
    "window": StoreSpec("s", "window", "rocksdb", serdes.string, serdes.string, window_ms=100, retention_ms=100_000),
}
FILES = ("*.sst", "MANIFEST-*", "CURRENT")


@pytest.fixture
def folder():
    """A folder that costs no disk: hundreds of stores are copied into it."""
    made = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def own_block_cache():
    """Blocks that the process read before would answer for the damaged ones: RocksDB knows a copied file again."""
    yield
    memory_budget.block_cache.cache_clear()


def filled(spec, directory):
    """Make a store of several table files; returns its rows at each position that it had on disk, the last one last."""
    store = open_store(spec.with_(rocksdb={"write_buffer_bytes": 1 << 16}), directory, Context())
    states = {None: {}}
    for number in range(ROWS):
        store.context.timestamp = number
        key, value = f"key-{number % 1_500:05d}", f"value {number} " * 3
        store.put(key, value, number) if spec.kind == "window" else store.put(key, value)
        if number % 1_000 == 999:
            store.drain_changelog()
            store.commit(number + 1)
            store.flush()
            states[store.position] = rows_of(store)
    store.close()
    return states


def rows_of(store, **bounds):
    """Rows by family, of those that have any."""
    backend = store.backend
    found = {name: list(backend.scan(name, EVERYTHING._replace(**bounds))) for name in backend.families()}
    return {name: rows[::-1] if bounds else rows for name, rows in found.items() if rows}


def damage(directory, chance):
    """Flip a bit of, or cut, one file; returns what was done, in words."""
    file = chance.choice(sorted(directory.glob(chance.choice(FILES))))
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content))
    if chance.random() < 0.75:
        content[place] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        return f"a bit of byte {place} of {file.name} flipped"
    file.write_bytes(content[:place])
    return f"{file.name} cut to {place} bytes"


def answers(spec, directory, states):
    """The position, what lies before it, and every way to read the store, each as it answers or as the refusal."""
    store = open_store(spec, directory, Context())
    try:
        backend, expected = store.backend, states[store.position]
        ways = [
            lambda: rows_of(store),
            lambda: rows_of(store, reverse=True),
            lambda: {
                name: list(zip(keys, backend.get_many(name, keys), strict=True))
                for name, rows in expected.items()
                for keys in [[key for key, _ in rows]]
            },
            lambda: {n: found for n in backend.families() if (found := backend.page(n, EVERYTHING, ROWS))},
        ]
        yield store.position, expected
        for way in ways:
            try:
                yield way()
            except TaskCorrupted as error:
                yield error
    finally:
        store.close()


@pytest.mark.parametrize("kind", SPECS)
@lengths("cases", 50, 500)
def test_damaged_files_are_noticed_or_harmless(folder, kind, cases):
    spec = SPECS[kind]
    states = filled(spec, folder / "whole")
    refused, older, harmless = 0, 0, 0
    for case in range(cases):
        chance = random.Random(SEED + case)
        copy = folder / "copy"
        shutil.copytree(folder / "whole", copy)
        done = damage(copy, chance)
        memory_budget.block_cache.cache_clear()
        try:
            (position, expected), *found = answers(spec, copy, states)
        except TaskCorrupted:
            refused += 1
        else:
            # A MANIFEST cut between two of its entries is a whole one of an earlier time: its store replays the rest.
            wrong = [a for a in found if not isinstance(a, TaskCorrupted) and a != expected]
            assert not wrong, f"seed {SEED + case}, {done}: a wrong read at position {position}"
            if any(isinstance(a, TaskCorrupted) for a in found):
                refused += 1
                with pytest.raises(TaskCorrupted, match="rebuilt"):
                    open_store(spec, copy, Context())
            elif expected == states[ROWS]:
                harmless += 1
            else:
                older += 1
        shutil.rmtree(copy)
    print(
        f"{kind}: {cases} cases from seed {SEED}: {refused} refused, {older} as of earlier, {harmless} harmless, 0 wrong"
    )
    assert refused > cases / 2


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.kafka
def test_damage_that_shows_only_in_a_read_is_rebuilt_under_the_running_engine(kafka, tmp_path):
    name = kafka.unique("damage")
    keys = 20_000
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    records = [(f"k{i:05d}".encode(), b"v") for i in range(keys)]
    settings = config(kafka, name, tmp_path / "state")
    produce(kafka, programs.input_topic(name), records)
    with running(programs.counts(name), settings) as engine:
        eventually(lambda: hasattr(engine, "loop") and engine.loop.processed_total == keys, "the first round")
    tables = list((tmp_path / "state" / name / "0_0" / "counts").glob("g*/*.sst"))
    largest = max(tables, key=lambda file: file.stat().st_size)
    # Data blocks come first in a table; only the first one is looked at when a store opens.
    flip(largest, largest.stat().st_size // 3)
    memory_budget.block_cache.cache_clear()
    with running(programs.counts(name), settings) as engine:
        eventually(lambda: hasattr(engine, "tasks") and engine.tasks.running(), "the task runs on the damaged store")
        produce(kafka, programs.input_topic(name), records)
        eventually(
            lambda: any(r.cause.startswith("corruption") for t in engine.tasks.running() for r in t.restores.values()),
            "the store is rebuilt, with its cause",
        )
        eventually(
            lambda: set(counted(fold(read(kafka, f"{name}-counts-changelog"))).values()) == {2}, "the second round"
        )
        (task,) = engine.tasks.running()
        assert "checksum" in task.restores["counts"].cause
    totals = {key: int64(value) for key, value in fold(read(kafka, programs.output_topic(name))).items()}
    assert totals == {key: 2 for key, _ in records}
