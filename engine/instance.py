"""`Engine`: the composition root of one instance. It makes every part, starts them in order and stops them in reverse.

`run()` blocks until a signal or an error; `start()` and `stop()` run the loop in a thread, for tests and embedding.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from engine import client_settings
from engine.changelog.topics import Topics
from engine.config import EngineConfig
from engine.errors import Fatal, StatehouseError
from engine.runtime import consumer as consumers
from engine.runtime.active_task import TaskParts
from engine.runtime.blueprint import Blueprint, internal_topics, survey
from engine.runtime.commit import Committer, CrashPoint
from engine.runtime.consumer import Consumer
from engine.runtime.handlers import PolicyHandlers
from engine.runtime.loop import Loop
from engine.runtime.mapping import MappingTopic
from engine.runtime.membership import Membership
from engine.runtime.producer import Producer
from engine.runtime.restorer import Restorer
from engine.runtime.state_directory import StateDirectory
from engine.runtime.tasks import Tasks
from engine.topology.builder import StreamsBuilder
from engine.topology.topology import Topology

log = logging.getLogger(__name__)

# Objects made between two collections; the last is how many middle collections make a full one.
GC_THRESHOLDS = (200_000, 20, 100)

Build = Callable[[StreamsBuilder], None]


class Engine:
    """One instance of an application."""

    def __init__(self, build: Build | Topology, config: EngineConfig, *, crash_point: CrashPoint | None = None) -> None:
        self.config = config
        self.topology = build if isinstance(build, Topology) else _topology(build)
        self._crash_point = crash_point
        self.client: dict[str, Any] = {
            "bootstrap.servers": config.bootstrap_servers,
            **client_settings.of_kind(config.client_settings, frozenset()),
        }
        self.directory = StateDirectory(config.state_dir, config.application_id)
        self.state = "starting"
        self.error: BaseException | None = None
        self.blueprint: Blueprint
        self.loop: Loop
        self.tasks: Tasks
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until stopped; raises the error that ended it, if one did."""
        self.directory.lock()
        clean = False
        try:
            self._compose()
            _calm_garbage_collection()
            self.state = "running"
            self._restorer.start()
            while not self._stop.is_set():
                self.loop.turn()
            self.state = "stopping"
            clean = True
        except BaseException as error:
            self.state = "failed"
            self.error = error
            raise
        finally:
            self._close(clean=clean)
            self.directory.unlock()

    def start(self) -> None:
        """Run in a thread; `wait` and `stop` end it."""
        self._thread = threading.Thread(target=self._run_quietly, name="engine-loop", daemon=True)
        self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """Stop cleanly and wait; raises the error that ended the engine, if one did."""
        self._stop.set()
        self.wait(timeout or self.config.stop_timeout_ms / 1000 + 10)

    def request_stop(self) -> None:
        """Ask the loop to end after its present turn; returns at once. For signal handlers."""
        self._stop.set()

    def wait(self, timeout: float) -> None:
        """Wait for the end; raises the error that ended the engine, Fatal when it does not end in time."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise Fatal(f"the engine did not end within {timeout:.0f} s")
        if self.error is not None:
            raise self.error

    def _run_quietly(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - `wait` raises it on the caller's thread
            self.error = error
            log.exception("the engine stopped")

    # -- making the parts ---------------------------------------------------------------------------------------------

    def _compose(self) -> None:
        config = self.config
        self.identity = self.directory.identity(config.instance_id)
        self.topics = Topics(self.client, config.replication_factor)
        self.blueprint = survey(self.topology, config, self.topics)
        self.topics.ensure(internal_topics(self.blueprint, config))
        mapping_topic = MappingTopic(self.topics, self.client, config.application_id)
        mapping = mapping_topic.agree(self.topology.hash, list(self.blueprint.tasks))
        self._restorer = Restorer(
            self.topics,
            self.directory,
            self.client,
            config.application_id,
            partitions_max=config.restore_partitions_max,
            bytes_per_second_max=config.restore_bytes_per_second_max,
        )
        self.producer = Producer(config, self.client, self.identity.transactional_id)
        self.handlers = PolicyHandlers(config, self.producer, lambda text: log.warning("%s", text))
        parts = TaskParts(
            config.application_id,
            self.producer,
            self.handlers,
            lambda: time.time_ns() // 1_000_000,
            lambda place: self.consumer.lag(place),
            config.max_task_idle_ms,
            caching=config.caching and config.cache_bytes_max > 0,
        )
        self.tasks = Tasks(self.blueprint, parts, self._restorer, config.poll_records, self._notify)
        self.membership = Membership(mapping_topic.topic, mapping, self.tasks)
        client = self.membership.join(consumers.member_settings(config, self.client))
        self.consumer = Consumer(client, config.poll_records)
        crash = {} if self._crash_point is None else {"crash_point": self._crash_point}
        self.committer = Committer(self.producer, self.consumer, **crash)
        self.tasks.consumer = self.consumer
        self.tasks.committer = self.committer
        self.loop = Loop(
            config,
            self.consumer,
            self.producer,
            self.membership,
            self.tasks,
            self.committer,
            housekeeping=self._housekeeping,
        )

    def _close(self, *, clean: bool) -> None:
        if hasattr(self, "loop"):
            self.loop.finish(clean=clean)
        if hasattr(self, "_restorer"):
            self._restorer.stop()
        if hasattr(self, "producer"):
            self.producer.close()

    # -- every turn ---------------------------------------------------------------------------------------------------

    def _housekeeping(self) -> None:
        if self.config.stop_when_caught_up and self._caught_up():
            self._stop.set()

    def _caught_up(self) -> bool:
        tasks = self.tasks.running()
        if len(tasks) < len(self.tasks.by_id) or not self.membership.joined:
            return False
        now = time.monotonic()
        if now < getattr(self, "_look_again", 0.0):
            return False
        self._look_again = now + 0.05
        places = [p for t in tasks for p in t.places]
        if any(self.consumer.lag(p) != 0 for p in places):
            return False
        if any(t.dirty for t in tasks):
            self.loop.request_commit()
            return False
        ends = self.topics.end_offsets(places, committed_only=self.config.exactly_once)
        return all(self.consumer.position(p) >= end for p, end in ends.items())

    def _notify(self, kind: str, message: str, **facts: Any) -> None:
        log.info("%s: %s", kind, message)


def _calm_garbage_collection() -> None:
    """Let Python look for reference cycles rarely.

    A micro-batch makes a hundred thousand tuples that reference counting frees; walking all of them, and all that stores
    hold, each time took a quarter of the loop's time. What exists already is set aside for good.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _topology(build: Build) -> Topology:
    builder = StreamsBuilder()
    try:
        build(builder)
    except StatehouseError:
        raise
    except Exception as error:
        raise Fatal(f"the build function raised {type(error).__name__}: {error}") from error
    return builder.build()
