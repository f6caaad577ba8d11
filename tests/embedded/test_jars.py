"""A jar enters the cache only when it is the one that the lock names."""

import hashlib
import time
from pathlib import Path

import pytest

from engine.embedded import jars
from engine.embedded.failure import StartFailure

CONTENT = b"the bytes of a jar"
JAR = jars.Jar(("kafka",), "org.example:thing:1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STATEHOUSE_CACHE_DIR", str(tmp_path))
    return tmp_path / "jars"


@pytest.fixture
def arrives(monkeypatch):
    """Let each download bring the next of these contents; an exception is raised instead."""

    def script(*contents):
        turns = iter(contents)

        def download(_coordinate: str, folder: Path, progress) -> Path:
            content = next(turns)
            if isinstance(content, Exception):
                raise content
            folder.mkdir(exist_ok=True)
            (folder / "arrived").write_bytes(content)
            progress(len(content))
            return folder / "arrived"

        monkeypatch.setattr(jars, "_download", download)

    return script


def test_the_lock_names_the_broker_and_its_44_dependencies_and_a_log_to_stderr():
    coordinates = [jar.coordinate for jar in jars.locked("kafka")]
    assert coordinates[0] == "org.apache.kafka:kafka_2.13:4.4.0"
    assert len(coordinates) == len(set(coordinates)) == 45
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars.locked("kafka"))


def test_with_an_empty_cache_all_jars_are_missing():
    assert len(jars.missing("kafka")) == 45


def test_a_good_download_is_kept_and_counted(arrives, cache):
    arrives(CONTENT)
    counted = []
    jars.fetch([JAR], counted.append)
    assert (cache / "org.example_thing_1.0.jar").read_bytes() == CONTENT
    assert sum(counted) == len(CONTENT)


def test_a_damaged_download_is_tried_again_and_its_bytes_are_not_counted(arrives, cache):
    arrives(b"cut off", CONTENT)
    counted = []
    jars.fetch([JAR], counted.append)
    assert (cache / "org.example_thing_1.0.jar").read_bytes() == CONTENT
    assert sum(counted) == len(CONTENT)


def test_a_jar_that_stays_wrong_is_refused_and_not_kept(arrives, cache):
    arrives(b"other", b"other", b"other")
    with pytest.raises(
        StartFailure, match=r"org.example:thing:1.0 could not be downloaded: the file that arrived is not"
    ):
        jars.fetch([JAR])
    assert list(cache.iterdir()) == []


def test_no_network_is_one_sentence_with_a_remedy(arrives):
    class ConnectionError(OSError):  # noqa: A001 (requests' own name)
        pass

    arrives(*[ConnectionError("HTTPSConnectionPool(host=…): a page of detail")] * 3)
    with pytest.raises(StartFailure) as failure:
        jars.fetch([JAR])
    assert str(failure.value) == (
        "The Kafka library org.example:thing:1.0 could not be downloaded: the Maven repository can't be reached "
        "(ConnectionError). Connect this machine to the network (or let it reach its Maven mirror) and start again: "
        "what has arrived is kept, and once all of it has, no start needs the network."
    )


def test_after_one_failure_the_other_downloads_are_given_up(arrives, monkeypatch):
    arrives(*[OSError("no")] * 3)
    seen = []
    failing = jars._download

    def download(coordinate, folder, progress):
        if coordinate == JAR.coordinate:
            return failing(coordinate, folder, progress)
        while True:  # a download without end, which only its progress can stop
            seen.append(1)
            progress(0)
            time.sleep(0.01)

    monkeypatch.setattr(jars, "_download", download)
    endless = jars.Jar(("kafka",), "org.example:endless:1.0", 1, "0")
    with pytest.raises(StartFailure, match=r"org\.example:thing"):
        jars.fetch([endless, JAR])
    assert seen
