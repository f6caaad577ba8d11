"""The chaos harness: a topology of yours, several instances, faults from a seed, and a verdict.

    make topics → start instances → (feed, wait, break, mend)* → feed the rest → catch up → stop → judge → remove

`manage.py engine chaos` is its command line. It works under names of its own (topics, groups, directories), so that it can
run on a cluster with other things in it, and leaves nothing behind unless told to.
"""

from __future__ import annotations

import contextlib
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import KafkaException

from engine.config import EXACTLY_ONCE
from engine.errors import BrokerUnavailable, ConfigError
from engine.testing import chaos_verdict
from engine.testing.chaos_cluster import Cluster
from engine.testing.chaos_input import Inputs, Record
from engine.testing.chaos_instances import Guard, Instance
from engine.testing.chaos_plan import BROKER_FAULTS, INSTANCE_FAULTS, Fault, plan
from engine.testing.chaos_topology import Scratch
from engine.testing.chaos_verdict import Check, Ran
from engine.topology.builder import StreamsBuilder
from engine.topology.loading import load_topology

BUILD = "engine.testing.chaos_topology:build"
POLL_SECONDS = 0.1
ASK_SECONDS = 0.5
# Beyond a session, for the groups of instances that were killed.
REMOVE_SECONDS = 10.0
# A process that is stopped before it listens for signals has not begun anything either.
STOPPED = (0, -signal.SIGTERM)


class Broker(Protocol):
    """A broker that the run owns and may end."""

    def restart(self, *, hard: bool, away_seconds: float) -> None:
        """End it, `hard` as a power cut would, and start it again after some seconds; returns once it answers."""


@dataclass(frozen=True)
class Settings:
    """What is run and how hard. Times are seconds, but for `session_timeout_ms`."""

    build: str
    client: dict[str, Any]
    folder: Path  # for state directories and logs
    seed: int
    instances: int = 3
    partitions: int = 4
    records: int = 20_000
    faults: int = 10
    duration: float | None = None  # no fault begins later
    kinds: tuple[str, ...] = INSTANCE_FAULTS
    every: tuple[float, float] = (0.1, 10.0)
    session_timeout_ms: int = 6_000
    stop_seconds: float = 30.0
    settle: float = 120.0  # how long catching up may take, and the reference run
    guarantee: str = EXACTLY_ONCE
    options: tuple[str, ...] = ()  # further options of `engine run`
    input_file: Path | None = None
    generate: str | None = None
    keep: bool = False


@dataclass
class Report:
    """What happened and whether all that must hold does."""

    seed: int
    application_id: str
    instances: int
    records: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    faults_under_load: int = 0  # those right after which some of the input was not committed
    seconds: float = 0.0
    caught_up_seconds: float | None = None  # from the last mending to the input's end
    stop_seconds_max: float = 0.0
    checks: list[Check] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """The verdict."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Plain values, the verdict first."""
        return {"holds": self.holds, **asdict(self)}


