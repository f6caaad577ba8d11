"""What a rolling restart restores: `python -m tests.benchmarks.rolling_restart --instances 3 --standbys 1 --static`.

Instances share a count by key; each in turn is stopped cleanly while records go on arriving, and started again. For each
restart: how many changelog records all instances restored because of it, how many were written while it was away, how
long a task was without an owner, and how often the others rebalanced.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from engine import Consumed, Materialized, StreamsBuilder, serdes
from engine.config import EngineConfig
from engine.embedded.kafka import RunningKafka
from engine.instance import Engine

INPUT = "rolling-input"
PATIENCE_SECONDS = 300.0


def build(builder: StreamsBuilder) -> None:
    """Counts by key."""
    stream = builder.stream(INPUT, Consumed(serdes.string, serdes.string))
    stream.group_by_key().count(Materialized("counts", serdes.string, serdes.int64))


class Feed(threading.Thread):
    """Writes `per_second` records, keys in turn, until it is stopped."""

    def __init__(self, bootstrap_servers: str, keys: int, per_second: int) -> None:
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random"})
        self._keys, self._per_second = keys, per_second
        self._ending = threading.Event()
        self.sent = 0

    def send(self, count: int) -> None:
        """Write `count` records."""
        for _ in range(count):
            while True:
                try:
                    self._producer.produce(INPUT, b"v", f"key-{self.sent % self._keys}")
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self.sent += 1
        self._producer.flush(60)

    def run(self) -> None:
        """Write until stopped."""
        while not self._ending.wait(0.1):
            self.send(self._per_second // 10)

    def end(self) -> None:
        """Stop writing."""
        self._ending.set()
        self.join()


class Fleet:
    """The instances, and what each has restored."""

    def __init__(self, settings: dict[str, EngineConfig]) -> None:
        self._settings = settings
        self.engines: dict[str, Engine] = {}
        self._counted: dict[tuple[str, str, float], int] = {}

    def start(self, name: str) -> None:
        """Start an instance."""
        self.engines[name] = Engine(build, self._settings[name])
        self.engines[name].start()

    def stop(self, name: str) -> None:
        """Stop an instance cleanly."""
        self.engines.pop(name).stop()

    def owned(self) -> dict[str, list[str]]:
        """The tasks that run, by instance."""
        return {n: sorted(t.id for t in e.tasks.running()) for n, e in self.engines.items() if hasattr(e, "tasks")}

    def settled(self, tasks: int, instances: int) -> bool:
        """Whether every task runs, spread over all instances, and every standby has caught up."""
        owned = self.owned()
        return (
            sum(map(len, owned.values())) == tasks
            and len(owned) == instances
            and all(owned.values())
            and all(e.membership.joined for e in self.engines.values())
        )

    def restored(self) -> int:
        """Changelog records applied by take-overs of tasks, all instances together, since they started."""
        for name, engine in self.engines.items():
            for task in engine.tasks.running() if hasattr(engine, "tasks") else ():
                for restore in task.restores.values():
                    self._counted[name, task.id, restore.began_at] = restore.records
        return sum(self._counted.values())

    def rebalances(self) -> int:
        """Membership callbacks so far, of the instances that run."""
        return sum(e.membership.rebalances_total for e in self.engines.values() if hasattr(e, "membership"))


def until(condition: Any, what: str) -> float:
    """Wait for a condition; returns the seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise SystemExit(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def restart(fleet: Fleet, feed: Feed, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Restart one instance; returns what it took."""
    restored, rebalances = fleet.restored(), fleet.rebalances() - fleet.engines[name].membership.rebalances_total
    sent, began, unowned = feed.sent, time.monotonic(), 0.0
    fleet.stop(name)
    stopped = time.monotonic()
    away = feed.sent
    fleet.start(name)
    looked = time.monotonic()
    while not fleet.settled(options.partitions, options.instances):
        if time.monotonic() - stopped > PATIENCE_SECONDS:
            raise SystemExit(f"{name} did not come back within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.02)
        now = time.monotonic()
        if sum(map(len, fleet.owned().values())) < options.partitions:
            unowned += now - looked
        looked = now
        fleet.restored()
    until(lambda: all(s.caught_up for e in fleet.engines.values() for s in e.tasks.standbys), "standbys")
    return {
        "instance": name,
        "restored": fleet.restored() - restored,
        "arrived_meanwhile": feed.sent - sent,
        "stop_seconds": round(stopped - began, 2),
        "some_task_without_owner_seconds": round(unowned + stopped - began, 2),
        "rebalances_of_others": fleet.rebalances() - fleet.engines[name].membership.rebalances_total - rebalances,
        "arrived_before_stop_ended": away - sent,
    }


def measure(options: argparse.Namespace, directory: Path, bootstrap_servers: str) -> list[dict[str, Any]]:
    """Run the whole thing."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(INPUT, options.partitions, 1)])[INPUT].result(30)
    names = [f"i{n}" for n in range(options.instances)]
    common: dict[str, Any] = {
        "application_id": "rolling",
        "bootstrap_servers": bootstrap_servers,
        "num_standby_replicas": options.standbys,
        "listen": None,
        "session_timeout_ms": 45_000 if options.static else 10_000,
    }
    fleet = Fleet(
        {
            n: EngineConfig(
                **common, state_dir=directory / n, instance_id=n, group_instance_id=n if options.static else None
            )
            for n in names
        }
    )
    feed = Feed(bootstrap_servers, options.keys, options.per_second)
    feed.send(options.keys)
    for name in names:
        fleet.start(name)
    until(lambda: fleet.settled(options.partitions, options.instances), "all tasks")
    until(lambda: sum(e.loop.processed_total for e in fleet.engines.values()) >= options.keys, "the first records")
    until(lambda: all(s.caught_up for e in fleet.engines.values() for s in e.tasks.standbys), "standbys")
    fleet.restored()
    feed.start()
    rows = []
    for name in names:
        rows.append(restart(fleet, feed, name, options))
        print(json.dumps(rows[-1]), flush=True)
    feed.end()
    for name in names:
        fleet.stop(name)
    return rows


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--standbys", type=int, default=1)
    parser.add_argument("--static", action="store_true", help="each instance has a group.instance.id")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--keys", type=int, default=60_000)
    parser.add_argument("--per-second", type=int, default=500)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="statehouse-rolling-"))
    try:
        with RunningKafka(directory / "kafka") as kafka:
            rows = measure(options, directory, kafka.bootstrap_servers)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    total = sum(row["restored"] for row in rows)
    print(f"{options.instances} restarts restored {total} records of stores that hold {options.keys}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
