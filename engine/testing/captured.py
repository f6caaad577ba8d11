"""The topics of a test driver: what was sent where, and what has yet to come back in."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple


class Sent(NamedTuple):
    """A record as it lies in a topic: bytes, event time in ms, headers."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Any = None


class CapturedTopics:
    """The collector of a driver's task: keeps every record, and queues those that the topology itself reads.

    Queued records come back as in Kafka Streams' test driver: from the queue whose head has the smallest timestamp, among
    equals from the one that has waited longest.
    """

    def __init__(self, is_read: Callable[[str], bool]) -> None:
        self._is_read = is_read
        self.records: dict[str, list[Sent]] = {}
        # All of them, in the order of writing.
        self.log: list[tuple[str, Sent]] = []
        self._queues: dict[str, deque[Sent]] = {}
        self._heads: list[tuple[int, int, str]] = []
        self._waits = count()

    def send(
        self,
        topic: str,
        keys: list[bytes | None],
        values: list[bytes | None],
        timestamps: list[int],
        headers: list[Any] | None = None,
        partitions: list[int | None] | None = None,  # noqa: ARG002 - every topic has one partition here
    ) -> None:
        """See `engine.runtime.task.Collector`."""
        rows = [
            Sent(*row)
            for row in zip(
                keys, values, timestamps, headers if headers is not None else [None] * len(keys), strict=True
            )
        ]
        self.records.setdefault(topic, []).extend(rows)
        self.log.extend((topic, row) for row in rows)
        if not rows or not self._is_read(topic):
            return
        queue = self._queues.setdefault(topic, deque())
        if not queue:
            self._offer(topic, rows[0])
        queue.extend(rows)

    def partitions_of(self, topic: str) -> int:  # noqa: ARG002 - all are alike
        """One partition each."""
        return 1

    def next(self, *, whole: bool) -> tuple[str, list[Sent]] | None:
        """What comes back in next: the head of a queue, or the whole queue; None when all are empty."""
        if not self._heads:
            return None
        _, _, topic = heapq.heappop(self._heads)
        queue = self._queues[topic]
        rows = list(queue) if whole else [queue[0]]
        for _ in rows:
            queue.popleft()
        if queue:
            self._offer(topic, queue[0])
        return topic, rows

    def _offer(self, topic: str, head: Sent) -> None:
        heapq.heappush(self._heads, (head.timestamp, next(self._waits), topic))
