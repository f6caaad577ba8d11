"""What a host does to an engine: a second engine on its directory, a clock that jumps, kills in mid-write, descriptors."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException

from engine import Consumed, Materialized, Processor, PunctuationType, TopologyTestDriver, serdes
from engine.stores import open_store
from tests.faults.lengths import SEED, SOAK_SECONDS_MAX, lengths, of_soak
from tests.runtime import programs
from tests.runtime.harness import (
    EngineProcess,
    committed_offsets,
    config,
    counted,
    create,
    eventually,
    fold,
    produce,
    read,
)
from tests.stores.test_lifecycle import _WRITER, SPECS, get
from tests.stores.vectors import Context

ROOT = Path(__file__).resolve().parents[2]
HOUR_MS = 3_600_000
_SECOND_ENGINE = """
import sys, time
from pathlib import Path
from engine import Engine, EngineConfig
from engine.errors import StateDirectoryLocked
from tests.runtime import programs
name, bootstrap_servers, state_dir = sys.argv[1:]
for _ in range(20):
    began = time.monotonic()
    try:
        Engine(programs.counts(name), EngineConfig(name, bootstrap_servers, state_dir=Path(state_dir), listen=None)).run()
    except StateDirectoryLocked as error:
        print(time.monotonic() - began, error)
"""


def run_here(program, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.kafka
def test_of_two_engines_on_one_directory_the_second_ends_by_name_twenty_times_of_twenty(kafka, tmp_path):
    """Its start is timed, not the interpreter's. The first one works meanwhile, and goes on."""
    name = kafka.unique("twice")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, programs.output_topic(name), partitions=2)
    settings = config(kafka, name, tmp_path / "state", commit_interval_ms=50)
    sent, stop = Counter(), threading.Event()

    def arrive():
        while not stop.is_set():
            keys = [b"k%d" % (number % 50) for number in range(500)]
            produce(kafka, programs.input_topic(name), [(key, b"v") for key in keys])
            sent.update(keys)
            stop.wait(0.05)

    def done():
        try:
            return sum(max(at, 0) for at in committed_offsets(kafka, name, programs.input_topic(name), 2).values())
        except KafkaException:
            return 0  # the group's coordinator is not up yet

    with EngineProcess("counts", settings) as first, ThreadPoolExecutor(1) as beside:
        arriving = beside.submit(arrive)
        try:
            before = eventually(done, "work")
            with run_here(_SECOND_ENGINE, name, kafka.bootstrap_servers, settings.state_dir) as second:
                told = second.stdout.read().splitlines()
            eventually(lambda: done() > before, "more work")
        finally:
            stop.set()
        arriving.result()
        assert len(told) == 20
        assert all(float(line.split()[0]) < 1 and f"process {first.process.pid}" in line for line in told)
        assert first.process.poll() is None
        eventually(lambda: done() == sent.total(), "all of it")
        assert first.stop() == 0
    assert counted(fold(read(kafka, f"{name}-counts-changelog"))) == dict(sent)


class Watch(Processor):
    """Notes stream time at each record and each punctuation."""

    seen: list

    def init(self, context):
        self.context = context
        self.latest = 0
        context.schedule(60_000, PunctuationType.WALL_CLOCK_TIME, self.tick)
        context.schedule(60_000, PunctuationType.STREAM_TIME, self.tick)

    def tick(self, _now):
        self.seen.append(self.context.current_stream_time_ms())

    def process(self, _record):
        self.seen.append(self.context.current_stream_time_ms())


def test_clock_jumps_of_an_hour_never_turn_stream_time_back():
    seen = []
    watch = type("Watching", (Watch,), {"seen": seen})

    def build(builder):
        records = builder.stream("in", Consumed(serdes.string, serdes.string))
        records.process(watch)
        records.group_by_key().count(Materialized("counts", serdes.string, serdes.int64))

    chance = random.Random(SEED)
    with TopologyTestDriver(build, wall_clock_ms=100 * HOUR_MS) as driver:
        topic = driver.input_topic("in")
        highest, expected = 0, []
        for _ in range(300):
            driver.advance_wall_clock(chance.choice([-HOUR_MS, 1_000, 61_000, HOUR_MS]))
            event_ms = max(0, driver.wall_clock_ms + chance.choice([-HOUR_MS, 0, HOUR_MS]))
            highest = max(highest, event_ms)
            expected.append(highest)
            topic.pipe("k", "v", event_ms)
        assert driver.store("counts").get("k").value == 300
    assert seen == sorted(seen)
    assert set(expected) <= set(seen)
    assert seen[-1] == highest


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS_MAX)
@pytest.mark.parametrize("name", ["key-value", "window", "session"])
def test_kills_in_mid_write_leave_data_and_position_in_agreement(name, tmp_path):
    """The short version is in tests/stores/test_lifecycle.py."""
    chance = random.Random(SEED)
    spec = SPECS[name].with_(rocksdb={"write_buffer_bytes": 1 << 16})
    kills = of_soak(170)
    for _ in range(kills):
        with run_here(_WRITER, tmp_path / "store", name) as writer:
            assert writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.3))
            writer.send_signal(signal.SIGKILL)
        store = open_store(spec, tmp_path / "store", Context())
        try:
            assert {get(store, f"key-{key}") for key in range(50)} == {store.position}
        finally:
            store.close()
    print(f"{name}: {kills} kills from seed {SEED}, last position {store.position}")


def descriptors():
    return psutil.Process().num_fds()


@lengths("opens", 50, 2_000)
def test_descriptors_stay_flat_over_many_openings(tmp_path, opens):
    def opened():
        store = open_store(SPECS["key-value"], tmp_path / "store", Context())
        store.put("k", 1)
        store.drain_changelog()
        store.commit(1)
        list(store.all())
        store.flush()
        store.close()

    opened()
    before = descriptors()
    for _ in range(opens):
        opened()
    assert descriptors() <= before + 2
