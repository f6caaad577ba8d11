"""The member of the group that this instance is: it subscribes to the tasks topic, and Kafka says which tasks it has.

Owner: the loop; the callbacks run on its thread, inside `consumer.poll`. They do little: a task that is given is noted,
one that is taken is committed and closed before the callback returns, because after it another member may start it.
Nothing is restored here. An exception within a callback would be lost in C code, so it is kept and raised after the poll.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from engine.errors import StatehouseError
from engine.runtime.mapping import TaskMapping


class Listener(Protocol):
    """Who runs the tasks."""

    def tasks_assigned(self, tasks: list[str]) -> None:
        """These are ours from now on."""

    def tasks_revoked(self, tasks: list[str]) -> None:
        """These go to another member when this returns: commit and close them."""

    def tasks_lost(self, tasks: list[str]) -> None:
        """Others may have these already: close them without committing."""


class Membership:
    """The group member's side of task assignment. `tasks` are those assigned now."""

    def __init__(self, topic: str, mapping: TaskMapping, listener: Listener) -> None:
        self.topic = topic
        self.mapping = mapping
        self.tasks: set[str] = set()
        self.joined = False
        self.member_id: str | None = None
        self.rebalances_total = 0
        self._listener = listener
        self._failure: Exception | None = None
        self._client: Consumer

    def client(self, settings: Mapping[str, Any]) -> Consumer:
        """Make the client, which is no member yet."""
        self._client = Consumer(dict(settings))
        return self._client

    def join(self) -> None:
        """Subscribe; the group answers during later polls."""
        self._client.subscribe(
            [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def raise_failure(self) -> None:
        """Raise what went wrong within a callback; called after each poll."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = True
        self.member_id = client.memberid() or None
        self.rebalances_total += 1
        try:
            # Nothing is to be read there: assigning the partitions is how the protocol is answered.
            client.incremental_assign([TopicPartition(p.topic, p.partition, OFFSET_END) for p in partitions])
            given = self._named(partitions)
            self.tasks.update(given)
            self._listener.tasks_assigned(given)
        except (StatehouseError, KafkaException) as error:
            self._failure = error

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances_total += 1
        taken = self._named(partitions)
        try:
            self._listener.tasks_revoked(taken)
        except (StatehouseError, KafkaException) as error:
            self._failure = error
        self._leave(client, partitions, taken)

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances_total += 1
        taken = self._named(partitions)
        try:
            self._listener.tasks_lost(taken)
        except (StatehouseError, KafkaException) as error:
            self._failure = error
        self._leave(client, partitions, taken)

    def _leave(self, client: Consumer, partitions: list[TopicPartition], taken: list[str]) -> None:
        self.tasks.difference_update(taken)
        try:
            client.incremental_unassign(partitions)
        except KafkaException as error:
            self._failure = self._failure or error

    def _named(self, partitions: list[TopicPartition]) -> list[str]:
        found = (self.mapping.task(p.partition) for p in partitions)
        return [task for task in found if task is not None]
