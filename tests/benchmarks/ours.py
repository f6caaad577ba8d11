"""Statehouse as a contestant: one instance, one process, run until its input's end.

python -m tests.benchmarks.ours WORK SETTINGS.json     # what `run` starts, in a process of its own
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.benchmarks.measure import Measured
from tests.benchmarks.measure import run as run_measured


def run(work: str, application: str, records: int, topics: dict[str, str], guarantee: str, directory: Path) -> Measured:
    """Process the whole input once, with the settings that a user gets without choosing any."""
    result = directory / f"{application}.result"
    settings = {
        "result": str(result),
        "config": {
            "application_id": application,
            "bootstrap_servers": topics["bootstrap"],
            "guarantee": guarantee,
            "state_dir": str(directory / f"{application}-state"),
            "listen": None,
            "replication_factor": 1,
            "stop_when_caught_up": True,
        },
    }
    file = directory / f"{application}.json"
    file.write_text(json.dumps(settings))
    environment = {
        "BENCHMARK_INPUT": topics["input"],
        "BENCHMARK_TABLE": topics["table"],
        "BENCHMARK_OUTPUT": topics["output"],
    }
    command = [sys.executable, "-m", "tests.benchmarks.ours", work, str(file)]
    return run_measured(command, result, records, environment)


def main() -> None:
    """Run one work to its end and write how many records it took how many seconds."""
    from engine import Engine, EngineConfig
    from tests.benchmarks.works import WORKS

    settings = json.loads(Path(sys.argv[2]).read_text())
    config = settings["config"]
    engine = Engine(WORKS[sys.argv[1]], EngineConfig(**{**config, "state_dir": Path(config["state_dir"])}))
    engine.run()
    loop = engine.loop
    if loop.busy_from is None:
        raise SystemExit("nothing was processed: is the input empty?")
    Path(settings["result"]).write_text(f"{loop.processed_total} {loop.busy_until - loop.busy_from}")


if __name__ == "__main__":
    main()
