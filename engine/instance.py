"""`Engine`: the composition root of one instance. It makes every part, starts them in order and stops them in reverse.

`run()` blocks until a signal or an error; `start()` and `stop()` run the loop in a thread, for tests and embedding.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from engine import client_settings
from engine.changelog.restore import Restoring
from engine.changelog.topics import Topics
from engine.config import EngineConfig
from engine.control.commands import Commands, LoopQueue
from engine.control.reporter import StatusReporter
from engine.control.routes import routes
from engine.control.view import StatusView
from engine.errors import DiskNearlyFull, Fatal, StatehouseError
from engine.hosting.handles import InstanceView
from engine.hosting.lost_disk import lost_copies
from engine.hosting.orders import Orders
from engine.hosting.peers import ReportedPeers
from engine.hosting.report import Report, as_json
from engine.hosting.sampler import Sampler
from engine.hosting.token import load_token
from engine.query.metadata import Metadata
from engine.query.service import QueryService, listen
from engine.query.snapshots import Snapshots
from engine.runtime import consumer as consumers
from engine.runtime import state_directory
from engine.runtime.active_task import TaskParts
from engine.runtime.agreement import Agreement, agree
from engine.runtime.blueprint import Blueprint, written_topics
from engine.runtime.commit import Committer, CrashPoint
from engine.runtime.consumer import Consumer
from engine.runtime.globals import GlobalTables
from engine.runtime.handlers import PolicyHandlers
from engine.runtime.housekeeping import Housekeeping
from engine.runtime.loop import Loop
from engine.runtime.membership import Membership
from engine.runtime.outputs import Outputs
from engine.runtime.placement import Placement
from engine.runtime.process_memory import calm_garbage_collection, freed_memory_returned
from engine.runtime.producer import Producer
from engine.runtime.restore_pace import Pace
from engine.runtime.restorer import Restorer
from engine.runtime.state_directory import StateDirectory
from engine.runtime.swaps import Swaps
from engine.runtime.tasks import Tasks
from engine.runtime.warm_up import WarmUp
from engine.stores import memory_budget
from engine.topology.builder import StreamsBuilder, topology_of
from engine.topology.topology import Topology

log = logging.getLogger(__name__)

# As Kafka Streams: after an outage librdkafka's own 10 s would be most of the time until the engine is back.
RECONNECT_BACKOFF_MAX_MS = 1_000

Build = Callable[[StreamsBuilder], None]


class Engine:
    """One instance of an application."""

    def __init__(self, build: Build | Topology, config: EngineConfig, *, crash_point: CrashPoint | None = None) -> None:
        self.config = config
        self.topology = build if isinstance(build, Topology) else _topology(build)
        self._crash_point = crash_point
        self.client: dict[str, Any] = {
            "bootstrap.servers": config.bootstrap_servers,
            "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
            **client_settings.of_kind(config.client_settings, frozenset()),
        }
        self.directory = StateDirectory(config.state_dir, config.application_id)
        self.phase = "starting"
        self.error: BaseException | None = None
        self._peers_known = threading.Event()
        self.last_error: tuple[int, str] | None = None
        self.started_at = _now_ms()
        self.blueprint: Blueprint
        self.loop: Loop
        self.tasks: Tasks
        self.address: str | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # What has been started, to be stopped in reverse.
        self._started = contextlib.ExitStack()

    # -- life ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until stopped; raises the error that ended it, if one did."""
        self.directory.lock()
        try:
            self.directory.check_space(self.config.disk_free_bytes_min)
            self.topics = Topics(self.client, self.config.replication_factor)
            agreement = agree(self.topology, self.config, self.topics, self._stop)
            if agreement is None:
                return
            self._compose(agreement)
            self._begin()
            while not self._stop.is_set():
                self.loop.turn()
            self.phase = "stopping"
        except BaseException as caught:
            error = self._failed(caught)
            if error is caught:
                raise
            raise error from caught
        finally:
            self._end()

    def _failed(self, caught: BaseException) -> BaseException:
        """Note what ended the engine; returns the error to raise."""
        if self.error is None:
            self.error = state_directory.named(caught)
            self.phase = "failed"
            self._note_error(f"{type(self.error).__name__}: {self.error}")
        return self.error

    def _end(self) -> None:
        """Stop what was started, in reverse. What fails in that is the engine's error only where there is none yet."""
        try:
            self._started.close()
        except Exception as second:
            if self.error is None:
                self.error = second
                raise
            log.warning("closing failed too: %s", second)
        finally:
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

    def state(self) -> str:
        """`starting`, `running`, `rebalancing`, `stopping` or `failed`."""
        return self._state()[0]

    def _state(self) -> tuple[str, str | None]:
        if self.phase != "running":
            reason = self.last_error[1] if self.phase == "failed" and self.last_error else None
            return self.phase, reason
        if not self.membership.joined:
            return "starting", self.warm_up.reason or "joins its group"
        waiting = len(self.tasks.take_overs)
        return ("rebalancing", f"{waiting} tasks restore") if waiting else ("running", None)

    def _ends_cleanly(self) -> bool:
        """Whether what was done since the last commit counts, and stores go to disk."""
        return self.error is None or isinstance(self.error, DiskNearlyFull)

    def _run_quietly(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.error = error
            log.exception("the engine stopped")

    # -- making the parts ---------------------------------------------------------------------------------------------

    def _compose(self, agreement: Agreement) -> None:
        config = self.config
        self.blueprint, self.mapping = agreement.blueprint, agreement.mapping
        self.mapping_topic = agreement.mapping_topic
        memory_budget.configure(
            block_cache_bytes=config.block_cache_bytes, write_buffer_bytes=config.write_buffer_bytes
        )
        lost = lost_copies(self.client, config, self.directory)
        self.identity = self.directory.identity(config.instance_id)
        self.restorer = Restorer(
            self.topics,
            self.directory,
            self.client,
            config.application_id,
            pace=Pace(
                bytes_per_second_max=config.restore_bytes_per_second_max,
                share_min=config.restore_share_min_percent / 100,
                loop_busy_seconds=lambda: self.loop.busy_seconds,
            ),
            partitions_max=config.restore_partitions_max,
            processes_max=config.restore_process_count,
            lost=lost,
            write_buffer_bytes=config.write_buffer_bytes,
            began=self._restore_began,
        )
        outputs = Outputs(self.topics, written_topics(self.blueprint, config))
        self.producer = Producer(config, self.client, self.identity.transactional_id, outputs, self._stop.is_set)
        self._started.callback(self.producer.close)
        self.handlers = PolicyHandlers(config, self.producer, self._note_error)
        self.producer.refused = self.handlers.production
        self._compose_tasks()
        self._compose_service()

    def _compose_tasks(self) -> None:
        config = self.config
        self.global_tables = GlobalTables(
            self.blueprint,
            self.topics,
            self.directory,
            consumers.settings(config, self.client),
            self.producer,
            self.handlers,
            _now_ms,
        )
        self._started.callback(self.global_tables.close)
        parts = TaskParts(
            config.application_id,
            self.producer,
            self.handlers,
            _now_ms,
            lambda place: self.consumer.lag(place),  # noqa: PLW0108 - the consumer is made after the tasks it calls back
            lambda place: self.consumer.position(place),  # noqa: PLW0108 - as above
            self.handlers.received,
            config.max_task_idle_ms,
            caching=config.caching,
            global_stores=self.global_tables.stores,
        )
        self.tasks = Tasks(self.blueprint, parts, self.restorer, config.poll_records, self._notify)
        self.swaps = Swaps(self.restorer, self.directory)
        self.loop_queue = LoopQueue()
        self.membership = Membership(self.mapping_topic.topic, self.mapping, self.tasks)
        self.consumer = Consumer(
            self.membership.client(consumers.member_settings(config, self.client)), config.poll_records
        )
        self._started.callback(self.consumer.close)
        crash = {} if self._crash_point is None else {"crash_point": self._crash_point}
        self.committer = Committer(self.producer, self.consumer, **crash)
        self.tasks.consumer, self.tasks.committer = self.consumer, self.committer
        housekeeping = Housekeeping(config, self.blueprint, self.tasks, self.topics, self.directory)
        self.loop = Loop(
            config,
            self.consumer,
            self.producer,
            self.membership,
            self.tasks,
            self.committer,
            between_commits=self._between_commits,
            housekeeping=lambda: self._each_turn(housekeeping),
        )

    def _compose_standbys(self) -> None:
        config = self.config
        self.metadata = Metadata()
        self.tasks.keeps_standbys = config.num_standby_replicas > 0
        self.restorer.standbys.note = self._note_error
        peers = ReportedPeers(self.metadata, self.blueprint, self.identity.instance_id)
        self.placement = Placement(
            self.blueprint,
            self.tasks,
            self.restorer.standbys,
            peers,
            self.identity.instance_id,
            replicas=config.num_standby_replicas,
            acceptable_lag=config.acceptable_recovery_lag,
            grace_seconds=config.session_timeout_ms / 1000,
        )
        self.warm_up = WarmUp(
            set(self.blueprint.tasks),
            self.placement,
            peers,
            self._join,
            peers_known=self._peers_known.is_set,
            acceptable_lag=config.acceptable_recovery_lag,
            timeout_seconds=config.warmup_timeout_ms / 1000,
        )
        # The tasks of a static member that restarts wait for it.
        if not self.tasks.keeps_standbys or config.group_instance_id or config.warmup_timeout_ms == 0:
            self.warm_up.skip()

    def _compose_service(self) -> None:
        config = self.config
        self.sampler = Sampler(self.topics, self.tasks.places, self.directory.root, self.directory.bytes_used)
        self.view = InstanceView(
            self.identity.instance_id,
            self.blueprint,
            self.tasks,
            self.global_tables,
            self.state,
            lambda: as_json(self.reporter.latest()),
            self.sampler.end,
            self.sampler.fresh_end,
            self.loop.may_be_lost,
        )
        self.report = Report(
            blueprint=self.blueprint,
            instance_id=self.identity.instance_id,
            config=config,
            started_at=self.started_at,
            state=self._state,
            last_error=lambda: self.last_error,
            loop=self.loop,
            tasks=self.tasks,
            committer=self.committer,
            membership=self.membership,
            handlers=self.handlers,
            view=self.view,
            sampler=self.sampler,
            member_id=lambda: self.membership.member_id,
        )
        self.reporter = StatusReporter(
            config.application_id,
            self.identity.instance_id,
            self.started_at,
            self.report.collect,
            self.client,
            replication_factor=config.replication_factor,
        )
        self._compose_standbys()
        self.commands = Commands(Orders(self.blueprint, self.tasks, self.swaps, self.directory, self.loop_queue))
        if config.listen is not None:
            token = load_token(config.token_file, self.directory.root)
            self.snapshots = Snapshots(
                self.directory.application,
                self.identity.instance_id,
                self.view.specs,
                self.view.placing_topic,
                self.view.key_partitions,
            )
            self.service = QueryService(
                self.view,
                self.metadata,
                token,
                listen(*config.listen_address()),
                more_routes=[*routes(self.commands), *self.snapshots.routes()],
            )
            self.address = self.service.address
            self.report.service = self.service

    def _begin(self) -> None:
        """Start in the order in which each part can rely on those before it; they stop in reverse."""
        self.restorer.start()
        self._started.callback(self.restorer.stop)
        if self.config.listen is not None or self.tasks.keeps_standbys:
            view = StatusView(self.config.application_id, self.metadata, self.client, on_ready=self._peers_known.set)
            view.start()
            self._started.callback(view.stop)
        self.sampler.start()
        self._started.callback(self.sampler.stop)
        # Reported to the end: that the tasks close is worth seeing.
        self.reporter.start()
        self._started.callback(lambda: self.reporter.stop(clean=self.error is None))
        self._started.callback(lambda: self.loop.finish(clean=self._ends_cleanly()))
        if self.config.listen is not None:
            self._started.callback(self.snapshots.close)
            self.service.start()
            self._started.callback(self.service.stop)
        self.global_tables.fill(self._stop.is_set, lambda: self.committer.commit(()))
        self.phase = "running"
        self._notify("started", f"instance {self.identity.instance_id} runs")
        self._started.enter_context(calm_garbage_collection())
        self._started.enter_context(freed_memory_returned())

    def _join(self) -> None:
        if self.phase == "running":
            # After a warm-up: another topology may have started meanwhile.
            self.mapping_topic.check(self.mapping)
        self.membership.join()

    # -- every turn ---------------------------------------------------------------------------------------------------

    def _between_commits(self) -> None:
        self.loop_queue.run()
        self.swaps.after_commit()

    def _each_turn(self, housekeeping: Housekeeping) -> None:
        self.global_tables.follow()
        self.swaps.turn()
        if self.tasks.keeps_standbys:
            self.placement.turn()
            self.warm_up.turn()
        if self.loop_queue and not any(t.dirty for t in self.tasks.running()):
            self._between_commits()
        housekeeping.turn()
        if self.config.stop_when_caught_up and self._caught_up():
            self._stop.set()

    def _caught_up(self) -> bool:
        tasks = self.tasks.running()
        # Every task has to be here: a dead instance keeps its own until the group has given it up.
        if len(tasks) < len(self.blueprint.tasks):
            return False
        now = time.monotonic()
        if now < getattr(self, "_look_again", 0.0):
            return False
        self._look_again = now + 0.05
        places = [p for t in tasks for p in t.places]
        if any(self.consumer.lag(p) != 0 for p in places) or any(t.waiting for t in tasks):
            return False
        if any(t.dirty for t in tasks):
            self.loop.request_commit()
            return False
        ends = self.topics.end_offsets(places)
        return all(self.consumer.position(p) >= end for p, end in ends.items())

    # -- what is told -------------------------------------------------------------------------------------------------

    def _notify(self, kind: str, message: str, **facts: Any) -> None:
        log.info("%s: %s", kind, message)
        task, store = facts.pop("task", None), facts.pop("store", None)
        self.reporter.event(kind, message, task=task, store=store, **facts)
        if kind == "error":
            self.last_error = (_now_ms(), message)

    def _restore_began(self, restoring: Restoring) -> None:
        start, end, cause = restoring.start, restoring.end, restoring.cause
        text = f"restores {restoring.store_name} from offset {start} to {end}: {cause}"
        self._notify(
            "restore-started", text, task=restoring.task, store=restoring.store_name, start=start, end=end, cause=cause
        )

    def _note_error(self, message: str) -> None:
        log.warning("%s", message)
        self.last_error = (_now_ms(), message)


def _topology(build: Build) -> Topology:
    try:
        return topology_of(build)
    except StatehouseError:
        raise
    except Exception as error:
        raise Fatal(f"the build function raised {type(error).__name__}: {error}") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
