"""`manage.py engine run` as a real process: what signals do, and what it exits with (the table of docs/operators.md)."""

import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from engine.runtime import signals
from tests.runtime import programs
from tests.runtime.harness import (
    PATIENCE_SECONDS,
    ROOT,
    committed_offsets,
    config,
    counted,
    create,
    deny,
    eventually,
    fold,
    guarded_broker,
    produce,
    read,
    run_to_the_end,
)

pytestmark = pytest.mark.kafka
# A value at which the user's code stands still, and one that it does not take.
PROGRAM = """
import time
from pathlib import Path
from engine import Consumed, Produced, serdes

def stand_still(value):
    if value == "slow":
        Path("standing-still").touch()
        time.sleep(600)
    if value == "bad":
        raise ValueError("no such value")
    return value

def build(builder):
    values = builder.stream("{name}.in", Consumed(serdes.string, serdes.string)).map_values(stand_still)
    values.to("{name}.out", Produced(serdes.string, serdes.string))
"""
# How much is left before the disk counts as full, which the tests beside this one may take or give meanwhile.
ROOM = 256 << 20
FILES_MAX = 40
COUNTS = """
from tests.runtime import programs
build = programs.counts("{name}", output=False)
"""


@pytest.fixture
def application(kafka, tmp_path):
    name = kafka.unique("exits")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    (tmp_path / "app.py").write_text(PROGRAM.format(name=name))
    return name


class Run:
    """`manage.py engine run` in `directory`, where `app.py` is, with a log of its own: what an earlier one said is no answer."""

    _numbers = itertools.count(1)

    def __init__(self, kafka, application, directory: Path, *options: str, **popen):
        self.log = directory / f"engine-{next(self._numbers)}.log"
        command = [sys.executable, str(ROOT / "manage.py"), "engine", "run", "app:build"]
        told = {"--application-id": application, "--bootstrap-servers": kafka.bootstrap_servers, "--state-dir": "state"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *(part for pair in told.items() for part in pair), "--session-timeout-ms", "6000", *options],
                cwd=directory,
                stdout=log,
                stderr=log,
                **{"env": {**os.environ, "PYTHONPATH": str(ROOT)}, **popen},
            )

    def says(self, words: str) -> bool:
        return words in self.log.read_text()

    def until(self, words: str) -> None:
        eventually(lambda: self.says(words) or self.process.poll() is not None, words)
        assert self.says(words), self.log.read_text()[-4_000:]

    def ends(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def engine(kafka, application, directory, *options, **popen):
    run = Run(kafka, application, directory, *options, **popen)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def test_sigterm_drains_and_commits_and_a_second_engine_is_refused(kafka, application, tmp_path):
    produce(kafka, programs.input_topic(application), [(b"k", b"v%d" % i) for i in range(500)])
    # At-least-once commits every 30 s: what is committed sooner was committed by the stop.
    with engine(kafka, application, tmp_path, "--guarantee", "at_least_once") as first:
        eventually(lambda: len(read(kafka, programs.output_topic(application))) == 500, "all of it")
        with engine(kafka, application, tmp_path) as second:
            assert second.ends() == signals.EXIT_LOCKED == 3
            assert second.says(f"is in use by process {first.process.pid}")
        first.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert first.ends() == signals.EXIT_STOPPED == 0
        assert time.monotonic() - began < 30
    assert committed_offsets(kafka, application, programs.input_topic(application), 1) == {0: 500}


def test_a_stop_that_takes_too_long_is_ended_and_a_second_signal_ends_at_once(kafka, application, tmp_path):
    produce(kafka, programs.input_topic(application), [(b"k", b"slow")])
    standing = tmp_path / "standing-still"
    with engine(kafka, application, tmp_path, "--stop-timeout-ms", "500") as run:
        eventually(standing.exists, "the slow record")
        run.process.send_signal(signal.SIGTERM)
        assert run.ends() == signals.EXIT_STOP_TIMED_OUT == 75
        assert run.says("did not stop within")
    standing.unlink()
    with engine(kafka, application, tmp_path, "--stop-timeout-ms", "60000") as run:
        eventually(standing.exists, "the slow record")
        run.process.send_signal(signal.SIGINT)
        run.until("once more ends at once")
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)
        assert run.ends() == signals.EXIT_FORCED == 130
    # Neither end has made it count as done.
    assert committed_offsets(kafka, application, programs.input_topic(application), 1)[0] <= 0


