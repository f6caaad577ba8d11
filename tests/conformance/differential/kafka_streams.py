"""The real Kafka Streams as the one that is asked: our Java program under its `TopologyTestDriver`, one process."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from engine.embedded.kafka import streams_classpath

SOURCES = sorted(Path(__file__).with_name("java").glob("*.java"))
# Its warnings about expired records would be a line for each.
FLAGS = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-XX:+UseSerialGC", "-Xmx1g")


class KafkaStreams:
    """Answers cases in the format of ORACLE.md. Needs a JDK; a context manager."""

    def __init__(self, directory: Path) -> None:
        classpath = f"{directory}:{streams_classpath()}"
        subprocess.run(["javac", "-cp", classpath, "-d", str(directory), *map(str, SOURCES)], check=True)
        command = ["java", *FLAGS, "-cp", classpath, "Oracle", str(directory / "state")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Its input at an end is its order to stop.
        self._process.__exit__(None, None, None)

    def answer(self, case: dict[str, Any]) -> dict[str, Any]:
        """The case with its measured answers, as a line of a conformance file has it."""
        return next(self.answers([case]))

    def answers(self, cases: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Each case with its answers; Kafka Streams works ahead while the caller looks at them."""
        cases = list(cases)
        feeder = threading.Thread(target=self._feed, args=(cases,))
        feeder.start()
        for case in cases:
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError(f"the Java program ended at {json.dumps(case)}: its message is above")
            yield {key: case[key] for key in ("id", "op", "params", "inputs")} | json.loads(line)
        feeder.join()

    def _feed(self, cases: list[dict[str, Any]]) -> None:
        for case in cases:
            self._process.stdin.write(json.dumps(case) + "\n")
            self._process.stdin.flush()
