"""How fast changelogs become stores: `python -m tests.benchmarks.restore --processes 0 2 --peers kafka-streams`.

One application, whose state directory is gone each time: a table of `--partitions` times `--records` rows of 40 bytes, and beside it a
count by key that has nothing to restore. Each round restores the table with an idle loop, then while the count works
through its input, with each number of restore processes, and with Kafka Streams (idle). For a loaded run it is told how fast the count
was during the restore, and how fast after it. Figures are medians of the rounds; compare within one run only.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from engine import Consumed, Materialized, StreamsBuilder, serdes
from engine.changelog.topics import Topics
from engine.embedded.kafka import RunningKafka
from tests.benchmarks import kafka_streams, topics
from tests.benchmarks.measure import run as run_measured

APPLICATION = "bench-restore"
INPUT, LOAD, STORE = "restore-input", "restore-load", "users"
CHANGELOG = f"{APPLICATION}-{STORE}-changelog"
COUNTS = f"{APPLICATION}-counts-changelog"
VALUE_BYTES = 40
PATIENCE_SECONDS = 600.0
# The count goes on for so long behind the restore, at least.
AFTER_SECONDS = 5.0
LOOKS_BETWEEN_SIZES = 20


def build(builder: StreamsBuilder) -> None:
    """A table to restore, and a count beside it."""
    builder.table(INPUT, Consumed(serdes.bytes, serdes.bytes), Materialized(STORE, serdes.bytes, serdes.bytes))
    load = builder.stream(LOAD, Consumed(serdes.bytes, serdes.bytes))
    load.group_by_key().count(Materialized("counts", serdes.bytes, serdes.int64))


# -- one run, in a process of its own ----------------------------------------------------------------------------------


def restore_once(settings: dict[str, Any]) -> dict[str, Any]:
    """Start an engine, wait for its restores, look at what the loop did meanwhile."""
    from engine import Engine, EngineConfig

    config = settings["config"]
    engine = Engine(build, EngineConfig(**{**config, "state_dir": Path(config["state_dir"])}))
    engine.start()
    seen: list[tuple[float, int]] = []
    ended: float | None = None
    deadline, children_bytes = time.time() + PATIENCE_SECONDS, 0
    while ended is None or (settings["loaded"] and time.time() < 2 * ended - _began(engine) + AFTER_SECONDS):
        if engine.error is not None:
            raise engine.error
        if time.time() > deadline:
            raise SystemExit(f"the restore did not end within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.01)
        if hasattr(engine, "loop"):
            seen.append((time.time(), engine.loop.processed_total))
            if len(seen) % LOOKS_BETWEEN_SIZES == 0:
                children_bytes = max(children_bytes, *map(_rss, engine.tasks.restore_pids), 0)
            if ended is None:
                ended = _ended(engine, settings["partitions"])
    began, records = _began(engine), sum(r.records for r in _restores(engine))
    engine.stop()
    return {
        "records": records,
        "seconds": ended - began,
        "during_per_second": _rate(seen, began, ended),
        "after_per_second": _rate(seen, ended, seen[-1][0]),
        "largest_child_bytes": children_bytes,
    }


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _restores(engine: Any) -> list[Any]:
    tasks = engine.tasks.published if hasattr(engine, "tasks") else ()
    return [t.restores[STORE] for t in tasks if STORE in t.restores]


def _began(engine: Any) -> float:
    return min(r.began_at for r in _restores(engine))


def _ended(engine: Any, partitions: int) -> float | None:
    restores = _restores(engine)
    return max(r.ended_at for r in restores) if len(restores) == partitions else None


def _rate(seen: list[tuple[float, int]], began: float, ended: float) -> float:
    """Records a second between two times, from the first record within them on."""
    within = [(at, count) for at, count in seen if began <= at <= ended]
    working = [(at, count) for at, count in within if count > within[0][1]]
    if len(working) < 2:
        return 0.0
    return (working[-1][1] - working[0][1]) / max(working[-1][0] - working[0][0], 0.001)


# -- all runs ----------------------------------------------------------------------------------------------------------


class Restores:
    """The application's topics, its offsets, and the runs."""

    def __init__(self, bootstrap_servers: str, directory: Path, options: argparse.Namespace) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.directory = directory
        self.options = options
        self._runs = 0

    def fill(self) -> None:
        """Make the topics, and write the table's changelog and the count's input."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        names = {INPUT: self.options.partitions, CHANGELOG: self.options.partitions, LOAD: topics.PARTITIONS}
        wanted = [NewTopic(name, count, 1) for name, count in names.items()]
        # Records of a topic that is only compacted cannot be deleted.
        wanted.append(NewTopic(COUNTS, topics.PARTITIONS, 1, config={"cleanup.policy": "compact,delete"}))
        for created in admin.create_topics(wanted).values():
            created.result(topics.SECONDS_MAX)
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "linger.ms": 50,
                "batch.size": 500_000,
                "acks": "1",
                "queue.buffering.max.messages": 2_000_000,
            }
        )
        dice = random.Random(topics.SEED)
        for partition in range(self.options.partitions):
            for _ in range(0, self.options.records, topics.BATCH):
                rows = [
                    {"key": b"user-%09d" % dice.randrange(self.options.records), "value": dice.randbytes(VALUE_BYTES)}
                    for _ in range(topics.BATCH)
                ]
                while producer.produce_batch(CHANGELOG, rows, partition=partition) < len(rows):
                    rows = [row for row in rows if row.pop("_error", None)]
                    producer.flush(1)
        if producer.flush(topics.SECONDS_MAX):
            raise RuntimeError("the changelog could not be filled: the broker did not take everything")
        topics.fill(self.bootstrap_servers, LOAD, self.options.load)

    def prepare(self, *, loaded: bool) -> None:
        """The application as after the loss of its state directory; the count stands at the beginning or at the end."""
        found = Topics({"bootstrap.servers": self.bootstrap_servers})
        ends = found.end_offsets([(COUNTS, p) for p in range(topics.PARTITIONS)])
        purged = found.admin.delete_records([TopicPartition(*place, end) for place, end in ends.items()])
        for done in purged.values():
            done.result(topics.SECONDS_MAX)
        load = [(LOAD, p) for p in range(topics.PARTITIONS)]
        offsets = found.begin_offsets(load) if loaded else found.end_offsets(load)
        offsets |= {(INPUT, p): 0 for p in range(self.options.partitions)}
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": APPLICATION})
        wanted = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        deadline = time.monotonic() + topics.SECONDS_MAX
        while True:
            try:
                consumer.commit(offsets=wanted, asynchronous=False)
                break
            except KafkaException:
                # Kafka Streams does not leave its group when it closes: whoever comes next waits for its session to end.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        consumer.close()

    def ours(self, processes: int, *, loaded: bool) -> dict[str, Any]:
        """One run of ours."""
        self._runs += 1
        result = self.directory / f"{self._runs}.result"
        settings = {
            "result": str(result),
            "partitions": self.options.partitions,
            "loaded": loaded,
            "config": {
                "application_id": APPLICATION,
                "bootstrap_servers": self.bootstrap_servers,
                "state_dir": str(self.directory / f"{self._runs}-state"),
                "listen": None,
                "replication_factor": 1,
                "restore_processes": processes,
            },
        }
        file = self.directory / f"{self._runs}.json"
        file.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "tests.benchmarks.restore", "--one", str(file)]
        measured = run_measured(command, result, self.options.partitions * self.options.records, {})
        shutil.rmtree(self.directory / f"{self._runs}-state", ignore_errors=True)
        told: dict[str, Any] = json.loads(result.with_suffix(".more").read_text())
        told["cpu_seconds"], told["peak_bytes"] = measured.cpu_seconds, measured.peak_bytes
        return told

    def theirs(self, peer: kafka_streams.KafkaStreams) -> dict[str, Any]:
        """One run of Kafka Streams: the same changelog into the same store."""
        records = self.options.partitions * self.options.records
        named = {"bootstrap": self.bootstrap_servers, "input": INPUT, "table": INPUT, "output": INPUT}
        measured = peer.run("restore", APPLICATION, records, named, "exactly_once_v2", "default")
        shutil.rmtree(self.directory / f"{APPLICATION}-state", ignore_errors=True)
        return {
            "records": records,
            "seconds": records / measured.records_per_second,
            "cpu_seconds": measured.cpu_seconds,
        }


def compare(restores: Restores, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """All rounds; prints each run, then the medians."""
    peer = kafka_streams.KafkaStreams(restores.directory) if options.peers else None
    series: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for kind in options.kinds:
            for processes in options.processes:
                restores.prepare(loaded=kind == "loaded")
                name = f"{kind}, {processes or 'no'} processes"
                series.setdefault(name, []).append(restores.ours(processes, loaded=kind == "loaded"))
                print(f"    {name}: {json.dumps(series[name][-1])}", flush=True)
        if peer is not None:
            restores.prepare(loaded=False)
            series.setdefault(kafka_streams.NAME, []).append(restores.theirs(peer))
            print(f"    {kafka_streams.NAME}: {json.dumps(series[kafka_streams.NAME][-1])}", flush=True)
    return series


def tell(series: dict[str, list[dict[str, Any]]]) -> None:
    """Medians, and ratios to the first series of the same kind, by round."""
    for name, runs in series.items():
        kind = "idle" if name == kafka_streams.NAME else name.split(",")[0]
        first = next(found for other, found in series.items() if other.startswith(kind))
        rates = [run["records"] / run["seconds"] for run in runs]
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(first, runs, strict=True)]
        line = f"  {name:<24}{statistics.median(rates):>10,.0f} records/s, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        if kind == "loaded":
            during = statistics.median(run["during_per_second"] for run in runs)
            after = statistics.median(run["after_per_second"] for run in runs)
            kept = statistics.median(run["during_per_second"] / max(run["after_per_second"], 1) for run in runs)
            line += f"; processing {during:,.0f}/s during, {after:,.0f}/s after ({kept:.2f})"
        print(line)


def main() -> int:
    """Parse the options, start a Kafka, measure."""
    if sys.argv[1:2] == ["--one"]:
        settings = json.loads(Path(sys.argv[2]).read_text())
        told = restore_once(settings)
        result = Path(settings["result"])
        result.with_suffix(".more").write_text(json.dumps(told))
        result.write_text(f"{told['records']} {told['seconds']}")
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--records", type=int, default=500_000, help="of each partition")
    parser.add_argument("--kinds", nargs="+", choices=["idle", "loaded"], default=["idle", "loaded"])
    parser.add_argument("--load", type=int, default=3_000_000, help="input records of the count")
    parser.add_argument("--processes", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=[kafka_streams.NAME], default=[])
    parser.add_argument("--json", type=Path, help="write the runs here")
    options = parser.parse_args()
    if options.peers and (why := kafka_streams.missing()):
        parser.error(why)
    directory = Path(tempfile.mkdtemp(prefix="statehouse-restore-"))
    try:
        with RunningKafka(directory / "kafka") as kafka:
            restores = Restores(kafka.bootstrap_servers, directory, options)
            restores.fill()
            series = compare(restores, options)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tell(series)
    if options.json:
        options.json.write_text(json.dumps(series, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
