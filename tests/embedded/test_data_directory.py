"""One `up` per data directory, private files, and ports that stay."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections import namedtuple

import pytest

from engine.embedded.data_directory import DataDirectory
from engine.embedded.failure import StartFailure


@pytest.fixture
def data(tmp_path):
    directory = DataDirectory(tmp_path / "data")
    directory.open()
    yield directory
    directory.close()


def test_only_its_owner_may_look_into_it(data):
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_a_second_up_on_the_same_directory_is_refused_by_name(data):
    with pytest.raises(StartFailure) as failure:
        DataDirectory(data.path).open()
    assert str(failure.value) == (
        f"Another `up` (process {os.getpid()}) is running on {data.path}. "
        "Use that one, stop it first, or give another directory with --data-dir."
    )


def test_it_can_be_opened_again_after_it_was_closed(data):
    data.close()
    again = DataDirectory(data.path)
    again.open()
    again.close()


def test_an_up_waits_for_the_parts_of_one_that_was_killed(tmp_path):
    """The lock's holder is dead and one of its launchers still holds the lock."""
    path = tmp_path / "data"
    code = (
        "import subprocess, sys, pathlib\n"
        "from engine.embedded.data_directory import DataDirectory\n"
        "data = DataDirectory(pathlib.Path(sys.argv[1]))\n"
        "data.open()\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(2)'], pass_fds=(data.lock_descriptor,))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env={**os.environ, "PYTHONPATH": "."})
    told = []
    later = DataDirectory(path)
    later.open(lambda: told.append("waiting"))
    later.close()
    assert told == ["waiting"]


def test_a_full_disk_is_told_before_anything_starts(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")  # noqa: PYI024
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 9 * 10**8, 100 * 1024**2))
    with pytest.raises(StartFailure, match=r"has 100 MiB left and Statehouse needs 1024 MiB\. Free some space, or"):
        DataDirectory(tmp_path).open()


def test_a_directory_that_can_not_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartFailure, match=r"can't be used: Not a directory\. Give one that you may write to"):
        DataDirectory(tmp_path / "file" / "data").open()


def test_a_secret_is_made_once_and_kept_private(data):
    first = data.secret("token")
    assert len(first) >= 24
    assert data.secret("token") == first
    assert stat.S_IMODE((data.path / "token").stat().st_mode) == 0o600


def test_secrets_differ(data):
    assert data.secret("a") != data.secret("b")


def test_a_port_is_the_same_at_the_next_start(data):
    port = data.port("kafka", None)
    data.close()
    again = DataDirectory(data.path)
    again.open()
    assert again.port("kafka", 9092) == port
    again.close()


def test_a_remembered_port_that_is_taken_now_is_replaced(data):
    port = data.port("kafka", None)
    data.close()
    again = DataDirectory(data.path)
    again.open()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert again.port("kafka", port) != port
    again.close()


def test_two_parts_never_get_one_port(data):
    first = data.port("a", None)
    assert data.port("b", first) != first


def test_a_damaged_memory_of_ports_is_no_obstacle(data):
    (data.path / "ports.json").write_text("{")
    assert data.port("a", None) > 0
