"""The loop: a record's way through an instance, top to bottom, in one thread.

    1 poll a batch  →  2 route to tasks  →  3 process each task's micro-batch  →  4 punctuate  →  5 commit when due  →  6 report

Restores run beside it (`restorer`), queries and reports beside it (they read what the loop publishes). Errors are
handled here and only here, by the reaction that their class names.
"""

import logging
import time
from collections.abc import Callable

from confluent_kafka import KafkaException

from engine import broker_errors
from engine.config import EngineConfig
from engine.errors import Fatal, RebuildTask, Retry, TaskCorrupted, TaskMigrated
from engine.runtime.aborts import OutcomeUnknown, RebalanceOvertook, TransactionAborted
from engine.runtime.commit import Committer
from engine.runtime.consumer import Consumer
from engine.runtime.membership import Membership
from engine.runtime.producer import Producer
from engine.runtime.tasks import Tasks

log = logging.getLogger(__name__)

# The longest wait for records: punctuations, commits and commands are looked at this often.
POLL_SECONDS_MAX = 0.1
# With records waiting in a task, polls only look.
POLL_SECONDS_MIN = 0.0
# A cluster that answers with errors is asked again after this.
RETRY_SECONDS = 0.5
# A commit that a rebalance overtook is tried again after this; the polls in between bring the member along.
OVERTAKEN_SECONDS = 0.1
# A fencing fails a commit or two; the same failure so often will not mend itself.
ABORTS_IN_A_ROW_MAX = 10