def test_a_record_that_fails_is_1_and_a_missing_topic_is_2(kafka, application, tmp_path):
    produce(kafka, programs.input_topic(application), [(b"k", b"bad")])
    with engine(kafka, application, tmp_path) as run:
        assert run.ends() == signals.EXIT_FAILED == 1
        assert run.says(f"{application}.in-0@0 cannot be processed")
    (tmp_path / "app.py").write_text(PROGRAM.format(name=f"{application}-missing"))
    with engine(kafka, application, tmp_path) as run:
        assert run.ends() == signals.EXIT_CONFIG == 2
        assert run.says(f"{application}-missing.in does not exist")


def test_a_forbidden_transactional_id_or_group_is_1_and_named(tmp_path, monkeypatch):
    with guarded_broker(tmp_path / "kafka", monkeypatch) as kafka:
        for kind, operation, what in (
            (ResourceType.TRANSACTIONAL_ID, AclOperation.WRITE, "Transactional Id authorization failed"),
            (ResourceType.GROUP, AclOperation.READ, "Group authorization failed"),
        ):
            name = kafka.unique("forbidden")
            create(kafka, programs.input_topic(name))
            create(kafka, programs.output_topic(name))
            (tmp_path / "app.py").write_text(PROGRAM.format(name=name))
            deny(kafka, kind, name, operation)
            with engine(kafka, name, tmp_path) as run:
                assert run.ends() == signals.EXIT_FAILED
                assert run.says(what)
                assert run.says("Give the engine's principal the right to it")


def test_a_full_disk_stops_by_name_and_room_lets_it_go_on(kafka, application, tmp_path):
    (tmp_path / "app.py").write_text(COUNTS.format(name=application))
    with engine(kafka, application, tmp_path, "--disk-free-bytes-min", str(2**62)) as run:
        assert run.ends() == signals.EXIT_DISK_FULL == 4
        assert run.says("make room there and start again")
    chance = random.Random(1)
    # Keys that do not compress, more of them than the memtables may hold: they have to go to disk.
    keys = [chance.randbytes(40).hex().encode() for _ in range(40_000)]
    produce(kafka, programs.input_topic(application), [(key, b"v") for key in keys])

    def small_files():
        # A file that may not grow fails a write just as a full disk does, and needs no file system of its own.
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))

    # Many small commits into a small buffer: RocksDB has to write however fast the machine is.
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "ENGINE_WRITE_BUFFER_BYTES": str(2**20),
        "ENGINE_POLL_RECORDS": "2000",
        "ENGINE_UNCOMMITTED_BYTES_MAX": "100000",
    }
    with engine(kafka, application, tmp_path, preexec_fn=small_files, env=environment) as run:
        assert run.ends() == signals.EXIT_DISK_FULL
        assert run.says("there is no room left")
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(programs.counts(application, output=False), settings)
    changelog = counted(fold(read(kafka, f"{application}-counts-changelog")))
    assert changelog == dict.fromkeys(keys, 1)


def test_a_disk_that_runs_low_stops_a_running_engine_cleanly(kafka, application, tmp_path):
    (tmp_path / "app.py").write_text(COUNTS.format(name=application))
    produce(kafka, programs.input_topic(application), [(b"k%d" % (i % 50), b"v") for i in range(500)])
    room = shutil.disk_usage(tmp_path).free - ROOM
    # At-least-once commits every 30 s: what is committed sooner was committed by the stop.
    options = ("--guarantee", "at_least_once")
    with engine(kafka, application, tmp_path, *options, "--disk-free-bytes-min", str(room)) as run:
        run.until("task 0_0 runs")
        for number in range(FILES_MAX):
            if run.process.poll() is not None:
                break
            with (tmp_path / f"filler-{number}").open("wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, ROOM // 4)
            time.sleep(0.5)
        assert run.ends() == signals.EXIT_DISK_FULL
        assert run.says("make room there and start again, or lower that setting")
    assert committed_offsets(kafka, application, programs.input_topic(application), 1) == {0: 500}
    for filler in tmp_path.glob("filler-*"):
        filler.unlink()
    with engine(kafka, application, tmp_path, *options) as run:
        run.until("task 0_0 runs; 0 records restored")
        run.process.send_signal(signal.SIGTERM)
        assert run.ends() == signals.EXIT_STOPPED
    assert counted(fold(read(kafka, f"{application}-counts-changelog"))) == {b"k%d" % key: 10 for key in range(50)}
