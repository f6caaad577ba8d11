"""Whether an engine notices that the console is away: `python -m tests.benchmarks.outage`.

One engine works through its input with status reports as in production. In windows that alternate within the one run, everything behind
the status topic is up (Redis, the database's users: observer, worker, beat and web) or killed with `kill -9`; tasks stand still
while it is killed or starts. For each pair two ratios are told, down over up: of the engine's CPU time for a record, and of its rate. The
first is the figure to judge by: on a busy machine a rate is also what others leave.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine import Consumed, Engine, EngineConfig, Materialized, StreamsBuilder, serdes
from engine.embedded import parts, stack
from engine.embedded.data_directory import DataDirectory
from engine.embedded.kafka import RunningKafka
from engine.embedded.options import Options
from engine.embedded.part import Part
from engine.embedded.process import Process
from engine.embedded.wait import until_ready
from tests.benchmarks import topics, windows
from tests.benchmarks.windows import Window

INPUT = "outage-input"
STEPS = ("database", "account")
SERVICES = ("redis", "observer", "worker", "beat", "web")
START_SECONDS = 180.0
PATIENCE_SECONDS = 120.0


def build(builder: StreamsBuilder) -> None:
    """Counts by key."""
    stream = builder.stream(INPUT, Consumed(serdes.bytes, serdes.bytes))
    stream.group_by_key().count(Materialized("counts", serdes.bytes, serdes.int64))


class Console:
    """Everything behind the status topic, as `manage.py up` runs it."""

    def __init__(self, data: DataDirectory, bootstrap_servers: str) -> None:
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = bootstrap_servers
        found = stack.settle(Options(data_dir=data.path, demo="off"), data)
        if found.redis is None:
            raise SystemExit("REDIS_URL is set: this kills its Redis, so it takes none but its own")
        found.redis.prepare()
        self._parts = {part.name: part for part in parts.table(found)}
        self._running: list[Process] = []

    def set_up(self) -> None:
        """Make the database and an account."""
        for name in STEPS:
            process = Process(self._parts[name].command)
            if not process.wait(START_SECONDS) or process.exit_code != 0:
                raise SystemExit(f"{name} failed: read {process.command.log}")

    def up(self) -> None:
        """Start all services; returns when those that can tell serve."""
        for name in SERVICES:
            self._running.append(_started(self._parts[name]))

    def down(self) -> None:
        """Kill them all."""
        for process in self._running:
            process.kill()
        for process in self._running:
            if not process.wait(PATIENCE_SECONDS):
                raise SystemExit(f"{process.command.arguments} was killed and did not end")
        self._running.clear()


def _started(part: Part) -> Process:
    process = Process(part.command)
    until_ready(process, part.ready or (lambda: True), START_SECONDS, part.name)
    return process


def measure(engine: Engine, console: Console, options: argparse.Namespace) -> list[tuple[Window, Window]]:
    """Pairs of windows: up, down."""
    found: list[tuple[Window, Window]] = []
    for _ in range(options.pairs):
        pair = []
        for turn in (console.up, console.down):
            windows.hold(engine, held=True)
            turn()
            time.sleep(options.settle)
            windows.hold(engine, held=False)
            time.sleep(options.settle)
            pair.append(windows.measure(engine, options.seconds))
        up, down = pair
        if engine.error is not None:
            raise engine.error
        if not (up.processed and down.processed):
            print(f"the input ended after {len(found)} pairs: more --records give more")
            break
        found.append((up, down))
        told = [f"{w.cpu_us_per_record:.2f} µs, {w.processed_per_second:,.0f}/s" for w in pair]
        print(f"    up {told[0]}; down {told[1]}", flush=True)
    return found


def tell(found: list[tuple[Window, Window]]) -> None:
    """Ratios of the pairs, down over up."""
    cpu = [down.cpu_us_per_record / up.cpu_us_per_record for up, down in found]
    rate = [down.processed_per_second / up.processed_per_second for up, down in found]
    print(f"  down over up, {len(found)} pairs: CPU for a record {windows.spread(cpu)}, rate {windows.spread(rate)}")


def _running(engine: Any) -> bool:
    if engine.error is not None:
        raise engine.error
    return hasattr(engine, "tasks") and len(engine.tasks.running()) == topics.PARTITIONS


def main() -> int:
    """Parse the options, start everything, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each window")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds after a change, twice")
    parser.add_argument("--records", type=int, default=40_000_000, help="of the input")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="statehouse-outage-"))
    data = DataDirectory(directory / "up")
    data.open()
    try:
        with RunningKafka(directory / "kafka") as kafka:
            topics.create(kafka.bootstrap_servers, INPUT)
            topics.fill(kafka.bootstrap_servers, INPUT, options.records)
            console = Console(data, kafka.bootstrap_servers)
            console.set_up()
            config = EngineConfig(
                "outage", kafka.bootstrap_servers, state_dir=directory / "state", replication_factor=1
            )
            engine = Engine(build, config)
            engine.start()
            try:
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not _running(engine):
                    if time.monotonic() > deadline:
                        raise SystemExit("the engine did not get its tasks")
                    time.sleep(0.05)
                found = measure(engine, console, options)
            finally:
                console.down()
                engine.stop()
    finally:
        data.close()
        shutil.rmtree(directory, ignore_errors=True)
    tell(found)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
