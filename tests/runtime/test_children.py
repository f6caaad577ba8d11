"""Several processes under one parent, as `engine run --instances N` has them: they end together, with the first failure's code."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.runtime.harness import PATIENCE_SECONDS, ROOT, eventually

PARENT = "import sys; from engine.hosting.children import run_children; sys.exit(run_children({commands}))"


def started(*scripts: str) -> subprocess.Popen[bytes]:
    """A parent with a child for each shell script. It sets signal handlers, hence a process of its own."""
    commands = [["sh", "-c", script] for script in scripts]
    return subprocess.Popen([sys.executable, "-c", PARENT.format(commands=commands)], cwd=ROOT)


def sleeper(path: Path) -> str:
    return f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep 60"


@pytest.mark.parametrize("place", [0, 1])
def test_a_child_that_fails_ends_the_others_wherever_it_stands(tmp_path, place):
    asleep = tmp_path / "sleeper"
    failing = f"while [ ! -e {asleep} ]; do sleep 0.05; done; exit 3"
    scripts = [sleeper(asleep), failing]
    parent = started(*(scripts if place else reversed(scripts)))
    try:
        eventually(asleep.exists, "the sleeper")
        began = time.monotonic()
        assert parent.wait(PATIENCE_SECONDS / 2) == 3
        assert time.monotonic() - began < 10
        assert not psutil.pid_exists(int(asleep.read_text()))
    finally:
        parent.kill()


def test_children_that_succeed_are_waited_for(tmp_path):
    parent = started("exit 0", f"sleep 1; touch {tmp_path / 'done'}")
    assert parent.wait(PATIENCE_SECONDS) == 0
    assert (tmp_path / "done").exists()
