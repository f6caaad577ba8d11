"""Topologies of the runtime's tests, and a process that runs one of them: `python -m tests.runtime.programs …`.

Topics are named after the application, so that one name says where everything is.
"""

import faulthandler
import json
import logging
import os
import signal
import sys
from pathlib import Path

from engine import Consumed, Grouped, Joined, Materialized, Produced, serdes
from engine.config import EngineConfig
from engine.instance import Engine
from engine.runtime.signals import StopSignals


def input_topic(application: str) -> str:
    return f"{application}.in"


def output_topic(application: str) -> str:
    return f"{application}.out"


def counts(application: str, *, backend: str = "rocksdb", output: bool = True):
    """Counts by key, every change written to the output topic."""

    def build(builder):
        table = (
            builder.stream(input_topic(application), Consumed(serdes.string, serdes.string))
            .group_by_key()
            .count(Materialized("counts", serdes.string, serdes.int64, store=backend))
        )
        if output:
            table.to_stream().to(output_topic(application), Produced(serdes.string, serdes.int64))

    return build


def regrouped(application: str):
    """Counts by value: through a repartition topic, hence two sub-topologies in one transaction after the other."""

    def build(builder):
        (
            builder.stream(input_topic(application), Consumed(serdes.string, serdes.string))
            .group_by(lambda _, value: value, Grouped("by-value", serdes.string, serdes.string))
            .count(Materialized("by-value-counts", serdes.string, serdes.int64))
            .to_stream()
            .to(output_topic(application), Produced(serdes.string, serdes.int64))
        )

    return build


def passed_through(application: str):
    """Values as they came."""

    def build(builder):
        builder.stream(input_topic(application), Consumed(serdes.string, serdes.string)).to(
            output_topic(application), Produced(serdes.string, serdes.string)
        )

    return build


def joined(application: str):
    """Each record with the row of `<application>.table`."""

    def build(builder):
        table = builder.table(
            f"{application}.table",
            Consumed(serdes.string, serdes.string),
            Materialized("rows", serdes.string, serdes.string),
        )
        builder.stream(input_topic(application), Consumed(serdes.string, serdes.string)).join(
            table, lambda value, row: f"{value}+{row}", Joined("with-row", serdes.string, serdes.string)
        ).to(output_topic(application), Produced(serdes.string, serdes.string))

    return build


def quiet_counts(application: str):
    """Counts by key, in the store only."""
    return counts(application, output=False)


PROGRAMS = {
    "counts": counts,
    "quiet_counts": quiet_counts,
    "regrouped": regrouped,
    "passed_through": passed_through,
    "joined": joined,
}


class Crash:
    """Kills the process at the n-th pass of a step, as a power cut would. Written `step:n`."""

    def __init__(self, text: str) -> None:
        self.step, _, number = text.partition(":")
        self.left = int(number or 1)

    def __call__(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(program: str, settings: str, crash: str) -> None:
    faulthandler.register(signal.SIGUSR1)  # where it hangs, for whoever waits in vain
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
    told = json.loads(settings)
    config = EngineConfig(**{**told, "state_dir": Path(told["state_dir"])})
    engine = Engine(
        PROGRAMS[program](config.application_id), config, **({"crash_point": Crash(crash)} if crash else {})
    )
    StopSignals(engine.request_stop, config.stop_timeout_ms).install()
    engine.run()


if __name__ == "__main__":
    main(*sys.argv[1:4])
