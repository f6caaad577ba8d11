"""The records of the topic `statehouse-status`: their shapes, their Kafka keys, how they are written and checked.

Engines encode them, the console's observer and the routing view decode them (docs/contracts.md, section 1). A shape
is checked when it is decoded, for whoever writes into the topic is not trusted. Pure data: any thread.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from engine.errors import StatehouseError
from engine.names import check_name

TOPIC = "statehouse-status"
VERSION = 1
# A record must fit a Redis value and a browser frame; a description of a large topology needs more room.
RECORD_BYTES_MAX = 64 * 1024
TOPOLOGY_BYTES_MAX = 1024 * 1024

Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,200}\Z")]
TaskId = Annotated[str, Meta(pattern=r"\A[0-9]{1,6}_[0-9]{1,6}\Z")]
Words = Annotated[str, Meta(max_length=4_000)]
# 2^53 - 1: JavaScript reads these numbers too.
Count = Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)]
Amount = Annotated[float, Meta(ge=0)]
Ratio = Annotated[float, Meta(ge=0, le=1)]

InstanceState = Literal["starting", "running", "rebalancing", "stopping", "failed"]
TaskState = Literal["created", "restoring", "running", "suspended", "closing", "moving"]
Role = Literal["active", "standby", "global"]
Phase = Literal["queued", "fetching", "applying", "verifying", "done", "suspended"]
StoreKind = Literal["key-value", "window", "session", "versioned"]
Backend = Literal["rocksdb", "memory"]


class StatusError(StatehouseError):
    """Bytes of the status topic that are not a record of section 1: the reader counts and skips them."""


class _Shape(msgspec.Struct, kw_only=True):
    """A part of a record."""


class Rates(_Shape):
    """How fast an instance works; `busy_ratio` is the share of time in which its loop did not wait."""

    in_per_second: Amount = 0.0
    processed_total: Count = 0
    commits_total: Count = 0
    commit_ms_p50: Amount | None = None
    commit_ms_p99: Amount | None = None
    busy_ratio: Ratio | None = None


class Work(_Shape):
    """What an instance does for one sub-topology, all its tasks of it together.

    `busy_ratio` is the share of the loop's time spent in its nodes; `waiting` counts records that were polled and not
    processed yet, `paused` the input partitions that are not fetched meanwhile. `nodes` are records per second that
    reach each node, by its name; empty where the topology has more nodes than a record has room for.
    """

    sub_topology: Count
    busy_ratio: Ratio | None = None
    waiting: Count = 0
    paused: Count = 0
    nodes: dict[Words, Amount] = {}


class Counters(_Shape):
    """Totals since the instance started."""

    skipped_total: Count = 0
    dead_lettered_total: Count = 0
    dropped_total: Count = 0
    query_total: Count = 0


class Memory(_Shape):
    """Bytes in use; a limit of None means that there is none, a use of None that it is not known."""

    rss_bytes: Count | None = None
    block_cache_bytes: Count | None = None
    block_cache_limit_bytes: Count | None = None
    memtable_bytes: Count | None = None
    memtable_limit_bytes: Count | None = None
    uncommitted_bytes: Count | None = None
    in_memory_bytes: Count | None = None
    in_memory_limit_bytes: Count | None = None


class CacheUse(_Shape):
    """How a cache of the process serves its reads: since the start, and in the last minute (`hit_ratio`; None: no reads).

    `block-cache` counts RocksDB's blocks, `record-cache` the keys that processors asked stores for.
    """

    name: Literal["block-cache", "record-cache"]
    hits_total: Count
    misses_total: Count
    hit_ratio: Ratio | None = None


class Disk(_Shape):
    """The state directory and the file system that it is on."""

    state_dir_bytes: Count | None = None
    free_bytes: Count | None = None


class Pressure(_Shape):
    """A budget that nears its end, and what to do about it."""

    what: Words
    used: Count
    limit: Count
    advice: Words


class Budget(_Shape):
    """A named limit of the instance; `limit` None means that there is none, `advice` None that there is room."""

    name: Annotated[str, Meta(max_length=250)]
    used: Count
    limit: Count | None = None
    advice: Words | None = None


class LastError(_Shape):
    """The last error that an instance survived, or the one that it failed with."""

    at: Count
    message: Words


class Input(_Shape):
    """An input partition of a task. `lag` is 0 when only transaction markers remain; `lag_ms` None is unknown."""

    topic: Annotated[str, Meta(min_length=1, max_length=249)]
    partition: Count
    position: Count | None = None
    committed: Count | None = None
    begin: Count | None = None
    end: Count | None = None
    lag: Count | None = None
    lag_ms: Count | None = None
    rate_per_second: Amount | None = None


class _Record(msgspec.Struct, kw_only=True, tag_field="kind"):
    """What every record carries. The reporter stamps `incarnation`, `sequence` and `at`."""

    application: Name
    instance: Name
    v: Literal[1] = 1
    incarnation: Count = 0
    sequence: Count = 0
    at: Count = 0


class InstanceStatus(_Record, tag="instance", kw_only=True):
    """One engine process."""

    state: InstanceState
    started_at: Count
    guarantee: Literal["exactly_once_v2", "at_least_once"]
    topology_hash: Words
    host: Words
    pid: Count
    address: Words | None = None
    reason: Words | None = None
    member_id: Words | None = None
    group_generation: int | None = None
    tasks: list[TaskId] = []
    rates: Rates = msgspec.field(default_factory=Rates)
    work: list[Work] = []
    counters: Counters = msgspec.field(default_factory=Counters)
    memory: Memory = msgspec.field(default_factory=Memory)
    disk: Disk = msgspec.field(default_factory=Disk)
    pressure: list[Pressure] = []
    budgets: list[Budget] = []
    caches: list[CacheUse] = []
    last_error: LastError | None = None
    record_ms: Amount = 0.0

    @property
    def key(self) -> str:
        """The Kafka key."""
        return f"instance|{self.application}|{self.instance}"


class TopologyStatus(_Record, tag="topology", kw_only=True):
    """What an application computes: `description` is `Topology.to_json()`."""

    hash: Words
    description: dict[str, Any]

    @property
    def key(self) -> str:
        """The Kafka key: instances of one application write the same record."""
        return f"topology|{self.application}"


class TaskStatus(_Record, tag="task", kw_only=True):
    """A task at an instance."""

    task: TaskId
    partition: Count
    role: Role
    state: TaskState
    reason: Words | None = None
    stream_time: int | None = None
    inputs: list[Input] = []

    @property
    def key(self) -> str:
        """The Kafka key."""
        return f"task|{self.application}|{self.task}|{self.instance}"


class StoreStatus(_Record, tag="store", kw_only=True):
    """A store partition at an instance; `position` is the next changelog offset that it has not applied."""

    task: TaskId
    store: Name
    partition: Count
    role: Role
    store_kind: StoreKind
    backend: Backend
    phase: Phase
    generation: Words | None = None
    changelog: Words | None = None
    start: Count | None = None
    position: Count | None = None
    end: Count | None = None
    snapshot_end: Count | None = None
    lag: Count | None = None
    restored_records: Count = 0
    rate_per_second: Amount | None = None
    cause: Words | None = None
    restore_started_at: Count | None = None
    restore_ended_at: Count | None = None
    keys_estimate: Count | None = None
    bytes: Count | None = None
    written_since_start: Count = 0

    @property
    def key(self) -> str:
        """The Kafka key."""
        return f"store|{self.application}|{self.task}|{self.store}|{self.instance}"


class EventStatus(_Record, tag="event", kw_only=True):
    """Something that happened once; its key carries its own sequence number."""

    event: Name
    message: Words
    task: TaskId | None = None
    store: Name | None = None
    data: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """The Kafka key."""
        return f"event|{self.application}|{self.instance}|{self.sequence}"


StatusRecord: TypeAlias = InstanceStatus | TopologyStatus | TaskStatus | StoreStatus | EventStatus

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[StatusRecord] = msgspec.json.Decoder(StatusRecord)


def encode(record: StatusRecord) -> bytes:
    """Write `record` as JSON; raise StatusError, naming the record, where it is larger than a reader takes."""
    payload = _encoder.encode(record)
    limit = _limit(record.key)
    if len(payload) > limit:
        raise StatusError(
            f"the status record {record.key!r} has {len(payload)} bytes, the limit is {limit}: shorten it"
        )
    return payload


def decode(key: bytes, payload: bytes) -> StatusRecord:
    """Read a record of the topic; raise StatusError, for the caller to count and skip, if it breaks the contract."""
    try:
        name = key.decode()
        if len(payload) > (limit := _limit(name)):
            raise StatusError(f"the status record {name[:200]!r} has {len(payload)} bytes, the limit is {limit}")
        record = _decoder.decode(payload)
        for part in (record.application, record.instance, getattr(record, "store", None)):
            if part is not None:
                check_name(part, "the name")
    except (ValueError, RecursionError) as error:
        # RecursionError: JSON nested deeper than the decoder goes. ValueError covers msgspec's and unicode's errors.
        raise StatusError(f"not a status record of version {VERSION}: {error}") from error
    if record.key != name:
        raise StatusError(f"the status record of {record.key!r} stands under the key {name[:200]!r}")
    return record


def supersedes(newer: StatusRecord, older: StatusRecord) -> bool:
    """Tell whether `newer` replaces `older` under the same key: a higher incarnation, then a higher sequence."""
    return (newer.incarnation, newer.sequence) > (older.incarnation, older.sequence)


def _limit(key: str) -> int:
    return TOPOLOGY_BYTES_MAX if key.startswith("topology|") else RECORD_BYTES_MAX
