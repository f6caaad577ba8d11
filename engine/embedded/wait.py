"""Waiting for one process until it serves, for callers that have no supervisor: the tests and the benchmarks."""

import time
from collections.abc import Callable

from engine.embedded.failure import StartFailure
from engine.embedded.process import Process


def until_ready(process: Process, answers: Callable[[], bool], seconds: float, name: str) -> None:
    """Return when ``answers`` says so; stop the process and raise :class:`StartFailure` when it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while process.running():
        if answers():
            return
        if time.monotonic() > deadline:
            process.close()
            raise StartFailure(f"{name} did not answer within {seconds:.0f} s. Read {process.command.log}.")
        time.sleep(0.05)
    raise StartFailure(f"{name} ended with code {process.exit_code} before it answered. Read {process.command.log}.")
