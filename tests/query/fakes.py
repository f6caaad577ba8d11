"""An instance in memory: the ports of `engine.query.ports` without Kafka, threads or a loop."""

import bisect
from dataclasses import dataclass, field

from engine import serdes
from engine.errors import StoreNotReady
from engine.stores.contract import CommittedRow
from engine.topology.stores import StoreSpec

TOKEN = "a-token-of-the-tests"  # noqa: S105

COUNTS = StoreSpec("counts", "key-value", "memory", serdes.string, serdes.int64)
BY_NUMBER = StoreSpec("by-number", "key-value", "memory", serdes.int64, serdes.json)


class ListView:
    """A view over plain rows, in key order; the model that the real views are compared with."""

    def __init__(self, rows):
        self.rows = sorted(rows, key=lambda row: row.cursor)

    def get(self, key):
        return next((row for row in self.rows if row.key == key), None)

    def as_of(self, key, timestamp_ms):
        raise NotImplementedError

    def scan(self, scan):
        places = [row.cursor for row in self.rows]
        rows = self.rows
        if scan.after is not None:
            rows = (
                rows[: bisect.bisect_left(places, scan.after)]
                if scan.reverse
                else rows[bisect.bisect_right(places, scan.after) :]
            )
        rows = rows[::-1] if scan.reverse else rows
        page, size = [], 0
        for row in rows:
            if not _matches(row, scan):
                continue
            if len(page) == scan.limit or (page and size >= scan.bytes_max):
                return page, True
            page.append(row)
            size += len(row.value)
        return page, False


def _matches(row, scan):
    return (
        (scan.lower is None or row.key >= scan.lower)
        and (scan.upper is None or row.key <= scan.upper)
        and (scan.prefix is None or row.key.startswith(scan.prefix))
        and (scan.time_from is None or row.start >= scan.time_from)
        and (scan.time_to is None or row.start <= scan.time_to)
    )


def rows_of(pairs, key_serde, value_serde):
    """Rows of a key-value store from (key, value) pairs."""
    raw = [(key_serde.serialize(key), value_serde.serialize(value)) for key, value in pairs]
    return [CommittedRow(key, value, cursor=key) for key, value in raw]


@dataclass
class FakeHandle:
    spec: StoreSpec
    partition: int
    content: object
    role: str = "active"
    phase: str = "done"
    moving: bool = False
    start: int | None = 0
    position: int | None = 100
    end: int | None = 100
    lag: int | None = 0
    keys_estimate: int | None = None
    bytes: int | None = None
    closed: bool = False

    @property
    def task(self):
        return f"0_{self.partition}"

    def view(self):
        if self.closed:
            raise StoreNotReady("closed")
        return self.content


@dataclass
class FakeInstance:
    instance_id: str = "i-1"
    application_id: str = "shop"
    partitions: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)
    held: dict = field(default_factory=dict)
    global_names: set = field(default_factory=set)

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

    def handle(self, store, partition):
        return self.held.get((store, partition))

    def handles(self):
        return list(self.held.values())

    def topology(self):
        return {"hash": "abc", "sub_topologies": [], "stores": []}

    def status(self):
        return {"instance": {"instance": self.instance_id}, "tasks": [], "stores": []}
