"""The commit: the five steps, in the order that makes a crash at any point harmless.

1. Operator caches are flushed: what changed is forwarded, changelog records are produced.
2. The input offsets join the transaction.
3. The transaction is committed. From here on all of it is visible, before it nothing was.
4. Each store takes its writes in one step with the changelog position they bring it to.
5. Positions and times go to the status report.

A crash before 3 leaves nothing visible: the transaction is aborted, uncommitted writes were only in memory. Between 3
and 4 the store is behind its changelog by a known position and replays just that. At-least-once is the same without the
transaction: 2 and 3 are waiting until everything is delivered, then committing the offsets; a crash between them repeats
the records since the last commit, and never loses one.

Dead letters of global tables belong to no task and have no offsets: they join whichever commit comes next, or are all of it.

Owner: the loop; its thread only.
"""

import logging
import time
from collections.abc import Iterable
from typing import Protocol

from confluent_kafka import TopicPartition

from engine.changelog import writer
from engine.errors import StatehouseError, StopEngine
from engine.runtime.active_task import ActiveTask
from engine.runtime.consumer import Consumer
from engine.runtime.producer import Producer

log = logging.getLogger(__name__)

# How many commits the reported percentiles look back on.
TIMES_KEPT = 500


class CrashPoint(Protocol):
    """Called between the steps; tests kill the process there."""

    def __call__(self, step: str) -> None:
        """`step` is one of before-offsets, before-commit, after-commit, after-stores."""


def _no_crash(step: str) -> None:
    """Nothing happens between the steps."""


class Committer:
    """Commits and aborts for all tasks of the instance: one producer, one transaction."""

    def __init__(self, producer: Producer, consumer: Consumer, crash_point: CrashPoint = _no_crash) -> None:
        self._producer = producer
        self._consumer = consumer
        self._crash_point = crash_point
        self.commits_total = 0
        self.aborts_total = 0
        self.times_ms: list[float] = []
        self.committed_at = time.monotonic()

    def commit(self, tasks: Iterable[ActiveTask]) -> None:
        """Commit everything that the tasks did since the last commit; raises RebuildTask when nothing of it counts.

        What a store raises comes after all of it was committed: its task is then `behind`, the others are not.
        """
        work = [t for t in tasks if t.dirty and t.state == "running"]
        self.committed_at = time.monotonic()
        if not work:
            self._commit_output()
            return
        # Step 1: caches are flushed, changelogs written. All tasks flush first: none feeds another within a commit.
        for task in work:
            task.flush()
        for task in work:
            writer.write(task.stores.values(), task.partition, self._producer)
        self._crash_point("before-offsets")
        offsets = [offset for task in work for offset in task.offsets()]
        if self._producer.transaction.required:
            self._commit_transaction(offsets)
        else:
            self._commit_delivered(offsets)
        self._crash_point("after-commit")
        # Step 4: the stores follow, those of each task whatever another's say: what is committed is so for all of them.
        failed = []
        for task in work:
            try:
                task.commit_stores()
            except StatehouseError as error:
                log.warning("task %s: a store did not take what is committed: %s", task.id, error)
                failed.append(error)
        self._crash_point("after-stores")
        # Step 5: what the report tells.
        self.commits_total += 1
        self._took(self.committed_at)
        if failed:
            raise max(failed, key=lambda error: isinstance(error, StopEngine))

    def _commit_transaction(self, offsets: list[TopicPartition]) -> None:
        # Step 2: the offsets join, under the member's generation, which fences a zombie.
        self._producer.transaction.send_offsets(offsets, self._consumer.group())
        self._crash_point("before-commit")
        # Step 3: librdkafka flushes, then commits.
        self._producer.transaction.commit()

    def _commit_delivered(self, offsets: list[TopicPartition]) -> None:
        # Steps 2 and 3 without a transaction: first all output is safe, then the input counts as done.
        self._producer.flush()
        self._crash_point("before-commit")
        self._consumer.commit(offsets)

    def _commit_output(self) -> None:
        """Without a task's work: what a global table sent, which would else be lost when its transaction times out."""
        if not self._producer.transaction.required:
            self._producer.flush()
        elif self._producer.transaction.is_open:
            self._producer.transaction.commit()
            self.commits_total += 1

    def abort(self) -> bool:
        """Undo what was not committed. False when it may have been committed: then the group has to be asked."""
        self.aborts_total += 1
        self.committed_at = time.monotonic()
        return self._producer.transaction.abort()

    def _took(self, began: float) -> None:
        self.times_ms.append((time.monotonic() - began) * 1000)
        if len(self.times_ms) > TIMES_KEPT:
            del self.times_ms[: -TIMES_KEPT // 2]

    def percentile_ms(self, share: float) -> float | None:
        """The commit time that `share` of the last commits stayed within; None before the first."""
        times = sorted(self.times_ms)
        return times[min(int(len(times) * share), len(times) - 1)] if times else None
