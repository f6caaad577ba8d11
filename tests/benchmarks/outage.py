"""Whether an engine notices that the console is away: `python -m tests.benchmarks.outage`.

One engine, with status reports as in production, processes what arrives at a steady rate. In windows that alternate within the one run,
everything behind the status topic is up (Redis, the database's users: observer, worker, beat and web) or killed with `kill -9`; with
`--away redis,…` only these. For each pair two ratios are told, down over up: of the engine's rate, and of its CPU time for a record. The rate is what arrives as long as
the engine keeps up; the CPU time shows whether that has become harder. `--freeze` stops the processes (SIGSTOP) instead, which to
an engine without connections to them is the same, and lets go on what froze: so many more pairs fit into the same time.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from confluent_kafka import Producer

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
FEEDS_PER_SECOND = 50
START_SECONDS = 180.0
PATIENCE_SECONDS = 120.0


def build(builder: StreamsBuilder) -> None:
    """Counts by key."""
    stream = builder.stream(INPUT, Consumed(serdes.bytes, serdes.bytes))
    stream.group_by_key().count(Materialized("counts", serdes.bytes, serdes.int64))


class Console:
    """Everything behind the status topic, as `manage.py up` runs it."""

    def __init__(self, data: DataDirectory, bootstrap_servers: str, away: tuple[str, ...], *, freezes: bool) -> None:
        self._freezes = freezes
        self._away = away
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = bootstrap_servers
        found = stack.settle(Options(data_dir=data.path, demo="off"), data)
        if found.redis is None:
            raise SystemExit("REDIS_URL is set: this kills its Redis, so it takes none but its own")
        found.redis.prepare()
        self._parts = {part.name: part for part in parts.table(found)}
        self._running: dict[str, Process] = {}

    def set_up(self) -> None:
        """Make the database and an account."""
        for name in STEPS:
            process = Process(self._parts[name].command)
            if not process.wait(START_SECONDS) or process.exit_code != 0:
                raise SystemExit(f"{name} failed: read {process.command.log}")

    def up(self) -> None:
        """Start the services that do not run, or let them go on; returns when those that can tell serve."""
        for name in SERVICES:
            if name not in self._running:
                self._running[name] = _started(self._parts[name])
            elif self._freezes:
                os.killpg(_pid(self._running[name]), signal.SIGCONT)

    def down(self) -> None:
        """Kill those that are to be away, or freeze them."""
        if self._freezes:
            for name in self._away:
                os.killpg(_pid(self._running[name]), signal.SIGSTOP)
        else:
            self._kill(self._away)

    def end(self) -> None:
        """Kill them all."""
        self._kill(tuple(self._running))

    def _kill(self, names: tuple[str, ...]) -> None:
        killed = [self._running.pop(name) for name in names]
        for process in killed:
            process.kill()
        for process in killed:
            if not process.wait(PATIENCE_SECONDS):
                raise SystemExit(f"{process.command.arguments} was killed and did not end")


def _pid(process: Process) -> int:
    if process.pid is None:
        raise SystemExit(f"{process.command.arguments} has ended: read {process.command.log}")
    return process.pid


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
            turn()
            time.sleep(options.settle)
            pair.append(windows.measure(engine, options.seconds))
        up, down = pair
        if engine.error is not None:
            raise engine.error
        if not (up.processed and down.processed):
            raise SystemExit("nothing arrived: did the feed end?")
        found.append((up, down))
        told = [f"{w.cpu_us_per_record:.2f} µs, {w.processed_per_second:,.0f}/s" for w in pair]
        print(f"    up {told[0]}; down {told[1]}", flush=True)
    return found


def tell(found: list[tuple[Window, Window]]) -> None:
    """Ratios of the pairs, down over up."""
    cpu = [down.cpu_us_per_record / up.cpu_us_per_record for up, down in found]
    rate = [down.processed_per_second / up.processed_per_second for up, down in found]
    print(f"  down over up, {len(found)} pairs: CPU for a record {windows.spread(cpu)}, rate {windows.spread(rate)}")


def feed_steadily(bootstrap_servers: str, per_second: int) -> NoReturn:
    """Write so many records a second, until killed."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 5, "partitioner": "murmur2_random"})
    dice = random.Random(topics.SEED)
    rows = [{"key": b"user-%07d" % dice.randrange(topics.KEYS), "value": bytes(80)} for _ in range(per_second)]
    pieces = [rows[start::FEEDS_PER_SECOND] for start in range(FEEDS_PER_SECOND)]
    began = time.monotonic()
    for number in itertools.count(1):
        piece = [dict(row) for row in pieces[number % FEEDS_PER_SECOND]]
        while producer.produce_batch(INPUT, piece) < len(piece):
            # A broker that others hold up takes what is due later.
            piece = [row for row in piece if row.pop("_error", None)]
            producer.poll(0.1)
        producer.poll(0)
        time.sleep(max(0.0, began + number / FEEDS_PER_SECOND - time.monotonic()))
    raise AssertionError("there is always another number")


def _running(engine: Any) -> bool:
    if engine.error is not None:
        raise engine.error
    return hasattr(engine, "tasks") and len(engine.tasks.running()) == topics.PARTITIONS


def main() -> int:
    """Parse the options, start everything, measure."""
    if sys.argv[1:2] == ["--feed"]:
        feed_steadily(sys.argv[2], int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each window")
    parser.add_argument("--away", default=",".join(SERVICES), help=f"of {', '.join(SERVICES)}, with commas")
    parser.add_argument("--freeze", action="store_true", help="SIGSTOP instead of kill -9: for many short windows")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds after a change")
    parser.add_argument("--per-second", type=int, default=20_000, help="records that arrive")
    options = parser.parse_args()
    if unknown := set(options.away.split(",")) - set(SERVICES):
        parser.error(f"--away: {', '.join(sorted(unknown))} is none of {', '.join(SERVICES)}")
    directory = Path(tempfile.mkdtemp(prefix="statehouse-outage-"))
    data = DataDirectory(directory / "up")
    data.open()
    try:
        with RunningKafka(directory / "kafka") as kafka:
            topics.create(kafka.bootstrap_servers, INPUT)
            away = tuple(options.away.split(","))
            console = Console(data, kafka.bootstrap_servers, away, freezes=options.freeze)
            console.set_up()
            config = EngineConfig(
                "outage", kafka.bootstrap_servers, state_dir=directory / "state", replication_factor=1
            )
            engine = Engine(build, config)
            engine.start()
            # In a process of its own: what it costs is not the engine's.
            command = [sys.executable, "-m", "tests.benchmarks.outage", "--feed", kafka.bootstrap_servers]
            feed = subprocess.Popen([*command, str(options.per_second)])
            try:
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not _running(engine):
                    if time.monotonic() > deadline:
                        raise SystemExit("the engine did not get its tasks")
                    time.sleep(0.05)
                found = measure(engine, console, options)
            finally:
                feed.kill()
                feed.wait()
                console.end()
                engine.stop()
    finally:
        data.close()
        shutil.rmtree(directory, ignore_errors=True)
    tell(found)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
