"""Topics that the engine needs: which are there, creating the internal ones, refusing those that do not fit.

Called at start by the composition root, before anything consumes. Every call blocks for at most `ANSWER_SECONDS` and
may be made from any thread.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition

# Re-exported by the package without saying so, hence the ignore.
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from engine import broker_errors
from engine.broker_errors import MissingTopic
from engine.errors import BrokerUnavailable, TopologyError

log = logging.getLogger(__name__)

# How long an administrative request may take: brokers that are slower are in trouble.
ANSWER_SECONDS = 30.0
# How long a question about offsets may take before it is asked again. An answer that was lost with its connection, or
# swallowed on its way, never comes, and whoever asks holds up a task's start.
QUESTION_SECONDS = 5.0
RETRY_SECONDS = 0.1
RENEW_SECONDS = 2.0


@dataclass(frozen=True)
class InternalTopic:
    """A topic that the engine owns; `partitions` is what it must have."""

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)
    grows: bool = False


@dataclass(frozen=True)
class Deletion:
    """DeleteRecords of one partition, under way: `future` raises a KafkaException where it was not done.

    It ends within `ANSWER_SECONDS`, as long as `client` is held.
    """

    offset: int
    future: Future[Any]
    client: AdminClient


class Topics:
    """Questions and orders to the cluster about topics. Any thread.

    `admin` may be replaced at any time, and the futures of a client that is gone never end: whoever waits for one holds
    the client until then.
    """

    def __init__(self, client: Mapping[str, Any], replication_factor: int = -1) -> None:
        self.client: dict[str, Any] = dict(client)
        self.admin = AdminClient(self.client)
        self.replication_factor = replication_factor

    def reach(self, seconds: float) -> None:
        """Return once a broker answers; raises BrokerUnavailable when none does within so many seconds."""
        try:
            self.admin.list_topics(timeout=seconds)
        except KafkaException as error:
            raise broker_errors.named(error, f"no broker answers at {self.client['bootstrap.servers']}") from error

    def partition_counts(self, names: Iterable[str]) -> dict[str, int]:
        """Partitions of each of the topics that exist; raises BrokerUnavailable when the cluster does not answer."""
        wanted = sorted(set(names))
        if not wanted:
            return {}
        found = {}
        admin = self.admin
        futures = admin.describe_topics(TopicCollection(wanted), request_timeout=ANSWER_SECONDS)
        for name, future in futures.items():
            try:
                found[name] = len(future.result().partitions)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise broker_errors.named(error, f"topic {name} could not be described") from error
        return found

    def ensure(self, topics: Iterable[InternalTopic]) -> list[str]:
        """Create the internal topics that are missing and check the others; returns the names of those created.

        Raises TopologyError when one exists with another partition count: its records lie in other partitions than
        the tasks would look for them in.
        """
        wanted = {t.name: t for t in topics}
        have = self.partition_counts(wanted)
        missing = [t for name, t in wanted.items() if name not in have]
        self._create(missing)
        for name, count in have.items():
            topic = wanted[name]
            if topic.grows and count < topic.partitions:
                self._grow(topic)
            elif not topic.grows and count != topic.partitions:
                raise TopologyError(
                    f"internal topic {name} has {count} partitions, the topology needs {topic.partitions}: its input "
                    "topics or its partition count changed. Restore the former count, or reset the application"
                )
        return [t.name for t in missing]

    def _create(self, topics: list[InternalTopic]) -> None:
        if not topics:
            return
        new = [NewTopic(t.name, t.partitions, self.replication_factor, config=dict(t.settings)) for t in topics]
        admin = self.admin
        futures = admin.create_topics(new, operation_timeout=ANSWER_SECONDS, request_timeout=ANSWER_SECONDS)
        for name, future in futures.items():
            try:
                future.result()
            except KafkaException as error:
                # Another instance that starts at the same moment creates the same topics.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise broker_errors.named(error, f"internal topic {name} could not be created") from error

    def _grow(self, topic: InternalTopic) -> None:
        admin = self.admin
        future = admin.create_partitions([NewPartitions(topic.name, topic.partitions)])[topic.name]
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.INVALID_PARTITIONS:
                raise broker_errors.named(
                    error, f"topic {topic.name} could not get {topic.partitions} partitions"
                ) from error

    def settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings in force of each topic."""
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in sorted(set(names))]
        if not resources:
            return {}
        found = {}
        admin = self.admin
        for resource, future in admin.describe_configs(resources, request_timeout=ANSWER_SECONDS).items():
            try:
                found[resource.name] = {name: entry.value for name, entry in future.result().items()}
            except KafkaException as error:
                raise broker_errors.named(error, f"the settings of topic {resource.name} could not be read") from error
        return found

    def offsets(
        self, partitions: Iterable[tuple[str, int]], spec: OffsetSpec, *, committed_only: bool = False
    ) -> dict[tuple[str, int], int]:
        """First or last offsets, as `spec` asks; raises BrokerUnavailable when the cluster does not answer.

        Last offsets are high watermarks, or with `committed_only` last stable offsets.
        """
        asked = {TopicPartition(topic, partition): spec for topic, partition in partitions}
        if not asked:
            return {}
        deadline = time.monotonic() + ANSWER_SECONDS
        renew_at = time.monotonic() + RENEW_SECONDS
        while True:
            try:
                return self._offsets(asked, committed_only=committed_only)
            except (BrokerUnavailable, MissingTopic) as error:
                # A topic made a moment ago has no leader yet, or is not known everywhere.
                now = time.monotonic()
                if now > deadline:
                    raise
                log.debug("%s; asking again", error)
                if now > renew_at:
                    # A client can hold on to the answer that a topic is unknown: a new one asks afresh.
                    self.admin = AdminClient(self.client)
                    renew_at = now + RENEW_SECONDS
                time.sleep(RETRY_SECONDS)

    def _offsets(
        self, asked: Mapping[TopicPartition, OffsetSpec], *, committed_only: bool
    ) -> dict[tuple[str, int], int]:
        isolation = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        admin = self.admin
        futures = admin.list_offsets(dict(asked), isolation_level=isolation, request_timeout=QUESTION_SECONDS)
        found = {}
        for place, future in futures.items():
            what = f"the offsets of {place.topic}-{place.partition} could not be read"
            try:
                offset = future.result().offset
            except KafkaException as error:
                # The future keeps the error, whose traceback has this frame: in that circle the client would stay.
                raise broker_errors.named(error, what) from error.with_traceback(None)
            if offset == OFFSET_INVALID:
                # What the client says, and without an error, of a leader that did not answer in time.
                raise BrokerUnavailable(f"{what}: its leader does not answer. Check the brokers")
            found[place.topic, place.partition] = offset
        return found

    def begin_offsets(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """First offset of each partition."""
        return self.offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def end_offsets(
        self, partitions: Iterable[tuple[str, int]], *, committed_only: bool = False
    ) -> dict[tuple[str, int], int]:
        """High watermark of each partition, or its last stable offset."""
        return self.offsets(partitions, OffsetSpec.latest(), committed_only=committed_only)  # type: ignore[no-untyped-call]

    def delete_before(self, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], Deletion]:
        """Delete the records below an offset of each partition (DeleteRecords); a partition that fails is left as it is.

        Returns without waiting: each partition's `Deletion` tells whether it was done.
        """
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        if not places:
            return {}
        admin = self.admin
        futures = admin.delete_records(places, request_timeout=ANSWER_SECONDS)
        return {(p.topic, p.partition): Deletion(p.offset, futures[p], admin) for p in places}
