"""Where records go out: values to bytes, topic and partition, and the task's collector."""

from __future__ import annotations

from operator import index
from typing import Any

from engine import serdes
from engine.errors import RebuildTask, Retry, SerializationError, StopEngine
from engine.names import check_topic
from engine.operators import changed
from engine.operators.context import NodeContext
from engine.operators.processor import Output, Processor, apply_each, implements
from engine.partitioning import partition_for
from engine.records import Batch
from engine.topology.operations import Sink


@implements(Sink)
class SinkProcessor(Processor):
    """Serialises a batch and hands it to the collector; murmur2 of the key places it unless something else does."""

    def init(self, context: NodeContext) -> None:
        """Resolve the topic's name and its serdes."""
        super().init(context)
        operation: Sink = self.operation
        self._topic: str | None = None
        if isinstance(operation.topic, str):
            self._topic = context.topic_name(operation.topic, internal=operation.internal)
        self._serdes: dict[str, tuple[Any, Any]] = {}

    def process(self, batch: Batch) -> Output:
        """Send the records, in order."""
        if self._topic is not None:
            self._send(self._topic, batch)
            return None
        topics, skipped = apply_each(
            self._named, lambda row, error: self.context.failed(batch, row, error), batch.keys, batch.values
        )
        rows = batch.others(skipped)
        start = 0
        # Runs of one topic go together: the order across topics stays the records' own.
        for end in range(1, len(rows) + 1):
            if end == len(rows) or topics[rows[end]] != topics[rows[start]]:
                self._send(topics[rows[start]], batch.take(rows[start:end]))
                start = end
        return None

    def _named(self, key: Any, value: Any) -> str:
        topic: Any = self.operation.topic
        found = topic(key, value)
        return found if found in self._serdes else check_topic(found)

    def _send(self, topic: str, batch: Batch) -> None:
        key_serde, value_serde = self._serdes_of(topic)
        try:
            keys, values = self._encode(batch, key_serde, value_serde)
        except (Retry, RebuildTask, StopEngine):
            raise  # no record is at fault
        except Exception:  # noqa: BLE001 - a serde of the user's may raise anything; the rows say which one it was
            batch = self._writable(batch, key_serde, value_serde)
            keys, values = self._encode(batch, key_serde, value_serde)
        if not batch.keys:
            return
        partitions, skipped = self._partitions(topic, batch, key_serde)
        if skipped:
            rows = batch.others(skipped)
            batch = batch.take(rows)
            keys, values, partitions = ([column[row] for row in rows] for column in (keys, values, partitions or ()))
        self.context.send(topic, keys, values, batch.timestamps, batch.headers, partitions)

    def _serdes_of(self, topic: str) -> tuple[Any, Any]:
        found = self._serdes.get(topic)
        if found is None:
            operation: Sink = self.operation
            key_serde, value_serde = operation.key_serde or serdes.bytes, operation.value_serde or serdes.bytes
            found = (key_serde.for_topic(topic, True), value_serde.for_topic(topic, False))  # noqa: FBT003 - "is it the key?"
            self._serdes[topic] = found
        return found

    def _encode(self, batch: Batch, key_serde: Any, value_serde: Any) -> tuple[list[Any], list[Any]]:
        keys = batch.serialized_keys(key_serde)
        values = value_serde.serialize_many(batch.values)
        if self.operation.change_format:
            olds = value_serde.serialize_many(batch.olds or [None] * len(batch))
            values = list(map(changed.encode, values, olds))
        return keys, values

    def _writable(self, batch: Batch, key_serde: Any, value_serde: Any) -> Batch:
        """The batch without the rows that cannot be written and that the handler lets go."""
        kept = []
        for row in range(len(batch)):
            try:
                self._encode(batch.row(row), key_serde, value_serde)
            except (Retry, RebuildTask, StopEngine):
                raise
            except Exception as error:  # noqa: BLE001 - the handler decides about whatever a serde raises
                self.context.unwritable(batch, row, self._explained(error))
            else:
                kept.append(row)
        return batch.take(kept)

    def _explained(self, error: Exception) -> Exception:
        """The error, with what to do when it is only that nobody said how to write."""
        if self.operation.key_serde is not None and self.operation.value_serde is not None:
            return error
        hint = "neither this sink nor what feeds it says how keys and values are written: pass Produced(key, value)"
        return SerializationError(f"{error}; {hint}")

    def _partitions(self, topic: str, batch: Batch, key_serde: Any) -> tuple[list[int | None] | None, list[int]]:
        """Partitions that murmur2 of the whole key does not give: a user's own, and those of windowed keys.

        Also the rows that the user's partitioner has no place for and that the handler lets go.
        """
        partitioner = self.operation.partitioner
        if partitioner is not None:
            count = self.context.partitions_of(topic)

            def place(key: Any, value: Any) -> int | None:
                return _checked(partitioner(topic, key, value, count), topic, count)

            return apply_each(
                place, lambda row, error: self.context.failed(batch, row, error), batch.keys, batch.values
            )
        inner = getattr(key_serde, "inner", None)
        if inner is None:
            return None, []
        # All windows of a key belong to the partition of the key itself, as Kafka Streams' own partitioner has it.
        count = self.context.partitions_of(topic)
        placed = [
            None if key is None else partition_for(inner.serialize(getattr(key, "key", key)), count)
            for key in batch.keys
        ]
        return placed, []


def _checked(partition: Any, topic: str, count: int) -> int | None:
    """What a partitioner gave, if it is a partition of the topic, or None for that of the key."""
    if partition is None:
        return None
    if (found := index(partition)) not in range(count):
        # The client takes -1 for "any", and then a key's records would be in all partitions.
        raise ValueError(f"the partitioner gave partition {found} of topic {topic}, which has 0 to {count - 1}")
    return found
