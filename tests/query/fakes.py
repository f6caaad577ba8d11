"""An instance in memory: the ports of `engine.query.ports` without Kafka, threads or a loop."""

from dataclasses import dataclass, field

from engine import serdes
from engine.stores import open_store
from engine.topology.stores import StoreSpec

TOKEN = "a-token-of-the-tests"  # noqa: S105
# The machine may run other things beside a test.
PATIENCE_SECONDS = 30.0

COUNTS = StoreSpec("counts", "key-value", "memory", serdes.string, serdes.int64)
BY_NUMBER = StoreSpec("by-number", "key-value", "memory", serdes.int64, serdes.json)


class NoContext:
    """A store's task, for stores that no task writes."""

    timestamp = 0

    def dropped(self, count):
        raise AssertionError(f"{count} puts were dropped")


def store_of(spec, pairs, directory=None):
    """A real store of the spec's kind with committed key-value pairs."""
    store = open_store(spec, directory, NoContext())
    for key, value in pairs:
        store.put(key, value)
    store.drain_changelog()
    store.commit(len(pairs))
    return store


@dataclass
class FakeHandle:
    spec: StoreSpec
    partition: int
    store: object
    role: str = "active"
    phase: str = "done"
    moving: bool = False
    start: int | None = 0
    position: int | None = 100
    end: int | None = 100
    lag: int | None = 0
    keys_estimate: int | None = None
    bytes: int | None = None
    asks: int = 0

    @property
    def task(self):
        return f"0_{self.partition}"

    def asked(self):
        self.asks += 1

    def committed(self):
        return self.store.committed()

    def rocksdb(self):
        return self.store.backend.facts() if self.spec.backend == "rocksdb" else None


@dataclass
class FakeInstance:
    instance_id: str = "i-1"
    application_id: str = "shop"
    partitions: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)
    held: dict = field(default_factory=dict)
    global_names: set = field(default_factory=set)
    placing: dict = field(default_factory=dict)
    spread: dict = field(default_factory=dict)

    def hold(self, handle, *, partitions=None):
        self.held[(handle.spec.name, handle.partition)] = handle
        self.known[handle.spec.name] = handle.spec
        if partitions is not None:
            self.partitions[handle.spec.name] = partitions
        return handle

    def state(self):
        return "running"

    def specs(self):
        return self.known

    def is_global(self, store):
        return store in self.global_names

    def partition_count(self, store):
        return self.partitions.get(store)

    def key_partitions(self, store):
        return self.spread.get(store, self.partitions.get(store))

    def placing_topic(self, store):
        return self.placing.get(store)

    def handle(self, store, partition):
        return self.held.get((store, partition))

    def handles(self):
        return list(self.held.values())

    def topology(self):
        return {"hash": "abc", "sub_topologies": [], "stores": []}

    def status(self):
        return {"instance": {"instance": self.instance_id}, "tasks": [], "stores": []}
