"""Files that a disk, a crash or a hand has damaged: the store is as it was, or says that it must be rebuilt. Never a wrong read."""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest

from engine.stores import memory_budget
from tests.faults import damage
from tests.faults.lengths import SEED, lengths
from tests.runtime import programs
from tests.runtime.harness import ROOT, config, counted, create, eventually, fold, int64, produce, read, running

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of its own there
# A case takes milliseconds; what takes so long on a busy machine has hung.
CASE_SECONDS = 60


@pytest.fixture
def folder():
    """A folder that costs no disk: hundreds of stores are copied into it."""
    made = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    yield made
    shutil.rmtree(made)


class Cases:
    """The program that tries them, and its lines as they come."""

    def __init__(self, kind, folder, cases):
        command = [sys.executable, "-m", "tests.faults.damage", kind, str(folder), str(SEED), str(cases)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
        )
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def next(self):
        """The next line; None at the end. Raises queue.Empty when none comes."""
        return self._lines.get(timeout=CASE_SECONDS)

    def end(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


@pytest.mark.parametrize("kind", damage.SPECS)
@lengths("cases", 50, 500)
def test_damaged_files_are_noticed_or_harmless(folder, kind, cases):
    outcomes = Counter()
    trying = Cases(kind, folder, cases)
    try:
        while case := trying.next():
            try:
                (came,) = trying.next().values()
            except queue.Empty:
                pytest.fail(f"{case} hangs")
            assert not came.startswith("wrong"), f"{case}: {came}"
            outcomes[case["file"], came] += 1
    finally:
        trying.end()
    print(f"{kind}: {cases} cases from seed {SEED}, no wrong read, none hangs: {dict(outcomes)}")
    assert outcomes.total() == cases
    for file in ("*.sst", "MANIFEST-*", "CURRENT"):
        of_file = {came: count for (f, came), count in outcomes.items() if f == file}
        assert of_file["refused"] > sum(of_file.values()) / 2, (file, of_file)


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
    # Blocks that the process read before would answer for the damaged ones.
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
