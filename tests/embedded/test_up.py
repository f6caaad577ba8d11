"""`up` as a whole, on the real Kafka and Redis: what it writes, what survives, what is left when it ends."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.embedded.test_up_failures import OUTSIDE

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("stand_in_up.py")
pytestmark = [pytest.mark.kafka, pytest.mark.redis]


class Up:
    """One run of `up` on a data directory."""

    def __init__(self, data, *, prefix=(), options=()):
        self.data = data
        kept = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        with data.with_name("up.out").open("ab") as out:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, str(STAND_IN), "--data-dir", str(data), *options],
                env={**kept, "PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=out,
                cwd=ROOT,
            )
        self.descendants = []

    @property
    def file(self):
        return self.data / "up.json"

    def content(self):
        found = json.loads(self.file.read_text())
        self.descendants = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def pid(self, role):
        return next((part["pid"] for part in self.content()["processes"] if part["role"] == role), None)


@pytest.fixture
def start(tmp_path, eventually):
    runs = []

    def begin(**more):
        run = Up(tmp_path / "data", **more)
        runs.append(run)
        eventually(lambda: run.file.exists() or run.process.poll() is not None, 180)
        assert run.process.poll() is None, (tmp_path / "up.out").read_text()
        return run

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.fixture
def all_gone(eventually, alive):
    def check(run, seconds):
        eventually(lambda: not alive([process.pid for process in run.descendants]), seconds)

    return check


def test_up_writes_where_everything_is_restarts_what_dies_and_stops_cleanly(start, eventually, all_gone):
    run = start()
    content = run.content()
    assert set(content) == {"url", "user", "password", "token", "bootstrap_servers", "redis_url", "processes"}
    assert stat.S_IMODE(run.file.stat().st_mode) == 0o600
    assert [part["role"] for part in content["processes"]] == ["kafka", "redis", "web"]
    assert psutil.Process(run.pid("kafka")).name() == "java"
    assert psutil.Process(run.pid("redis")).name() == "redis-server"
    with urllib.request.urlopen(content["url"] + "/healthz") as answer:  # noqa: S310 (our own address)
        assert answer.status == 200

    first = run.pid("redis")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: run.pid("redis") not in {None, first}, 10)
    assert run.process.poll() is None

    run.content()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(40) == 0
    all_gone(run, 0.5)
    assert not run.file.exists()
    said = (run.data.with_name("up.out")).read_text()
    assert "redis                was ended by SIGKILL; starting it again in 1 s" in said
    assert f"Open {content['url']}" in said
    assert content["password"] in said
    assert said.endswith("Stopping …\nStopped.\n")


def test_a_second_up_is_like_the_first_even_after_a_kill_9(start, all_gone):
    first = start()
    before = first.content()
    cluster = (first.data / "kafka" / "log" / "meta.properties").read_text()
    first.process.kill()
    first.process.wait()
    # At once: the second waits until the parts of the first are gone, then finds their ports free.
    second = start_again(start, first)
    after = second.content()
    all_gone(first, 0.5)
    del before["processes"], after["processes"]
    assert after == before
    assert (first.data / "kafka" / "log" / "meta.properties").read_text() == cluster


def start_again(start, first):
    first.file.unlink()
    return start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
def test_the_end_of_the_uv_above_ends_everything(start, all_gone, number):
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv on the path")
    run = start(prefix=(uv, "run", "--no-sync", "--no-project"))
    run.content()
    assert psutil.Process(run.process.pid).name() == "uv"
    assert len(run.descendants) >= 7  # up, and a launcher and a process each for Kafka, Redis and the web
    run.process.send_signal(number)
    run.process.wait(40)
    all_gone(run, 15)
    assert not run.file.exists()
