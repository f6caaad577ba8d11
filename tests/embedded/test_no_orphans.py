"""Nothing that `up` has started outlives it, however it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRIVIAL = Path(__file__).with_name("trivial_up.py")


@pytest.fixture
def trivial(tmp_path, eventually):
    """A running supervisor of trivial parts, and its process ids."""
    pids = tmp_path / "pids.json"
    command = [sys.executable, str(TRIVIAL), str(pids)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        eventually(pids.exists, 20)
        yield process, json.loads(pids.read_text())
    finally:
        process.kill()
        process.wait()


def test_kill_9_of_the_supervisor_ends_its_parts_and_theirs(trivial, alive, eventually):
    process, pids = trivial
    everything = pids["parts"] + pids["launchers"]
    assert alive(everything) == everything
    process.kill()
    process.wait()
    eventually(lambda: not alive(everything), 8)


def test_kill_9_of_a_launcher_ends_its_part(trivial, alive, eventually):
    _, pids = trivial
    os.kill(pids["launchers"][1], signal.SIGKILL)
    eventually(lambda: not alive(pids["parts"][1:]), 5)


def test_kill_9_of_supervisor_and_launchers_together_ends_the_parts(trivial, alive, eventually):
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a process ask to die with its parent")
    process, pids = trivial
    process.kill()
    for launcher in pids["launchers"]:
        os.kill(launcher, signal.SIGKILL)
    process.wait()
    eventually(lambda: not alive(pids["parts"][:2]), 5)
    for pid in alive(pids["parts"]):  # the grandchild, which nobody is left to know of
        os.kill(pid, signal.SIGKILL)


def test_the_death_of_a_part_ends_the_rest_of_its_group(trivial, alive, eventually):
    _, pids = trivial
    _, part, grandchild = pids["parts"]
    os.kill(part, signal.SIGKILL)
    eventually(lambda: not alive([part, grandchild]), 5)
