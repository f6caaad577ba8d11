"""What an operator sees of its task. The task implements it (`engine.runtime.task`); operators never import the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from engine.records import Batch


class Cancellable(Protocol):
    """A scheduled punctuation."""

    def cancel(self) -> None:
        """Stop calling; safe to call from within the callback and more than once."""


class NodeContext(Protocol):
    """One node's view of its task: stores, clocks, counters, and the way on to its children."""

    application_id: str
    task_id: str
    partition: int
    # Names of the children, in order; the place in it is what `Routed` and `child` speak of.
    children: tuple[str, ...]
    # How often emit-on-close and outer joins scan, in ms of wall clock (Kafka Streams' internal emit interval; 1000 there).
    emit_interval_ms: int
    # Whether aggregates of cached stores hold their updates back until a commit.
    caching: bool

    # Whether a record whose user code raised may be skipped; if not, nobody sees what such a call left half done.
    may_skip: bool

    # Times that operators keep beside the committed offsets, by store (Kafka Streams' processor metadata): a change is
    # committed with the task, or forgotten with it.
    processor_times: dict[str, int]

    # The timestamp of the record being processed: plain (not timestamped) stores log it with their changes.
    timestamp: int

    def store(self, name: str) -> Any:
        """The open store of that name which the node declared."""

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """An object that several nodes of the task share under a name (the clock of both sides of a join)."""

    def stream_time(self) -> int:
        """Highest timestamp that the task has begun to process, in ms; -1 before the first record."""

    def wall_clock(self) -> int:
        """Now, in ms; a test driver's clock moves only when told."""

    def dropped(self, count: int, reason: str) -> None:
        """Count records dropped as late, null-keyed, out of order or expired (`dropped-records-total`)."""

    def failed(self, batch: Batch, row: int, error: Exception) -> None:
        """User code raised on a row: the processing handler raises to stop, or returns so that the record is skipped."""

    def unwritable(self, batch: Batch, row: int, error: Exception) -> None:
        """A sink's serde refused a row: the production handler raises to stop, or returns so that it is skipped."""

    def forward_now(self, batch: Batch, child: int | None = None) -> None:
        """Run the children on `batch` before returning (all of them, or the one at place `child`)."""

    def schedule(
        self, interval_ms: int, kind: str, callback: Callable[[int], None], start_ms: int | None = None
    ) -> Cancellable:
        """Call `callback(timestamp)` every `interval_ms` of `kind` (`stream-time`, `wall-clock-time`)."""

    def send(
        self,
        topic: str,
        keys: list[bytes | None],
        values: list[bytes | None],
        timestamps: list[int],
        headers: list[Any] | None = None,
        partitions: list[int | None] | None = None,
    ) -> None:
        """Hand serialised records to the task's collector; `topic` is the real name."""

    def topic_name(self, topic: str, *, internal: bool) -> str:
        """The real name of a topic: internal ones carry the application id and `-repartition`."""

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic (its real name) has, for partitioners that are not murmur2 of the key."""

    def request_commit(self) -> None:
        """Ask the loop to commit soon (`ProcessorContext.commit`)."""
