"""Foreign-key joins of tables, in four steps over two internal topics.

    left update ──> subscribe ──(registration topic, by foreign key)──> receive: keep it, answer from the right table ─┐
    right update ──────────────────────────────────────────────────> answer every subscription of the key ────────────┤
    result <── resolve: join, if the left row is still the one that asked <──(response topic, by primary key)──────────┘

Instructions, bytes and counts of dropped records are Kafka Streams' (SubscriptionSendProcessorSupplier and its kin).
"""

from __future__ import annotations

from typing import Any

from engine import serdes
from engine.operators.context import NodeContext
from engine.operators.processor import Output, Processor, implements
from engine.operators.views import Failed, open_view, rows_at
from engine.records import Batch
from engine.serdes.foreign_key import (
    Answer,
    Instruction,
    Subscription,
    digest,
    primary_key_of,
    subscription_prefix,
)
from engine.topology.join_operations import ForeignKeyAnswer, ForeignKeyReceive, ForeignKeyResolve, ForeignKeySubscribe

_DELETIONS = (Instruction.DELETE_KEY_NO_PROPAGATE, Instruction.DELETE_KEY_AND_PROPAGATE)


class _Rows:
    """Output rows, each with the input row that brought it about."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.timestamps: list[int] = []
        self.sources: list[int] = []

    def add(self, source: int, key: Any, value: Any, timestamp: int) -> None:
        self.keys.append(key)
        self.values.append(value)
        self.timestamps.append(timestamp)
        self.sources.append(source)

    def batch(self, of: Batch) -> Output:
        if not self.keys:
            return None
        headers, offsets = of.headers, of.offsets
        return Batch(
            self.keys,
            self.values,
            self.timestamps,
            headers=None if headers is None else [headers[s] for s in self.sources],
            topic=of.topic,
            offsets=None if offsets is None else [offsets[s] for s in self.sources],
        )


@implements(ForeignKeySubscribe)
class ForeignKeySubscribeProcessor(Processor):
    """Left side: an update becomes one or two subscriptions."""

    def process(self, batch: Batch) -> Output:
        """Say which right rows each left row is interested in now, and which no longer."""
        operation: ForeignKeySubscribe = self.operation
        out = _Rows()
        raw_keys = batch.serialized_keys(operation.key_serde)
        olds = batch.olds if batch.olds is not None else [None] * len(batch.keys)
        for row, (key, new, old) in enumerate(zip(batch.keys, batch.values, olds, strict=True)):
            if operation.versioned and batch.latest is not None and not batch.latest[row]:
                self.context.dropped(1, "out of order")
                continue
            try:
                old_foreign = None if old is None else operation.extractor(key, old)
                new_foreign = None if new is None else operation.extractor(key, new)
            except Exception as error:  # noqa: BLE001 - user code may raise anything; the handler decides
                self.context.failed(batch, row, error)
                continue
            raw_value = None if new is None else operation.value_serde.serialize(new)
            mark = digest(raw_value)
            instruct = self._left if operation.left else self._inner
            for foreign, instruction in instruct(old, new, old_foreign, new_foreign):
                subscription = Subscription(mark, instruction, raw_keys[row], self.context.partition)
                out.add(row, foreign, subscription, batch.timestamps[row])
        return out.batch(batch)

    def _changed(self, one: Any, other: Any) -> bool:
        serde = self.operation.foreign_key_serde
        return one is None or other is None or serde.serialize(one) != serde.serialize(other)

    def _left(self, old: Any, new: Any, old_foreign: Any, new_foreign: Any) -> list[tuple[Any, Instruction]]:
        if old is None and new is None:
            return []
        steps = []
        if old_foreign is not None and self._changed(old_foreign, new_foreign):
            steps.append((old_foreign, Instruction.DELETE_KEY_NO_PROPAGATE))
        # A deleted row and one without a foreign key subscribe to nothing, but need the answer to come out.
        return [*steps, (new_foreign, Instruction.PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE)]

    def _inner(self, _: Any, new: Any, old_foreign: Any, new_foreign: Any) -> list[tuple[Any, Instruction]]:
        if new is None or new_foreign is None:
            if new is not None:
                self.context.dropped(1, "null foreign key")
            return [] if old_foreign is None else [(old_foreign, Instruction.DELETE_KEY_AND_PROPAGATE)]
        if old_foreign is not None and self._changed(old_foreign, new_foreign):
            return [
                (old_foreign, Instruction.DELETE_KEY_NO_PROPAGATE),
                (new_foreign, Instruction.PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE),
            ]
        return [(new_foreign, Instruction.PROPAGATE_ONLY_IF_FK_VAL_AVAILABLE)]


@implements(ForeignKeyReceive)
class ForeignKeyReceiveProcessor(Processor):
    """Right side: keep or forget a subscription, and answer it."""

    def init(self, context: NodeContext) -> None:
        """Open the subscriptions and the right table."""
        super().init(context)
        self._subscriptions = context.store(self.operation.subscriptions)
        self._table = open_view(self.operation.table, context)

    def process(self, batch: Batch) -> Output:
        """Answer subscriptions from the right table, which no subscription changes."""
        operation: ForeignKeyReceive = self.operation
        out = _Rows()
        raw_keys = batch.serialized_keys(operation.foreign_key_serde)
        present = [row for row, key in enumerate(batch.keys) if key is not None]
        failed: Failed = {}
        rights = rows_at(present, self._table, batch.keys, raw_keys, failed)
        for row, (raw_key, subscription) in enumerate(zip(raw_keys, batch.values, strict=True)):
            if raw_key is None:
                if subscription.instruction is not Instruction.PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE:
                    self.context.dropped(1, "null foreign key")
                    continue
            else:
                gone = subscription.instruction in _DELETIONS
                kept = None if gone else (subscription, batch.timestamps[row])
                self.context.timestamp = batch.timestamps[row]
                self._subscriptions.write({subscription_prefix(raw_key) + subscription.primary_key: kept})
            if row in failed:
                # Kept all the same, as in Kafka Streams: only the answer is made by the step that failed.
                self.context.failed(batch, row, failed[row])
                continue
            self._answer(out, row, subscription, rights[row], batch.timestamps[row])
        return out.batch(batch)

    def _answer(
        self, out: _Rows, row: int, subscription: Subscription, right: tuple[Any, int] | None, timestamp: int
    ) -> None:
        instruction = subscription.instruction
        if instruction is Instruction.DELETE_KEY_NO_PROPAGATE:
            return
        if instruction is Instruction.PROPAGATE_ONLY_IF_FK_VAL_AVAILABLE and right is None:
            return
        value = None
        if right is not None:
            timestamp = max(timestamp, right[1])
            if instruction is not Instruction.DELETE_KEY_AND_PROPAGATE:
                value = self.operation.value_serde.serialize(right[0])
        out.add(row, subscription.primary_key, Answer(subscription.digest, value, subscription.partition), timestamp)


@implements(ForeignKeyAnswer)
class ForeignKeyAnswerProcessor(Processor):
    """Right side: an update of the right table goes to every left row that subscribed to its key."""

    def init(self, context: NodeContext) -> None:
        """Open the subscriptions."""
        super().init(context)
        self._subscriptions = context.store(self.operation.subscriptions)

    def process(self, batch: Batch) -> Output:
        """Answer every subscription of each key, in order of primary keys."""
        operation: ForeignKeyAnswer = self.operation
        out = _Rows()
        raw_keys = batch.serialized_keys(operation.foreign_key_serde)
        for row, (raw_key, value) in enumerate(zip(raw_keys, batch.values, strict=True)):
            late = operation.versioned and batch.latest is not None and not batch.latest[row]
            if raw_key is None or late:
                self.context.dropped(1, "null key or out of order")
                continue
            raw_value = None if value is None else operation.value_serde.serialize(value)
            with self._subscriptions.prefix_scan(subscription_prefix(raw_key), serdes.bytes) as found:
                for key, kept in found:
                    subscription = kept.value
                    answer = Answer(subscription.digest, raw_value, subscription.partition)
                    out.add(row, primary_key_of(key), answer, batch.timestamps[row])
        return out.batch(batch)


@implements(ForeignKeyResolve)
class ForeignKeyResolveProcessor(Processor):
    """Left side: an answer is joined with the row that asked, unless the row has changed since."""

    def init(self, context: NodeContext) -> None:
        """Open the left table."""
        super().init(context)
        self._table = open_view(self.operation.table, context)

    def process(self, batch: Batch) -> Output:
        """Join answers with the left rows as they are now."""
        operation: ForeignKeyResolve = self.operation
        out = _Rows()
        raw_keys = batch.keys
        keys = operation.key_serde.deserialize_many(raw_keys)
        failed: Failed = {}
        lefts = self._table.rows(keys, raw_keys, failed)
        for row, (key, answer, left) in enumerate(zip(keys, batch.values, lefts, strict=True)):
            if row in failed:
                self.context.failed(batch, row, failed[row])
                continue
            raw_left = None if left is None else operation.value_serde.serialize(left[0])
            if digest(raw_left) != answer.digest:
                continue
            result = None
            if answer.value is not None or (operation.left and left is not None):
                right = None if answer.value is None else operation.right_serde.deserialize(answer.value)
                try:
                    result = operation.joiner(key, None if left is None else left[0], right)
                except Exception as error:  # noqa: BLE001 - user code may raise anything; the handler decides
                    self.context.failed(batch, row, error)
                    continue
            out.add(row, key, result, batch.timestamps[row])
        return out.batch(batch)
