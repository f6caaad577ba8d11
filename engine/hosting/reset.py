"""Reset of an application: its offsets, internal topics, local state and status records, and nobody else's.

`plan` looks and changes nothing; `carry_out` does exactly what the plan lists, and a reset that was cut off is done by
running it again. What belongs to the application is what it recorded itself, in its tasks topic: a name that begins
like the application's proves nothing, for `my-app-v1` begins like `my-app`. Called by `manage.py engine reset`.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from engine import broker_errors
from engine.changelog.topics import ANSWER_SECONDS, Topics
from engine.control import application_records
from engine.errors import ConfigError
from engine.names import check_name
from engine.runtime.mapping import MappingTopic
from engine.runtime.record_queue import Place
from engine.runtime.state_directory import StateDirectory

log = logging.getLogger(__name__)

TASKS_SUFFIX = "-tasks"
GONE = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND}


class ResetRefused(ConfigError):
    """The application cannot be reset now, or it cannot be told what is its own: nothing was changed."""


@dataclass(frozen=True)
class Start:
    """Where input begins after the reset: `default` leaves it to the engine's `offset_reset`."""

    kind: str = "default"  # default, earliest, latest, offset
    offset: int = 0


@dataclass(frozen=True)
class Plan:
    """What a reset changes, in words and in full."""

    application_id: str
    group: bool  # whether there are committed offsets
    offsets: Mapping[Place, int] = field(default_factory=dict)  # where inputs will begin; empty: by offset_reset
    topics: tuple[str, ...] = ()
    directories: tuple[Path, ...] = ()
    status_keys: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line a change, the same for a dry run and for the deed."""
        found = [f"delete the committed offsets of group {self.application_id}"] if self.group else []
        found += [f"delete topic {topic}" for topic in self.topics]
        found += [f"delete directory {directory}" for directory in self.directories]
        if self.status_keys:
            found.append(f"take {len(self.status_keys)} records off the status topic")
        found += [f"begin {t}-{p} at offset {offset}" for (t, p), offset in sorted(self.offsets.items())]
        return found


class Reset:
    """One application's reset. `state_dirs` are the `--state-dir`s of its instances on this host."""

    def __init__(self, client: Mapping[str, Any], application_id: str, state_dirs: Iterable[Path] = ()) -> None:
        self._client = dict(client)
        self._topics = Topics(client)
        self._application_id = check_name(application_id, "application id")
        self._state_dirs = [
            found for given in state_dirs for found in _instance_directories(Path(given), application_id)
        ]

    # -- looking ------------------------------------------------------------------------------------------------------

    def plan(self, start: Start = Start(), input_topics: Iterable[str] = ()) -> Plan:
        """What a reset would change. Raises ResetRefused while members live, or where ownership is not certain."""
        self._refuse_if_alive()
        mapping = MappingTopic(self._topics, self._client, self._application_id)
        every = set(self._topics.admin.list_topics(timeout=ANSWER_SECONDS).topics)
        recorded = mapping.read() if mapping.topic in every else None
        if recorded is None:
            raise ResetRefused(
                f"no application {self._application_id} has ever run on this cluster (there is no record in "
                f"{mapping.topic}): is the application id right?"
            )
        own = {*recorded.owned(self._application_id), mapping.topic}
        self._refuse_shared(own, every)
        committed = self._committed()
        inputs = self._inputs({t for t, _ in committed} - own, set(input_topics), every, own)
        return Plan(
            self._application_id,
            bool(committed),
            self._starts(start, inputs),
            # The record of what is whose goes last: a reset that is cut off can be run again.
            (*sorted((own & every) - {mapping.topic}), mapping.topic),
            tuple(d / self._application_id for d in self._state_dirs),
            tuple(application_records.keys(self._client, self._application_id)),
        )

    def _refuse_if_alive(self) -> None:
        admin = self._topics.admin
        future = admin.describe_consumer_groups([self._application_id], request_timeout=ANSWER_SECONDS)
        try:
            members = future[self._application_id].result().members
        except KafkaException as error:
            if error.args[0].code() in GONE:
                return
            raise broker_errors.named(error, f"group {self._application_id} could not be described") from error
        if members:
            hosts = sorted({str(member.host) for member in members})
            raise ResetRefused(
                f"application {self._application_id} has {len(members)} live members (on {', '.join(hosts)}): stop all "
                "instances first. One that died counts until its session timeout"
            )

    def _refuse_shared(self, own: set[str], every: set[str]) -> None:
        """`my-app` with store `v1-x` and `my-app-v1` with store `x` would have the same changelog."""
        mine = self._application_id
        for topic in sorted(every):
            other = topic.removesuffix(TASKS_SUFFIX)
            near = other.startswith(f"{mine}-") or mine.startswith(f"{other}-")
            if not topic.endswith(TASKS_SUFFIX) or not near or topic in own:
                continue
            recorded = MappingTopic(self._topics, self._client, other).read()
            shared = own & set(recorded.owned(other)) if recorded is not None else set()
            if shared:
                raise ResetRefused(
                    f"topic {min(shared)} belongs to application {other} as well, by its own record: rename a store "
                    "of one of them, or delete by hand what is no longer needed"
                )

    def _committed(self) -> set[Place]:
        admin = self._topics.admin
        asked = ConsumerGroupTopicPartitions(self._application_id)
        try:
            found = admin.list_consumer_group_offsets([asked], request_timeout=ANSWER_SECONDS)
            answer = found[self._application_id].result()
        except KafkaException as error:
            if error.args[0].code() in GONE:
                return set()
            what = f"the offsets of group {self._application_id} could not be read"
            raise broker_errors.named(error, what) from error
        return {(p.topic, p.partition) for p in answer.topic_partitions}

    def _inputs(self, known: set[str], given: set[str], every: set[str], own: set[str]) -> set[str]:
        for topic in sorted(given):
            if topic not in every:
                raise ResetRefused(f"input topic {topic} does not exist")
            if topic in own:
                raise ResetRefused(f"{topic} is an internal topic of the application: it is deleted, and has no start")
        return given or known & every

    def _starts(self, start: Start, inputs: set[str]) -> dict[Place, int]:
        if start.kind == "default" or not inputs:
            return {}
        places = [(t, p) for t, n in self._topics.partition_counts(inputs).items() for p in range(n)]
        begins, ends = self._topics.begin_offsets(places), self._topics.end_offsets(places)
        if start.kind == "earliest":
            return begins
        if start.kind == "latest":
            return ends
        # As Kafka's own reset tool has it: an offset that a partition does not have becomes the nearest that it has.
        return {place: min(max(start.offset, begins[place]), ends[place]) for place in places}

    # -- doing --------------------------------------------------------------------------------------------------------

    def carry_out(self, plan: Plan) -> None:
        """Do what `plan` lists. Raises ResetRefused, with nothing changed, where a member has joined since the plan was made.

        Raises what stops it half-way too; running the reset again then does the rest.
        """
        with contextlib.ExitStack() as held:
            for directory in plan.directories:
                locked = StateDirectory(directory.parent, self._application_id)
                locked.lock()
                held.callback(locked.unlock)
            self._refuse_if_alive()
            # First, for the broker refuses it while a member lives: whoever joined a moment ago is safe too.
            if plan.group:
                self._delete_group()
            for directory in plan.directories:
                shutil.rmtree(directory)
                log.info("reset.directory_deleted application=%s directory=%s", plan.application_id, directory)
            *others, tasks = plan.topics
            self._delete_topics(others)
            application_records.remove(self._client, plan.status_keys)
            log.info("reset.status_cleared application=%s records=%d", plan.application_id, len(plan.status_keys))
            self._begin_at(plan.offsets)
            self._delete_topics([tasks])

    def _delete_group(self) -> None:
        admin = self._topics.admin
        future = admin.delete_consumer_groups([self._application_id], request_timeout=ANSWER_SECONDS)
        try:
            future[self._application_id].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.NON_EMPTY_GROUP:
                raise ResetRefused(
                    f"an instance of {self._application_id} has joined meanwhile: stop it first"
                ) from error
            if code not in GONE:
                raise broker_errors.named(error, f"group {self._application_id} could not be deleted") from error
        log.info("reset.offsets_deleted application=%s", self._application_id)

    def _delete_topics(self, topics: Iterable[str]) -> None:
        wanted = list(topics)
        if not wanted:
            return
        admin = self._topics.admin
        for topic, future in admin.delete_topics(wanted, operation_timeout=ANSWER_SECONDS).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() not in GONE:
                    raise broker_errors.named(error, f"topic {topic} could not be deleted") from error
            log.info("reset.topic_deleted application=%s topic=%s", self._application_id, topic)

    def _begin_at(self, offsets: Mapping[Place, int]) -> None:
        if not offsets:
            return
        places = [TopicPartition(t, p, offset) for (t, p), offset in offsets.items()]
        admin = self._topics.admin
        asked = ConsumerGroupTopicPartitions(self._application_id, places)
        try:
            answer = admin.alter_consumer_group_offsets([asked], request_timeout=ANSWER_SECONDS)
            done = answer[self._application_id].result().topic_partitions
        except KafkaException as error:
            raise broker_errors.named(error, "the new offsets could not be committed") from error
        for place in done:
            if place.error is not None:
                raise broker_errors.named(
                    place.error, f"the offset of {place.topic}-{place.partition} was not committed"
                )
        log.info("reset.offsets_set application=%s partitions=%d", self._application_id, len(places))


def _instance_directories(state_dir: Path, application_id: str) -> list[Path]:
    """The state directories with files of the application: the one given, and those of `--instances N` below it."""
    numbered = sorted(p for p in state_dir.iterdir() if p.name.isdigit()) if state_dir.is_dir() else []
    return [p for p in (state_dir, *numbered) if (p / application_id).is_dir()]
