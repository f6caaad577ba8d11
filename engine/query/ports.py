"""What the query service needs from the engine instance around it, and what a page of a store is.

The runtime implements `Instance` and `StoreHandle`; everything in them is called from the service's threads while the
loop runs, so implementations must be thread-safe and must never wait for the loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.topology.stores import StoreSpec


@dataclass(frozen=True, slots=True)
class Scan:
    """One page of rows in the store's order. Every bound is inclusive; None means unbounded.

    `time_from`, `time_to`: window starts, or times that a session overlaps. `after`: the `cursor` of the row behind
    which the page begins. At most `limit` rows; a page also ends once its values exceed `bytes_max`, but never before
    its first row.
    """

    lower: bytes | None
    upper: bytes | None
    limit: int
    bytes_max: int
    time_from: int | None = None
    time_to: int | None = None
    after: bytes | None = None
    reverse: bool = False
    prefix: bytes | None = None


class Readable(Protocol):
    """One partition of a store, live or as a snapshot, as far as a read of a page needs it."""

    @property
    def spec(self) -> StoreSpec:
        """The store's description."""

    @property
    def partition(self) -> int:
        """The partition; 0 for a global store."""

    @property
    def role(self) -> str:
        """`active`, `standby`, `global` or `snapshot`."""

    @property
    def position(self) -> int | None:
        """The next changelog offset to apply."""

    @property
    def lag(self) -> int | None:
        """Records behind the changelog's end; None when unknown, and for a snapshot."""

    def committed(self) -> Any:
        """The view of its committed rows."""


class StoreHandle(Readable, Protocol):
    """One partition of a store at this instance, with the facts that decide whether it may be read.

    Attributes are the newest values that the loop published; `position` is the changelog offset that the committed
    content has reached. A handle disappears from its instance when the task is revoked, fenced or closed.
    """

    @property
    def spec(self) -> StoreSpec:
        """The store's description."""

    @property
    def partition(self) -> int:
        """The partition; 0 for a global store."""

    @property
    def task(self) -> str:
        """The task's id, such as `0_3`."""

    @property
    def role(self) -> str:
        """`active`, `standby` or `global`."""

    @property
    def phase(self) -> str:
        """`queued`, `fetching`, `applying`, `verifying`, `done` or `suspended`; an active one serves when `done`."""

    @property
    def moving(self) -> bool:
        """Whether the task is being handed over: what it holds may already be old."""

    @property
    def start(self) -> int | None:
        """The offset at which the present restore began."""

    @property
    def position(self) -> int | None:
        """The next changelog offset to apply."""

    @property
    def end(self) -> int | None:
        """The changelog's end when last looked at."""

    @property
    def lag(self) -> int | None:
        """Records behind the changelog's end; None when unknown."""

    @property
    def keys_estimate(self) -> int | None:
        """About how many keys; None when unknown."""

    @property
    def bytes(self) -> int | None:
        """Size in bytes; None when unknown."""

    def asked(self) -> None:
        """A reader was refused because this copy restores: it may be restored before others."""

    def rocksdb(self) -> dict[str, Any] | None:
        """RocksDB's figures (`engine.stores.rocks_facts`), None for a store in memory; raises as `committed` does."""

    def committed(self) -> Any:
        """`store.committed()`; raises StoreNotReady or StoreError when the store has been closed since."""


class Instance(Protocol):
    """The engine instance that the service speaks for."""

    @property
    def application_id(self) -> str:
        """The application."""

    @property
    def instance_id(self) -> str:
        """The process, among those of the application."""

    def state(self) -> str:
        """`starting`, `running`, `rebalancing`, `stopping` or `failed`."""

    def specs(self) -> Mapping[str, StoreSpec]:
        """The topology's stores by name."""

    def is_global(self, store: str) -> bool:
        """Whether every instance holds the whole of `store`."""

    def partition_count(self, store: str) -> int | None:
        """Partitions of `store` (the most of its sub-topology's source topics); None until the topics are known."""

    def key_partitions(self, store: str) -> int | None:
        """Over how many partitions the keys of `store` are spread: the most of the topics that feed it; None if unknown.

        As in Kafka Streams: where those topics have different numbers, the widest one's keys are found.
        """

    def placing_topic(self, store: str) -> str | None:
        """The topic whose own partitioner says where the keys of `store` lie; None where Kafka's does."""

    def handle(self, store: str, partition: int) -> StoreHandle | None:
        """The copy of a store partition here, if there is one."""

    def handles(self) -> Sequence[StoreHandle]:
        """All copies at this instance."""

    def topology(self) -> Mapping[str, Any]:
        """`Topology.to_json()`."""

    def status(self) -> Mapping[str, Any]:
        """`{"instance", "tasks", "stores"}`: the newest status records as JSON values."""
