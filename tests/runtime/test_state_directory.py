"""Files of an instance: the lock, the ids, the generations, what is left over."""

import json
import os
import stat
import subprocess
import sys
import time

import pytest

from engine.errors import ConfigError, Fatal, StateDirectoryLocked
from engine.runtime.state_directory import StateDirectory


@pytest.fixture
def directory(tmp_path):
    found = StateDirectory(tmp_path / "state", "shop")
    found.lock()
    yield found
    found.unlock()


def make(directory, task, store, generation):
    path = directory.generation_directory(task, store, generation)
    path.mkdir(parents=True)
    return path


def test_a_second_process_is_refused_by_name_within_a_second(directory):
    program = (
        "import sys\nfrom pathlib import Path\nfrom engine.runtime.state_directory import StateDirectory\n"
        "StateDirectory(Path(sys.argv[1]), 'shop').lock()"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory.root)], capture_output=True, text=True, check=False
    )
    assert "StateDirectoryLocked" in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert time.monotonic() - began < 10
    directory.unlock()
    directory.lock()


def test_the_lock_goes_with_its_holder(tmp_path):
    first, second = (StateDirectory(tmp_path, "shop") for _ in range(2))
    first.lock()
    with pytest.raises(StateDirectoryLocked):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_ids_are_kept_and_a_given_instance_id_replaces_the_kept_one(directory):
    first = directory.identity()
    assert directory.identity() == first
    assert first.transactional_id.startswith("shop-")
    renamed = directory.identity("one")
    assert (renamed.instance_id, renamed.transactional_id) == ("one", first.transactional_id)
    assert directory.identity() == renamed


def test_damaged_ids_stop_the_engine_with_the_remedy(directory):
    (directory.root / "instance.json").write_text(json.dumps({"instance_id": "../x", "process_id": "y"}))
    with pytest.raises(Fatal, match="move it away"):
        directory.identity()


def test_directories_are_closed_to_others(directory):
    directory.move_current("0_0", "counts", "g00000001")
    for path in (directory.root, directory.application, directory.store_directory("0_0", "counts")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_current_names_the_live_generation_only_while_it_is_there(directory):
    assert directory.current("0_0", "counts") is None
    assert directory.make_current("0_0", "counts") == "g00000001"
    assert directory.current("0_0", "counts") is None
    assert directory.make_current("0_0", "counts") == "g00000001"
    make(directory, "0_0", "counts", "g00000001")
    assert directory.make_current("0_0", "counts") == "g00000001"


def test_a_swap_moves_current_and_the_old_one_can_go(directory):
    directory.make_current("0_0", "counts")
    make(directory, "0_0", "counts", "g00000001")
    make(directory, "0_0", "counts", "g00000002.staging")
    assert directory.next_generation("0_0", "counts") == "g00000003"
    with pytest.raises(ConfigError):
        directory.move_current("0_0", "counts", "g00000002.staging")
    make(directory, "0_0", "counts", "g00000002")
    directory.move_current("0_0", "counts", "g00000002")
    with pytest.raises(ConfigError, match="is live"):
        directory.remove_generation("0_0", "counts", "g00000002")
    directory.sweep("0_0", "counts")
    assert directory.generations("0_0", "counts") == ["g00000002", "g00000002.staging"]


def test_discarding_drops_the_live_generation_for_a_new_one(directory):
    directory.make_current("0_0", "counts")
    make(directory, "0_0", "counts", "g00000001")
    directory.discard("0_0", "counts")
    assert directory.generations("0_0", "counts") == []
    assert directory.make_current("0_0", "counts") == "g00000002"


@pytest.mark.parametrize("name", ["..", "a/b", "", "x" * 300, "a\0b", "é"])
def test_bad_names_never_become_paths(directory, name):
    with pytest.raises(ConfigError):
        directory.store_directory("0_0", name)
    with pytest.raises(ConfigError):
        directory.store_directory(name, "counts")
    with pytest.raises(ConfigError):
        directory.generation_directory("0_0", "counts", name)


def test_unowned_tasks_go_after_the_delay(directory):
    make(directory, "0_0", "counts", "g00000001")
    make(directory, "0_1", "counts", "g00000001")
    assert directory.remove_unowned(["0_0"], 60_000) == []
    assert directory.remove_unowned(["0_0"], 0) == ["0_1"]
    assert directory.tasks() == ["0_0"]
