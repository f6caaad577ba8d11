"""Kafka Streams as a peer: its jars as the embedded Kafka's come, our program compiled with the JDK at hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from engine.embedded.kafka import streams_classpath
from tests.benchmarks.measure import Measured, run

NAME = "kafka-streams"
THREADS = 2
SETTINGS = {
    "default": {},
    "cache-200mb": {"statestore.cache.max.bytes": "200000000"},
    # Every update is logged, so that changelogs can be compared record by record (tests/interop).
    "no-cache": {"statestore.cache.max.bytes": "0"},
}
COMPARED = ("default", "cache-200mb")
SOURCE = Path(__file__).with_name("PeerApplication.java")


def missing() -> str | None:
    """Why this peer cannot run here, or None."""
    return None if shutil.which("javac") else "no JDK is on the path: install one (javac is needed)"


class KafkaStreams:
    """The compiled program, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._classpath = f"{directory}:{streams_classpath()}"
        compile_ = ["javac", "-cp", self._classpath, "-d", str(directory), str(SOURCE)]
        subprocess.run(compile_, check=True, capture_output=True)

    def run(
        self, work: str, application: str, records: int, topics: dict[str, str], guarantee: str, setting: str
    ) -> Measured:
        """Process the whole input once; `topics` has `input`, `table`, `output`, and `bootstrap`."""
        settings = {
            "application.id": application,
            "bootstrap.servers": topics["bootstrap"],
            "num.stream.threads": THREADS,
            "state.dir": self.directory / f"{application}-state",
            "processing.guarantee": guarantee,
            "auto.offset.reset": "earliest",
            # Kafka Streams does not leave its group when it closes: whoever comes next waits for this.
            "consumer.session.timeout.ms": 6000,
            "consumer.heartbeat.interval.ms": 2000,
            "replication.factor": 1,
            "default.key.serde": "org.apache.kafka.common.serialization.Serdes$BytesSerde",
            "default.value.serde": "org.apache.kafka.common.serialization.Serdes$ByteArraySerde",
            "benchmark.input": topics["input"],
            "benchmark.table": topics["table"],
            "benchmark.output": topics["output"],
            **SETTINGS[setting],
        }
        file = self.directory / f"{application}.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        result = self.directory / f"{application}.result"
        command = [
            "java",
            "-Xmx3g",
            "-cp",
            self._classpath,
            "PeerApplication",
            work,
            str(file),
            str(records),
            str(result),
        ]
        return run(command, result, records, {})
