"""What the loop does now and then: measuring for the reports, watching the disk, flushing, recommitting, purging, tidying up.

Last step of a turn. Owner: the loop; its thread only. Each duty has its own interval and does little at a time.
"""

import logging
import time

from confluent_kafka import KafkaException

from engine import broker_errors
from engine.changelog.topics import Deletion, Topics
from engine.config import EngineConfig
from engine.runtime.active_task import ActiveTask
from engine.runtime.blueprint import Blueprint
from engine.runtime.state_directory import StateDirectory
from engine.runtime.tasks import Tasks

log = logging.getLogger(__name__)

MEASURE_SECONDS = 0.5
SPACE_SECONDS = 1.0
TIDY_SECONDS = 60.0
# What a kill takes from a store is what was written since its last flush, which is replayed then. RocksDB flushes by itself
# when a write buffer is full: of a small store, or one that is written slowly, never.
FLUSH_SECONDS = 60.0


class Housekeeping:
    """The duties of one instance."""

    def __init__(
        self, config: EngineConfig, blueprint: Blueprint, tasks: Tasks, topics: Topics, directory: StateDirectory
    ) -> None:
        self._config = config
        self._blueprint = blueprint
        self._tasks = tasks
        self._topics = topics
        self._directory = directory
        now = time.monotonic()
        self._measured_at = self._space_at = 0.0
        self._recommitted_at = self._purged_at = self._tidied_at = self._flushed_at = now
        self._unflushed: list[ActiveTask] = []
        self._purged: dict[tuple[str, int], int] = {}
        self._purging: dict[tuple[str, int], Deletion] = {}
        self._purge_errors: set[tuple[str, int]] = set()  # topics and error codes that were told

    def turn(self) -> None:
        """Do what is due; raises DiskNearlyFull while there is still room for a clean stop."""
        now = time.monotonic()
        if now - self._space_at >= SPACE_SECONDS:
            self._space_at = now
            self._directory.check_space(self._config.disk_free_bytes_min)
        if now - self._measured_at >= MEASURE_SECONDS:
            self._measured_at = now
            for task in self._tasks.running():
                task.measure()
        if now - self._recommitted_at >= self._config.recommit_interval_ms / 1000:
            self._recommitted_at = now
            # The broker forgets offsets of topics that no member subscribes to, however alive the group is.
            for task in self._tasks.running():
                task.dirty = True
        if now - self._flushed_at >= FLUSH_SECONDS:
            self._flushed_at = now
            self._unflushed = self._tasks.running()
        if self._unflushed:
            # One a turn: many tasks at once would hold up the loop.
            self._unflushed.pop().flush_stores()
        if now - self._purged_at >= self._config.repartition_purge_interval_ms / 1000:
            self._purged_at = now
            self._purge()
        if now - self._tidied_at >= TIDY_SECONDS:
            self._tidied_at = now
            self._tidy()

    def _purge(self) -> None:
        """Delete repartition records below the committed offsets: nobody reads them again.

        The loop waits for no answer: the next purge looks what became of this one, and asks again for what was not done.
        """
        if not self._blueprint.repartitions:
            return
        self._settle_purges()
        found = {
            place: committed.offset
            for task in self._tasks.running()
            for place, committed in task.committed.items()
            if place[0] in self._blueprint.repartitions
            and place not in self._purging
            and committed.offset > self._purged.get(place, 0)
        }
        self._purging |= self._topics.delete_before(found)

    def _settle_purges(self) -> None:
        for place, deletion in list(self._purging.items()):
            if not deletion.future.done():
                continue
            del self._purging[place]
            # Not `result()`: the error would hold this frame, and in that circle the client would stay.
            error = deletion.future.exception()
            if error is None:
                self._purged[place] = deletion.offset
            elif isinstance(error, KafkaException):
                self._tell_unpurged(place, error)
            else:
                raise error

    def _tell_unpurged(self, place: tuple[str, int], error: KafkaException) -> None:
        told = place[0], broker_errors.cause(error).code()
        if told not in self._purge_errors:
            self._purge_errors.add(told)
            what = f"repartition records of {place[0]}-{place[1]} that nobody needs could not be deleted"
            log.warning("%s; this is tried again", broker_errors.named(error, what))

    def _tidy(self) -> None:
        owned = {*self._tasks.by_id, *(standby.task for standby in self._tasks.standbys)}
        removed = self._directory.remove_unowned(owned, self._config.state_cleanup_delay_ms)
        if removed:
            log.info("removed the state of tasks that other instances have: %s", ", ".join(removed))