class Chaos:
    """One run. `launch` turns arguments of `manage.py` into a command line; `broker` allows its faults; one thread."""

    def __init__(
        self,
        settings: Settings,
        launch: Callable[[Sequence[str]], list[str]],
        *,
        broker: Broker | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._launch = launch
        self._broker = broker
        self._say = say
        if broker is None and set(settings.kinds) & set(BROKER_FAULTS):
            raise ConfigError("faults of the broker need one that the run owns: leave --bootstrap-servers out")
        self.plan = plan(
            settings.seed,
            settings.faults,
            settings.kinds,
            instances=settings.instances,
            session_timeout_ms=settings.session_timeout_ms,
            every=settings.every,
        )
        self._inputs = Inputs(load_topology(settings.build))
        self._records = list(self._input())
        if not self._records:
            raise ConfigError("the input has no records")
        self.name = f"chaos-{settings.seed}-{uuid.uuid4().hex[:6]}"
        self._feeds = f"{self.name}.in."
        self._cluster = Cluster(settings.client)
        self.tested = self._ran(f"{self.name}-tested")
        self.reference = self._ran(f"{self.name}-reference")
        self.report = Report(settings.seed, self.tested.application_id, settings.instances)
        self._ended: list[str] = []
        self._mended_at = time.monotonic()
        # What is to be mended, and when.
        self._broken: dict[int, tuple[float, str]] = {}

    def run(self) -> Report:
        """Run and judge. Raises ConfigError or BrokerUnavailable when it cannot be run at all."""
        began = time.monotonic()
        self._cluster.reach()
        with contextlib.ExitStack() as ending:
            if not self.settings.keep:
                ending.callback(self.remove)
            guard = Guard()
            ending.callback(guard.close)
            self._cluster.create([f"{self._feeds}{topic}" for topic in self._inputs.serdes], self.settings.partitions)
            for ran in (self.tested, self.reference):
                # A topic that is written and read has as many partitions as what is read with it.
                self._cluster.create(ran.outputs(), self.settings.partitions)
            self._instances = [
                self._instance(guard, self.tested, str(n)) for n in range(1, self.settings.instances + 1)
            ]
            ending.callback(self._kill_all)
            self._break_and_mend()
            self._judge(guard)
            self.report.seconds = round(time.monotonic() - began, 1)
        return self.report

    def remove(self) -> None:
        """Take what the run made off the cluster; what it does not let go is named."""
        applications = [self.tested.application_id, self.reference.application_id]
        session = self.settings.session_timeout_ms / 1000
        try:
            self._cluster.remove(self.name, applications, session + REMOVE_SECONDS)
        except (BrokerUnavailable, KafkaException) as error:
            self._say(f"topics and groups of {self.name} are left on the cluster: {error}")

    def _kill_all(self) -> None:
        for instance in self._instances:
            instance.kill()

    # -- the parts of the run ---------------------------------------------------------------------------------------------

    def _break_and_mend(self) -> None:
        for instance in self._instances:
            instance.start()
        left = iter(self._records)
        share = max(1, len(self._records) // (len(self.plan) + 2))
        self._feed(islice(left, share))
        self._until(self._has_committed, "the first commit")
        began = time.monotonic()
        counts: Counter[str] = Counter()
        for fault in self.plan:
            if self.settings.duration is not None and time.monotonic() - began > self.settings.duration:
                break
            self._pass(fault.after, list(islice(left, share)))
            self._break(fault)
            counts[fault.kind] += 1
            self.report.faults_under_load += self._is_behind()
        self.report.faults = dict(sorted(counts.items()))
        self._feed(left)
        while self._broken:
            self._pass(POLL_SECONDS)
        self._mended_at = time.monotonic()

    def _judge(self, guard: Guard) -> None:
        caught_up = self._until(self._is_caught_up, "the end of the input")
        self.report.caught_up_seconds = round(time.monotonic() - self._mended_at, 1) if caught_up else None
        for instance in self._instances:
            self._stop(instance)
        # Alone and without a fault it goes on until nothing is left, in repartition topics too.
        last = self._instances[0] = self._instance(guard, self.tested, "1", "--stop-when-caught-up")
        finished = self._finish(last, "the last instance")
        said = "; ".join(self._ended) or f"{self.settings.instances} instances, none ended by itself"
        self.report.checks = [
            Check("instances", caught_up and finished and not self._ended, said),
            Check("input delivered", not self._cluster.undelivered, f"{self._cluster.undelivered} records not taken"),
            chaos_verdict.input_is_processed(self._cluster, self.tested),
            chaos_verdict.stores_are_folds(self._cluster, self.tested, self._state_dirs()),
        ]
        undisturbed = self._instance(guard, self.reference, "reference", "--stop-when-caught-up")
        self._instances.append(undisturbed)
        if self._finish(undisturbed, "the reference run"):
            exact = self.settings.guarantee == EXACTLY_ONCE
            self.report.checks += chaos_verdict.as_without_faults(
                self._cluster, self.tested, self.reference, exact=exact
            )
        else:
            self.report.checks.append(Check("reference", holds=False, detail=self._ended[-1]))

    def _break(self, fault: Fault) -> None:
        self._say(f"{fault.kind} {'' if fault.kind in BROKER_FAULTS else fault.instance + 1} for {fault.lasts:.1f} s")
        if fault.kind in BROKER_FAULTS and self._broker is not None:
            self._broker.restart(hard=fault.kind == "broker-kill", away_seconds=fault.lasts)
            return
        instance = self._instances[fault.instance]
        self._mend(fault.instance)
        if fault.kind == "kill":
            instance.kill()
        elif fault.kind == "pause":
            instance.pause()
        else:
            self._stop(instance)
        self._broken[fault.instance] = (time.monotonic() + fault.lasts, fault.kind)

    def _pass(self, seconds: float, records: Sequence[Record] = ()) -> None:
        """Let time pass, and records arrive evenly meanwhile; mend what is due and note what ended by itself.

        Returns as the last of them has arrived: what breaks next breaks an instance at work.
        """
        began, fed = time.monotonic(), 0
        until = began + seconds
        while True:
            now = time.monotonic()
            due = len(records) if now >= until else int(len(records) * (now - began) / seconds)
            self._feed(records[fed:due])
            fed = due
            for number in [n for n, (due, _) in self._broken.items() if due <= now]:
                self._mend(number)
            self._note_ends()
            if now >= until:
                return
            time.sleep(min(POLL_SECONDS, until - now))

    def _mend(self, number: int) -> None:
        _, kind = self._broken.pop(number, (0.0, ""))
        if kind == "pause":
            self._instances[number].resume()
        elif kind:
            self._instances[number].start()

    def _note_ends(self) -> None:
        for number, instance in enumerate(self._instances):
            if number not in self._broken and not instance.alive:
                self._ended.append(
                    f"instance {number + 1} ended by itself with {instance.exit_code}: {instance.tail()}"
                )
                instance.start()

    def _stop(self, instance: Instance) -> None:
        began = time.monotonic()
        code = instance.stop(self.settings.stop_seconds)
        self.report.stop_seconds_max = max(self.report.stop_seconds_max, round(time.monotonic() - began, 1))
        if code is None:
            self._ended.append(f"{instance.log.stem} did not stop within {self.settings.stop_seconds:.0f} s")
        elif code not in STOPPED:
            self._ended.append(f"{instance.log.stem} stopped with {code}: {instance.tail()}")

    def _finish(self, instance: Instance, what: str) -> bool:
        instance.start()
        code = instance.wait(self.settings.settle)
        if code != 0:
            self._ended.append(f"{what} {'did not end' if code is None else f'ended with {code}'}: {instance.tail()}")
        return code == 0

    # -- what it is made of -----------------------------------------------------------------------------------------------

    def _input(self) -> Any:
        settings = self.settings
        if settings.input_file is not None:
            return self._inputs.of_file(settings.input_file)
        if settings.generate is not None:
            return self._inputs.of_function(settings.generate, settings.seed, settings.records)
        return self._inputs.made_up(settings.seed, settings.records)

    def _scratch(self, application_id: str) -> Scratch:
        return Scratch(self.settings.build, self._feeds, f"{application_id}.")

    def _ran(self, application_id: str) -> Ran:
        builder = StreamsBuilder()
        self._scratch(application_id).fill(builder)
        return Ran(application_id, builder.build())

    def _state_dirs(self) -> list[Path]:
        return [self.settings.folder / "state" / str(n) for n in range(1, self.settings.instances + 1)]

    def _instance(self, guard: Guard, ran: Ran, name: str, *more: str) -> Instance:
        settings = self.settings
        (settings.folder / "logs").mkdir(parents=True, exist_ok=True)
        connection = dict(settings.client)
        arguments = ["engine", "run", BUILD, "--application-id", ran.application_id]
        arguments += ["--bootstrap-servers", connection.pop("bootstrap.servers")]
        arguments += ["--state-dir", str(settings.folder / "state" / name), "--instance-id", f"{self.name}-{name}"]
        arguments += ["--session-timeout-ms", str(settings.session_timeout_ms), "--guarantee", settings.guarantee]
        if connection:
            arguments += ["--client-settings", ",".join(f"{k}={v}" for k, v in connection.items())]
        log = settings.folder / "logs" / f"instance-{name}.log"
        environment = self._scratch(ran.application_id).environment()
        return Instance(self._launch([*arguments, *settings.options, *more]), environment, log, guard)

    def _feed(self, records: Iterable[Record]) -> None:
        chunk: list[Record] = list(records)
        self.report.records += self._cluster.feed(self._feeds, chunk)

    def _until(self, holds: Callable[[], bool], what: str) -> bool:
        deadline = time.monotonic() + self.settings.settle
        while not holds():
            if time.monotonic() > deadline:
                self._ended.append(f"not within {self.settings.settle:.0f} s: {what}")
                return False
            self._pass(ASK_SECONDS)
        return True

    def _offsets(self) -> list[tuple[int, int]]:
        """Committed and end offset of every input partition."""
        found = []
        for topic in self.tested.topology.input_topics():
            ends = self._cluster.bounds(topic)
            committed = self._cluster.committed(self.tested.application_id, topic)
            found += [(committed[p], end) for p, (_, end) in ends.items()]
        return found

    def _has_committed(self) -> bool:
        try:
            return any(committed > 0 for committed, _ in self._offsets())
        except (BrokerUnavailable, KafkaException):
            return False

    def _is_behind(self) -> bool:
        """Whether some of the input is not committed yet; False too where the broker does not say."""
        try:
            return any(committed < end for committed, end in self._offsets())
        except (BrokerUnavailable, KafkaException):
            return False

    def _is_caught_up(self) -> bool:
        try:
            return all(max(committed, 0) >= end for committed, end in self._offsets())
        except (BrokerUnavailable, KafkaException):
            return False