class Loop:
    """Turns until it is told to stop. One thread; `stop` may be called from any."""

    def __init__(
        self,
        config: EngineConfig,
        consumer: Consumer,
        producer: Producer,
        membership: Membership,
        tasks: Tasks,
        committer: Committer,
        *,
        between_commits: Callable[[], None] = lambda: None,
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._producer = producer
        self._membership = membership
        self._tasks = tasks
        self._committer = committer
        self._between_commits = between_commits
        self._housekeeping = housekeeping
        self._commit_every = config.commit_every_ms / 1000
        self._session_seconds = config.session_timeout_ms / 1000
        self._waiting = False
        self._commit_now = False
        self._commits_seen = 0
        self._aborts_in_a_row = 0
        self._commits_overtaken = -1
        self._overtaken_at = 0.0
        # After a pause longer than a session the group may have given this instance's tasks away without its having heard
        # of it yet. A commit, which the broker refuses to a former member, shows that it has not.
        self._unproven = False
        # The task that goes first in the next turn.
        self._first: str | None = None
        self._polled_at = time.monotonic()
        self.stopping = False
        self.turns_total = 0
        self.processed_total = 0
        # Seconds of the turns with work, and when the present one began if it is one. Replaced as a whole: other threads read it.
        self._busy: tuple[float, float | None] = (0.0, None)
        self.uncommitted_bytes = 0
        # When the first and the last records were worked on: what a benchmark divides by.
        self.busy_from: float | None = None
        self.busy_until = 0.0

    def stop(self) -> None:
        """End after this turn."""
        self.stopping = True

    def request_commit(self) -> None:
        """Commit at the end of this turn, due or not."""
        self._commit_now = True

    def run(self) -> None:
        """Turn until stopped; raises what stops the engine."""
        while not self.stopping:
            self.turn()

    @property
    def busy_seconds(self) -> float:
        """How long the loop has worked in all, up to now: turns without records count nothing. Any thread."""
        worked, began = self._busy
        return worked if began is None else worked + time.monotonic() - began

    def turn(self) -> int:
        """One turn; returns the number of records processed. Errors meet their reaction here."""
        self._busy = (self.busy_seconds, None)
        if self.turns_total == 0:
            self._polled_at = time.monotonic()
        self.turns_total += 1
        try:
            if self._tasks.undo_due:
                self._roll_back()
            return self._turn()
        except OutcomeUnknown as error:
            log.warning("what was not committed is undone: %s", error)
            self._tasks.undo_due = True
        except RebalanceOvertook as error:
            self._tasks.undo_due = True
            self._wait_for_group(error)
        except (TransactionAborted, TaskMigrated) as error:
            log.warning("what was not committed is undone: %s", error)
            self._tasks.undo_due = True
            self._count_abort(error)
        except TaskCorrupted as error:
            log.warning("%s", error)
            self._tasks.undo_due = True
            running = self._tasks.running()
            # A damaged store names its task; an offset that is gone may be any task's.
            for task in [t for t in running if t.damaged] or running:
                self._tasks.retake(task.id, str(error))
        except Retry as error:
            log.warning("%s; trying again", error)
            self._tasks.undo_due = True
            time.sleep(RETRY_SECONDS)
        except KafkaException as error:
            raise broker_errors.named(error, "the Kafka client failed") from error
        return 0

    def _roll_back(self) -> None:
        """Undo what was not committed. It may need a broker that does not answer: then the next turn tries again."""
        # Polled all the same, so that the group does not lose its member.
        self._tasks.before_poll()
        batches = self._consumer.poll(POLL_SECONDS_MIN)
        self._membership.raise_failure()
        if self._tasks.undo_due:
            self._tasks.roll_back()
        else:
            # Undone by a callback within the poll, which may have gone on to bring records from after the rewind.
            self._tasks.settle(batches)

    def _wait_for_group(self, error: Exception) -> None:
        """Let the rebalance go on that overtook a commit. It ends by itself, if late: its leader may have died in it."""
        now = time.monotonic()
        if self._committer.commits_total != self._commits_overtaken:
            self._commits_overtaken, self._overtaken_at = self._committer.commits_total, now
        lasted = now - self._overtaken_at
        loud = logging.INFO if lasted <= self._session_seconds else logging.WARNING
        log.log(
            loud, "a rebalance has kept commits from counting for %.1f s; the last is done again: %s", lasted, error
        )
        time.sleep(OVERTAKEN_SECONDS)

    def _count_abort(self, error: Exception) -> None:
        """Raise Fatal when one commit after another fails: the same records would fail for ever."""
        if self._committer.commits_total != self._commits_seen:
            self._commits_seen, self._aborts_in_a_row = self._committer.commits_total, 0
        self._aborts_in_a_row += 1
        if self._aborts_in_a_row >= ABORTS_IN_A_ROW_MAX:
            raise Fatal(
                f"{self._aborts_in_a_row} commits in a row failed; the last: {error}. A record that its topic does not take "
                "or another process with this state directory's transactional id would do that"
            ) from error

    def _turn(self) -> int:
        # 1: poll. Membership callbacks run inside, so tasks may have come and gone when it returns.
        self._tasks.before_poll()
        batches = self._consumer.poll(self._poll_seconds())
        self._membership.raise_failure()
        batches = self._tasks.settle(batches)
        began = time.monotonic()
        if self._unproven or began - self._polled_at > self._session_seconds:
            self._prove()
        self._polled_at = began
        worked = self.busy_seconds
        if batches or self._waiting:
            self._busy = (worked, began)
        # 2: route. Before new tasks start: what was polled is of those that ran by then, a former life of the same included.
        if batches:
            self._tasks.route(batches)
        if self._tasks.collect():
            self._commit_now = True
        # 3: process, and 4: punctuate.
        done = self._process()
        self._producer.poll()
        # 5: commit.
        if self._commit_due():
            self._commit()
        # 6: report: what other threads show is published; commands take their turn.
        self._housekeeping()
        if done or batches:
            self.busy_until = time.monotonic()
            self._busy = (worked + self.busy_until - began, None)
            self.busy_from = self.busy_from or began
        return done

    def _process(self) -> int:
        now_ms = int(time.time() * 1000)
        done = 0
        self._waiting = False
        running = self._tasks.running()
        self.uncommitted_bytes = sum(t.uncommitted_bytes for t in running)
        first = next((at for at, task in enumerate(running) if task.id == self._first), 0)
        self._first = None
        for task in running[first:] + running[:first]:
            # Until the group knows its offsets nothing of it may be written: starting over would count that twice.
            if task.held or not task.confirmed:
                continue
            if self.uncommitted_bytes >= self._config.uncommitted_bytes_max:
                # A commit first; whoever did not get a turn now is the first then.
                self._first = task.id
                self._waiting = True
                break
            before = task.uncommitted_bytes
            count = task.process(now_ms, self._config.poll_records)
            if count:
                done += count
                self._tasks.resume(task)
            if count >= self._config.poll_records:
                self._waiting = True
            task.punctuate()
            self.uncommitted_bytes += task.uncommitted_bytes - before
            if task.context.commit_requested:
                task.dirty = self._commit_now = True
        self.processed_total += done
        return done

    def _poll_seconds(self) -> float:
        if self._waiting or self._commit_now:
            return POLL_SECONDS_MIN
        due = self._committer.committed_at + self._commit_every - time.monotonic()
        return min(max(due, 0.001), POLL_SECONDS_MAX)

    def _commit_due(self) -> bool:
        if self._commit_now or not all(t.confirmed for t in self._tasks.running()):
            return True
        if time.monotonic() - self._committer.committed_at >= self._commit_every:
            return True
        # Early rather than never: what is not committed is bounded in bytes.
        return self.uncommitted_bytes >= self._config.uncommitted_bytes_max

    def _commit(self) -> None:
        self._commit_now = False
        self._committer.commit(self._tasks.running())
        self._unproven = False
        self._between_commits()

    def may_be_lost(self) -> bool:
        """Whether other members may have this instance's tasks by now: what is here must not be shown as current."""
        return self._unproven or time.monotonic() - self._polled_at > self._session_seconds

    def _prove(self) -> None:
        """Commit all offsets, so that the broker says whether this instance is still a member."""
        if not self._unproven:
            log.warning("the loop stood still for longer than a session: reads wait for the next commit")
        self._unproven = self._commit_now = True
        for task in self._tasks.running():
            task.dirty = True

    def finish(self, *, clean: bool) -> None:
        """Leave: commit what is done, close every task, leave the group so that others take over at once."""
        try:
            if clean and not self._tasks.undo_due:
                self._tasks.collect()
                self._committer.commit(self._tasks.running())
            else:
                self._tasks.roll_back()
        except (RebuildTask, Retry) as error:
            log.warning("the last commit failed, its records will be processed again: %s", error)
            clean = False
        finally:
            try:
                self._tasks.close_all(clean=clean)
            finally:
                self._consumer.close()
