"""`python -m tests.benchmarks WORK…`: ours and a peer in turn, on the same input, results compared.

Each round runs ours, then each setting of the peer; the figures are medians of the rounds and ratios within them, since
the machines they run on are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.embedded.kafka import RunningKafka
from tests.benchmarks import kafka_streams, ours, topics
from tests.benchmarks.measure import Measured
from tests.benchmarks.works import WORKS

GUARANTEES = ("at_least_once", "exactly_once_v2")
MIB = 1024 * 1024


@dataclass
class Series:
    """All rounds of one contestant on one work."""

    rounds: list[Measured] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)

    def per_second(self) -> float:
        """Median records a second."""
        return statistics.median(each.records_per_second for each in self.rounds)

    def line(self, name: str) -> str:
        """One line for people."""
        cpu = statistics.median(each.cpu_seconds for each in self.rounds)
        peak = max(each.peak_bytes for each in self.rounds) / MIB
        return f"  {name:<28}{self.per_second():>12,.0f} records/s{cpu:>9.1f} CPU s{peak:>9,.0f} MiB peak"


class Comparison:
    """One work under one guarantee, on topics of its own."""

    def __init__(self, bootstrap: str, directory: Path, options: argparse.Namespace) -> None:
        self.directory = directory
        self.options = options
        self.topics = {"bootstrap": bootstrap, "input": "bench-input", "table": "bench-users", "output": ""}
        self.peer = kafka_streams.KafkaStreams(directory) if options.peers else None
        self._runs = 0

    def compare(self, work: str, guarantee: str) -> list[dict[str, Any]]:
        """Run all rounds and print what came out."""
        print(f"{work}, {guarantee}, {self.options.records:,} records")
        mine, theirs = Series(), {setting: Series() for setting in self.options.settings if self.peer}
        for _ in range(self.options.rounds):
            self._one(mine, work, guarantee, None)
            for setting, series in theirs.items():
                self._one(series, work, guarantee, setting)
        print(mine.line("statehouse"))
        results = []
        for setting, series in theirs.items():
            ratios = [
                a.records_per_second / b.records_per_second for a, b in zip(mine.rounds, series.rounds, strict=True)
            ]
            same = len(mine.digests | series.digests) == 1
            print(series.line(f"{kafka_streams.NAME} {setting}"))
            print(f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), same result: {same}")
            results.append(
                {
                    "work": work,
                    "guarantee": guarantee,
                    "peer": kafka_streams.NAME,
                    "peer_setting": setting,
                    "ours_per_second": round(mine.per_second()),
                    "peer_per_second": round(series.per_second()),
                    "ratio": round(statistics.median(ratios), 3),
                    "same_result": same,
                }
            )
        return results

    def _one(self, series: Series, work: str, guarantee: str, setting: str | None) -> None:
        self._runs += 1
        application = f"bench-{work}-{self._runs}"
        bootstrap = self.topics["bootstrap"]
        named = {**self.topics, "output": f"{application}-output"}
        topics.create(bootstrap, named["output"])
        records = self.options.records + (topics.KEYS if work == "join" else 0)
        if setting is None or self.peer is None:
            measured = ours.run(work, application, records, named, guarantee, self.directory)
        else:
            measured = self.peer.run(work, application, records, named, guarantee, setting)
        series.rounds.append(measured)
        if work == "join":
            series.digests.add(topics.digest_of_stream(bootstrap, named["output"]))
        else:
            series.digests.add(topics.digest_of_table(bootstrap, f"{application}-counts-changelog"))
        print(f"    {application} {setting or 'ours'}: {measured.records_per_second:,.0f}/s", flush=True)


def main() -> int:
    """Parse the options, start a Kafka, compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("works", nargs="+", choices=[*WORKS])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=[kafka_streams.NAME], default=[])
    parser.add_argument("--settings", nargs="+", choices=[*kafka_streams.SETTINGS], default=[*kafka_streams.COMPARED])
    parser.add_argument("--guarantees", nargs="+", choices=GUARANTEES, default=[*GUARANTEES])
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    if options.peers and (why := kafka_streams.missing()):
        parser.error(why)
    results: list[dict[str, Any]] = []
    directory = Path(tempfile.mkdtemp(prefix="statehouse-benchmark-"))
    try:
        with RunningKafka(directory / "kafka") as kafka:
            topics.create(kafka.bootstrap_servers, "bench-input", "bench-users")
            topics.fill(kafka.bootstrap_servers, "bench-input", options.records)
            topics.fill(kafka.bootstrap_servers, "bench-users", topics.KEYS, in_turn=True)
            comparison = Comparison(kafka.bootstrap_servers, directory, options)
            for work in options.works:
                for guarantee in options.guarantees:
                    results += comparison.compare(work, guarantee)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        machine = (
            f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
        )
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 0 if all(result["same_result"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
