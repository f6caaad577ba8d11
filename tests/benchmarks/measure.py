"""Runs one peer as a process and takes the operating system's account of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SECONDS_MAX = 900


@dataclass(frozen=True)
class Measured:
    """One run: records a second between the first and the last processed, CPU of the whole process, its peak memory."""

    records_per_second: float
    cpu_seconds: float
    peak_bytes: int


class BenchmarkFailed(Exception):
    """A peer ended badly; the message holds the end of what it printed."""


def run(command: list[str], result: Path, records: int, environment: dict[str, str]) -> Measured:
    """Run `command`, which writes "processed seconds" into `result`; `records` is the input's size."""
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or not result.exists():
            printed.seek(0)
            tail = printed.read().decode(errors="replace")[-3000:]
            raise BenchmarkFailed(f"{command[0]} ended with {process.returncode}:\n{tail}")
    seconds = float(result.read_text().split()[1])
    return Measured(records / seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
