"""The store ``counts``/0 of ``shop``: its changelog on the real Kafka, an engine's double that owns it, an observer that knows both."""

import itertools
import struct

from confluent_kafka import Producer
from django.conf import settings

from tests.console import reports


def int64(number):
    return struct.pack(">q", number)


class StoreOnKafka:
    """`topic` is the changelog; `answer(method, path, query, body)` of a test may stand before the engine's own."""

    def __init__(self, kafka, observed, engine, directory):
        self.topic = kafka.topic(
            "counts-changelog", config={"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000"}
        )
        self.observed, self.engine, self.directory = observed, engine, directory
        self.application = directory.parent.parent
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        self._sequences = itertools.count(2)
        (directory / "g00000001").mkdir(parents=True)
        (directory / "CURRENT").write_text("g00000001\n")
        store = {
            "generation": "g00000001",
            "directory": str(directory),
            "changelog": self.topic,
            "backend": "rocksdb",
            "spec": {"kind": "key-value", "timestamped": True},
        }
        engine.tasks = [{"task": "0_0", "partition": 0, "role": "active", "stores": {"counts": store}}]
        observed.report(*reports.shop())
        self.report()

    def report(self):
        """Say that all is well: silence makes what is known stale, and Kafka takes its time."""
        number, host = next(self._sequences), settings.HOST_NAME
        self.observed.report(
            reports.instance("engine-1", sequence=number, tasks=["0_0"], host=host, address=self.engine.address),
            reports.store("counts", "0_0", sequence=number, changelog=self.topic),
        )

    def write(self, key, value, timestamp=1_000):
        """Append to the changelog; a None value deletes."""
        value = None if value is None else int64(value)
        self._producer.produce(self.topic, value, key, partition=0, timestamp=timestamp)
        assert self._producer.flush(10) == 0

    def names(self):
        """What lies in the store's directory."""
        return sorted(each.name for each in self.directory.iterdir())
