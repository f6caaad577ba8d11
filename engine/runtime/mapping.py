"""Which partition of the tasks topic stands for which task, published in that topic with the topology's hash.

Read and written at start, before the instance joins the group, and read again once it has: an instance with another
topology is refused by name instead of running tasks that mean something else. Any thread; it blocks.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, Producer, TopicPartition

from engine import broker_errors, names
from engine.changelog.topics import ANSWER_SECONDS, Topics
from engine.errors import BrokerUnavailable, Fatal, TopologyError
from engine.topology.checks import check_change, dropped_stores
from engine.topology.topology import Topology

KEY = b"mapping"
PARTITION = 0


@dataclass(frozen=True)
class TaskMapping:
    """`tasks[p]` is the id of the task that partition `p` of the tasks topic stands for; None for one that is gone."""

    hash: str
    tasks: tuple[str | None, ...]
    # The topology's stores as `Topology.to_json()` has them, so that a changed topology can be held against the last one.
    stores: list[dict[str, Any]] | None = field(default=None, compare=False)
    # Every internal topic that the application has had: what is its own, whatever others are called.
    topics: tuple[str, ...] | None = field(default=None, compare=False)
    # Stores of former topologies that this one lacks, described likewise: their changelogs exist, and a store that comes back
    # under such a name is restored from it.
    dropped: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    def task(self, partition: int) -> str | None:
        """The task of a partition; None for partitions that stand for nothing."""
        return self.tasks[partition] if partition < len(self.tasks) else None

    def owned(self, application_id: str) -> list[str]:
        """The internal topics that the application recorded as its own; of an old record, those of its stores."""
        if self.topics is not None:
            return list(self.topics)
        found = [names.changelog_topic(application_id, str(each.get("name"))) for each in self.stores or []]
        return sorted(found)


def extended(former: TaskMapping | None, topology_hash: str, tasks: list[str]) -> TaskMapping:
    """The mapping for `tasks`: those that `former` knows keep their partition, new ones follow.

    New ones go partition by partition and not sub-topology by sub-topology: assignors hand out neighbouring partitions of
    the tasks topic together, and the work of one sub-topology should not end up on one instance.
    """
    known = former.tasks if former else ()
    kept = [t if t in set(tasks) else None for t in known]
    new = sorted((t for t in tasks if t not in known), key=lambda t: [int(part) for part in reversed(t.split("_"))])
    return TaskMapping(topology_hash, (*kept, *new))


class MappingTopic:
    """The mapping record of an application."""

    def __init__(self, topics: Topics, client: Mapping[str, Any], application_id: str) -> None:
        self._topics = topics
        self._client = dict(client)
        self._application_id = application_id
        self.topic = names.tasks_topic(application_id)

    def agree(self, topology: Topology, tasks: list[str], topics: Iterable[str] = ()) -> TaskMapping:
        """The mapping to run by, published if it is new; `topics` are the internal topics of this topology.

        Raises TopologyError while members run another one, and for a change that would lose or misread state.
        """
        former = self.read()
        # Those of former topologies stay: they exist, and nobody else knows whose they are.
        owned = tuple(sorted({*topics, *(former.owned(self._application_id) if former else ())}))
        stores = topology.to_json()["stores"]
        dropped = dropped_stores((*former.dropped, *(former.stores or ())), stores) if former else ()
        wanted = replace(extended(former, topology.hash, tasks), stores=stores, topics=owned, dropped=tuple(dropped))
        if former == wanted and former.topics == owned:
            return wanted
        if former is not None and former != wanted:
            self._refuse_if_alive(former, topology.hash)
            if former.stores is not None:
                check_change({"stores": former.stores}, topology, former.dropped)
        self._write(wanted)
        return wanted

    def check(self, mapping: TaskMapping) -> None:
        """Raise TopologyError if another mapping was published meanwhile: two topologies started together."""
        now = self.read()
        if now is not None and now != mapping:
            raise TopologyError(self._refusal(now.hash, mapping.hash))

    def read(self) -> TaskMapping | None:
        """The newest mapping published; None when there is none."""
        place = (self.topic, PARTITION)
        if self.topic not in self._topics.partition_counts([self.topic]):
            return None
        begin, end = self._topics.begin_offsets([place])[place], self._topics.end_offsets([place])[place]
        if begin >= end:
            return None
        return _last_mapping(self._client, self.topic, begin, end)

    def _write(self, mapping: TaskMapping) -> None:
        failed: list[str] = []
        producer = Producer({**self._client, "enable.idempotence": True})
        producer.produce(
            self.topic,
            _text(mapping),
            KEY,
            PARTITION,
            lambda error, _: failed.append(error.str()) if error else None,
        )
        if producer.flush(ANSWER_SECONDS) > 0 or failed:
            raise BrokerUnavailable(f"the task mapping could not be written to {self.topic}: {failed or 'no answer'}")

    def _refuse_if_alive(self, former: TaskMapping, topology_hash: str) -> None:
        admin = self._topics.admin
        future = admin.describe_consumer_groups([self._application_id], request_timeout=ANSWER_SECONDS)
        try:
            group = future[self._application_id].result()
        except KafkaException as error:
            raise broker_errors.named(error, f"group {self._application_id} could not be described") from error
        if group.members and group.state not in {ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD}:
            raise TopologyError(self._refusal(former.hash, topology_hash))

    def _refusal(self, running: str, mine: str) -> str:
        return (
            f"application {self._application_id} runs with topology {running}, this instance has topology {mine}: stop "
            "all instances before starting a changed topology, or give this one another --application-id"
        )


def _last_mapping(client: Mapping[str, Any], topic: str, begin: int, end: int) -> TaskMapping | None:
    consumer = Consumer(
        {
            **client,
            "group.id": "statehouse-mapping",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
        }
    )
    place = TopicPartition(topic, PARTITION, begin)
    deadline = time.monotonic() + ANSWER_SECONDS
    found = None
    try:
        consumer.assign([place])
        while consumer.position([place])[0].offset < end:
            for message in consumer.consume(100, 0.2):
                if message.error() is None and message.key() == KEY and message.value():
                    found = message.value()
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"the task mapping in {topic} could not be read: are the brokers up?")
    finally:
        consumer.close()
    return _parse(found, topic) if found else None


def _text(mapping: TaskMapping) -> str:
    record = {"v": 1, "hash": mapping.hash, "tasks": mapping.tasks}
    return json.dumps({**record, "stores": mapping.stores, "topics": mapping.topics, "dropped": mapping.dropped})


def _parse(text: bytes, topic: str) -> TaskMapping:
    try:
        read = json.loads(text)
        tasks = tuple(None if t is None else str(t) for t in read["tasks"])
        topics = read.get("topics")
        owned = None if topics is None else tuple(str(t) for t in topics)
        return TaskMapping(str(read["hash"]), tasks, read.get("stores"), owned, tuple(read.get("dropped") or ()))
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(
            f"the task mapping in {topic} cannot be read ({error}): was it written by something else?"
        ) from error
