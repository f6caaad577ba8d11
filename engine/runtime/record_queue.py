"""Records of one input partition that wait for their turn, and the order in which a task takes them.

Between the consumer and the task in a record's way. A task with one input partition never waits and never merges: its
batches go through whole. With several, the record with the lowest event time goes next (ties: topic, partition, offset),
and an empty partition is waited for unless its lag is known to be 0. Owner: the task; the loop's thread only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from engine.records import Batch, RawBatch

Place = tuple[str, int]
NEVER_WAIT = -1


class Refused(NamedTuple):
    """A record that could not be decoded: a row of what was polled, and why."""

    raw: RawBatch
    row: int
    error: Exception

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        return self.raw.offsets[self.row]


class RecordQueue:
    """Decoded records of one partition, oldest first. `position` is the next offset that has not been processed.

    What could not be decoded waits in its place: it counts once the position passes it, together with its neighbours.
    """

    def __init__(self, place: Place, position: int, partition_time: int) -> None:
        self.place = place
        self.position = position
        self.received = position  # next offset that has not been received
        self.shown = position  # what other threads show as the position
        self.partition_time = partition_time
        self.waiting = 0
        self.paused = False
        self.refused: deque[Refused] = deque()
        self._chunks: deque[tuple[Batch, list[int], int]] = deque()
        self._row = 0  # first record of the first chunk that was not taken

    def add(self, batch: Batch, offsets: list[int], behind: int, refused: Iterable[Refused] = ()) -> None:
        """Append decoded records; `behind` is the offset after the last one received, decoded or `refused`."""
        self.received = behind
        self.refused.extend(refused)
        if not batch.keys:
            # Nothing in it could be decoded: once all before it is processed, so is it.
            if not self._chunks:
                self.position = behind
            else:
                last, last_offsets, _ = self._chunks[-1]
                self._chunks[-1] = (last, last_offsets, behind)
            return
        self._chunks.append((batch, offsets, behind))
        self.waiting += len(batch.keys)

    def passed(self) -> Iterator[Refused]:
        """What could not be decoded and lies before the position; each is given once."""
        while self.refused and self.refused[0].offset < self.position:
            yield self.refused.popleft()

    def head_time(self) -> int:
        """Event time of the next record; only while some wait."""
        return self._chunks[0][0].timestamps[self._row]

    def take_chunk(self) -> Batch:
        """The rest of the oldest chunk as one batch; its offsets count as processed."""
        batch, _, behind = self._chunks.popleft()
        if self._row:
            batch = batch.take(list(range(self._row, len(batch.keys))))
            self._row = 0
        self._taken(batch, behind)
        return batch

    def take_until(self, bound: int, *, inclusive: bool) -> Batch:
        """The records from the head on whose time is below `bound` (or at it, if `inclusive`); at least the head."""
        batch, offsets, _ = self._chunks[0]
        times = batch.timestamps
        end = self._row + 1
        count = len(times)
        limit = bound + 1 if inclusive else bound
        while end < count and times[end] < limit:
            end += 1
        if end == count:
            return self.take_chunk()
        part = batch.row(self._row) if end == self._row + 1 else batch.take(list(range(self._row, end)))
        self._row = end
        self._taken(part, offsets[end])
        return part

    def _taken(self, batch: Batch, behind: int) -> None:
        self.waiting -= len(batch.keys)
        self.position = behind
        highest = max(batch.timestamps)
        self.partition_time = max(self.partition_time, highest)

    def clear(self, position: int, partition_time: int) -> None:
        """Forget everything and go on from `position`."""
        self._chunks.clear()
        self.refused.clear()
        self._row = 0
        self.waiting = 0
        self.position = self.received = position
        self.partition_time = partition_time


class Inputs:
    """The queues of one task."""

    def __init__(self, queues: list[RecordQueue], max_idle_ms: int, lag: Callable[[Place], int | None]) -> None:
        self.by_place = {q.place: q for q in sorted(queues, key=lambda q: q.place)}
        self._queues = list(self.by_place.values())
        self._max_idle_ms = max_idle_ms
        self._lag = lag
        self._idle_since: int | None = None

    def take(self, now_ms: int) -> Iterator[tuple[str, Batch]]:
        """Batches in the order in which the task must process them, until it is out of records or has to wait."""
        if len(self._queues) == 1:
            queue = self._queues[0]
            while queue.waiting:
                yield queue.place[0], queue.take_chunk()
            return
        while True:
            ready = [q for q in self._queues if q.waiting]
            if len(ready) == len(self._queues):
                self._idle_since = None
            elif not ready or self._must_wait(now_ms):
                return
            # The order of places settles ties, and `ready` keeps it: `min` takes the first.
            first = min(ready, key=RecordQueue.head_time)
            if len(ready) > 1:
                yield first.place[0], self._run(first, ready)
            else:
                yield first.place[0], first.take_chunk()

    @staticmethod
    def _run(first: RecordQueue, ready: list[RecordQueue]) -> Batch:
        """As many records of `first` as may go before any other queue's head."""
        bound = min((q.head_time(), q.place) for q in ready if q is not first)
        return first.take_until(bound[0], inclusive=first.place < bound[1])

    def _must_wait(self, now_ms: int) -> bool:
        """Whether an empty partition may still hold a record that has to go first."""
        if self._max_idle_ms == NEVER_WAIT:
            return False
        for queue in self._queues:
            if not queue.waiting and self._lag(queue.place) != 0:
                self._idle_since = None
                return True
        if self._max_idle_ms == 0:
            return False
        if self._idle_since is None:
            self._idle_since = now_ms
        return now_ms - self._idle_since < self._max_idle_ms
