"""What the runtime's tests share: topics with records, engines as processes that can be killed, what is committed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from engine.config import EngineConfig
from engine.control import status
from engine.embedded import kafka as embedded
from engine.instance import Engine
from tests.stack import KafkaUnderTest

ROOT = Path(__file__).resolve().parents[2]
# The machine may run other things beside a test.
PATIENCE_SECONDS = 60.0


def eventually(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@contextmanager
def guarded_broker(directory: Path, monkeypatch):
    """A broker of one test's own that knows access rules; without one for a resource everybody may do everything with it."""
    authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    monkeypatch.setitem(embedded.SETTINGS, "authorizer.class.name", authorizer)
    monkeypatch.setitem(embedded.SETTINGS, "allow.everyone.if.no.acl.found", "true")
    with embedded.RunningKafka(directory, heap="256m") as broker:
        yield KafkaUnderTest(broker.bootstrap_servers, broker.pid or 0)


def deny(kafka, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Forbid an operation on all resources of a kind whose name begins with `name`, and others that no `allow` is for."""
    _rule(kafka, kind, name, operation, AclPermissionType.DENY)


def allow(kafka, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Allow an operation on all resources of a kind whose name begins with `name`, where no `deny` forbids it."""
    _rule(kafka, kind, name, operation, AclPermissionType.ALLOW)


def _rule(kafka, kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType) -> None:
    rule = (kind, name, ResourcePatternType.PREFIXED, "User:ANONYMOUS", "*", operation, permission)
    binding, admin = AclBinding(*rule), kafka.admin()
    admin.create_acls([binding])[binding].result(20)


def forget_rules(kafka) -> None:
    """Everybody may do everything again."""
    anything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    admin = kafka.admin()
    admin.delete_acls([anything])[anything].result(20)


def create(kafka, topic: str, *, partitions: int = 1, config: dict[str, str] | None = None) -> str:
    """Create a topic that keeps everything: by default the broker deletes records whose time is a week ago or in 1970."""
    kafka.create(topic, partitions=partitions, config={"retention.ms": "-1", **(config or {})})
    return topic


def alter(kafka, topic: str, **settings: str) -> None:
    """Change settings of a topic, dots written as underscores."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = kafka.admin()
    admin.incremental_alter_configs([resource])[resource].result(20)


def produce(kafka, topic: str, records: Iterable[tuple]) -> None:
    """Records are (key, value[, timestamp[, partition]])."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "enable.idempotence": True, "partitioner": "murmur2_random"}
    )
    for record in records:
        key, value, timestamp, partition = (*record, *(1_000, -1)[len(record) - 2 :])[:4]
        while True:
            try:
                producer.produce(topic, value, key, partition, None, None, timestamp)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(PATIENCE_SECONDS) == 0


def read(kafka, topic: str, *, committed: bool = True) -> list[tuple[bytes, bytes, int, int]]:
    """Every record there is now, (key, value, timestamp, partition), partition by partition."""
    base = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": kafka.unique("reader"),
        "enable.auto.commit": False,
    }
    # A transaction's markers land a moment after its commit returns: the end is the one that counts them.
    watermarks = Consumer({**base, "isolation.level": "read_uncommitted"})
    consumer = Consumer({**base, "isolation.level": "read_committed" if committed else "read_uncommitted"})
    try:
        count = len(consumer.list_topics(topic, 10).topics[topic].partitions)
        found = []
        for partition in range(count):
            place = TopicPartition(topic, partition, 0)
            low, high = watermarks.get_watermark_offsets(TopicPartition(topic, partition), 10)
            place.offset = low
            consumer.assign([place])
            deadline = time.monotonic() + 15
            while consumer.position([place])[0].offset < high and time.monotonic() < deadline:
                for message in consumer.consume(1_000, 0.1):
                    assert message.error() is None, message.error()
                    found.append((message.key(), message.value(), message.timestamp()[1], partition))
                if low == high:
                    break
            assert low == high or consumer.position([place])[0].offset >= high, (
                f"{topic}-{partition} was not read to its end"
            )
        return found
    finally:
        consumer.close()
        watermarks.close()


def fold(records: Iterable[tuple[bytes, bytes | None, int, int]]) -> dict[bytes, bytes]:
    """A changelog's content: the last value of each key, tombstones gone."""
    found = {}
    for key, value, *_ in records:
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def committed_offsets(kafka, application: str, topic: str, partitions: int) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": application})
    try:
        found = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], 10)
        return {p.partition: p.offset for p in found}
    finally:
        consumer.close()


def reports(kafka, engine: Engine) -> list[status.StatusRecord]:
    """What an engine told the status topic since its start, in the order of its telling."""
    found = [status.decode(key, value) for key, value, *_ in read(kafka, status.TOPIC) if value is not None]
    mine = [r for r in found if r.instance == engine.identity.instance_id and r.incarnation == engine.started_at]
    return sorted(mine, key=lambda record: record.sequence)


def int64(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def counted(raw: dict[bytes, bytes]) -> dict[bytes, int]:
    """A timestamped int64 store's changelog values: 8 bytes of count."""
    return {key: int64(value[-8:]) for key, value in raw.items()}


def config(kafka, application: str, state_dir: Path, **settings) -> EngineConfig:
    settings = {"listen": None, "session_timeout_ms": 6_000, **settings}
    return EngineConfig(application, kafka.bootstrap_servers, state_dir=state_dir, **settings)


def run_to_the_end(build, settings: EngineConfig, **options) -> Engine:
    """Run an engine in this thread until its inputs are processed."""
    engine = Engine(build, settings.with_(stop_when_caught_up=True), **options)
    engine.start()
    engine.wait(PATIENCE_SECONDS)
    return engine


@contextmanager
def running(build, settings: EngineConfig, **options):
    """An engine in a thread, stopped cleanly at the end."""
    engine = Engine(build, settings, **options)
    engine.start()
    try:
        yield engine
    finally:
        engine.request_stop()
        engine.wait(PATIENCE_SECONDS)


class EngineProcess:
    """An engine as a process of its own: `program` is a build function of `tests.runtime.programs`."""

    def __init__(self, program: str, settings: EngineConfig, *, crash: str | None = None, log: Path | None = None):
        told = {
            "application_id": settings.application_id,
            "bootstrap_servers": settings.bootstrap_servers,
            "state_dir": str(settings.state_dir),
            "guarantee": settings.guarantee,
            "commit_interval_ms": settings.commit_interval_ms,
            "listen": settings.listen,
            "session_timeout_ms": settings.session_timeout_ms,
            "stop_when_caught_up": settings.stop_when_caught_up,
            "poll_records": settings.poll_records,
            "instance_id": settings.instance_id,
            "group_instance_id": settings.group_instance_id,
            "num_standby_replicas": settings.num_standby_replicas,
            "restore_processes": settings.restore_processes,
            "block_cache_bytes": settings.block_cache_bytes,
            "token_file": str(settings.token_file) if settings.token_file else None,
        }
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.log = (log or Path(settings.state_dir).with_suffix(".log")).open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.programs", program, json.dumps(told), crash or ""],
            cwd=ROOT,
            env=environment,
            stdout=self.log,
            stderr=self.log,
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            raise AssertionError(f"the engine did not end:\n{Path(self.log.name).read_text()[-6_000:]}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.log.close()
