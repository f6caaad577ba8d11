"""The real parts that tests run on: where they are, whether this machine has them, and one of each per session."""

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient, NewTopic

from engine.embedded import jars, ports
from engine.embedded.failure import StartFailure
from engine.embedded.kafka import java
from engine.embedded.redis import server_program

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
IN_MEMORY = Path("/dev/shm")  # noqa: S108 (Linux's file system in memory; directories in it are made by tempfile)
# Several times what the whole suite keeps at one time.
IN_MEMORY_BYTES = 6 * 2**30
# A process of a divided run with its broker, its browser, its pages and the engines that its test starts.
PROCESS_BYTES = 2 * 2**30
PROCESSES_MAX = 8
_numbers = itertools.count(1)


@dataclass(frozen=True)
class KafkaUnderTest:
    """What the ``kafka`` fixture gives: the address, and names that no other test uses."""

    bootstrap_servers: str
    pid: int

    def unique(self, prefix: str = "test") -> str:
        """Return a new name, for an application id, a group or a topic."""
        return f"{prefix}-{os.getpid()}-{next(_numbers)}"

    def topic(self, prefix: str = "topic", *, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        """Create a topic under a new name and return the name."""
        name = self.unique(prefix)
        self.create(name, partitions=partitions, config=config)
        return name

    def create(self, name: str, *, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        """Create a topic under this very name."""
        wanted = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
        admin = self.admin()  # kept until the answer is here: a collected client drops its requests
        admin.create_topics([wanted])[name].result(timeout=20)

    def admin(self) -> AdminClient:
        """Return a client to administer the broker with."""
        return AdminClient({"bootstrap.servers": self.bootstrap_servers})


def chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    named = os.environ.get("STATEHOUSE_CHROMIUM")
    return named or next((found for name in BROWSERS if (found := shutil.which(name))), None)


def javac() -> str | None:
    """Return the path of a Java compiler, or None."""
    home = os.environ.get("JAVA_HOME")
    inside = Path(home) / "bin" / "javac" if home else None
    return str(inside) if inside and inside.exists() else shutil.which("javac")


def _kafka_lacks() -> str | None:
    try:
        java()
        missing = jars.missing("kafka")
        if missing:
            print(f"fetching {len(missing)} Kafka libraries, once", file=sys.stderr)
            jars.fetch(missing)
    except StartFailure as failure:
        return str(failure).partition(". ")[0]
    return None


def _redis_lacks() -> str | None:
    try:
        server_program()
    except StartFailure:
        return "no redis-server"
    return None


# For each marker: why this machine can't run the tests that carry it, or None.
LACKS: dict[str, Callable[[], str | None]] = {
    "kafka": _kafka_lacks,
    "redis": _redis_lacks,
    "browser": lambda: None if chromium() else "no Chromium on the path",
    "jdk": lambda: None if javac() else "no JDK with a compiler",
}
# A test that asks for the fixture needs the part, whether it carries the marker or not.
FIXTURES = {"kafka": "kafka", "redis_url": "redis", "browser": "browser"}


def keep_scratch_in_memory() -> None:
    """Let temporary directories lie in memory where there is room for them and nobody has said where they should lie.

    Thousands of tests open a RocksDB, and each open waits for the disk several times. No test pulls the power plug, and what
    a kill leaves behind is the same there.
    """
    has_room = IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK)
    if "TMPDIR" in os.environ or not has_room:
        return
    if min(shutil.disk_usage(IN_MEMORY).free, psutil.virtual_memory().available) > IN_MEMORY_BYTES:
        # Processes of a divided run and those that tests start inherit it.
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None


def processes() -> int:
    """Return how many processes divide the whole suite: two for each processor, as far as there is memory; at least 2.

    Tests on real parts wait for sessions, commits and polls about as long as they work.
    """
    room = psutil.virtual_memory().available // PROCESS_BYTES
    return max(2, min(2 * (os.cpu_count() or 1), room, PROCESSES_MAX))


def keep_to_own_ports() -> None:
    """Let each process of a divided run choose ports from a share of its own.

    A port counts as free until its server listens, which may be minutes after it was chosen: by then another process had
    it, sometimes.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        share = len(ports.STABLE_PORTS) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = int(worker.removeprefix("gw")) * share
        ports.STABLE_PORTS = ports.STABLE_PORTS[first : first + share]


def free_port() -> int:
    """Return a loopback port that is free now."""
    return ports.choose()
