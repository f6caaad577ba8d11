"""The Processor API: a user's processor, fed record by record, and its window on the task.

What it forwards goes all the way down before `forward` returns, as in Kafka Streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from engine.errors import ConfigError, ProcessingError, StoreError
from engine.operators.context import Cancellable, NodeContext
from engine.operators.processor import Output, Processor, implements, is_decided
from engine.operators.read_only import ReadOnlyStore
from engine.records import Batch, Record, event_time
from engine.topology.callables import check_callable
from engine.topology.durations import to_ms
from engine.topology.processors import Process, PunctuationType, RecordMetadata, check_processor


class UserContext:
    """`engine.topology.processors.ProcessorContext`, over the node's own context."""

    def __init__(self, context: NodeContext, node: str, stores: tuple[str, ...], *, fixed_key: bool) -> None:
        self._context = context
        self._node = node
        self._stores = stores
        self._fixed_key = fixed_key
        self._record: Record | None = None
        self._batch: Batch | None = None
        self.application_id = context.application_id
        self.task_id = context.task_id
        self.record_metadata: RecordMetadata | None = None
        # Nothing below is there to take a record before the processor's `init` is over.
        self.ready = False

    def forward(
        self,
        record: Any = None,
        value: Any = None,
        timestamp: int | None = None,
        child: str | None = None,
        headers: Any = None,
    ) -> None:
        """See `ProcessorContext.forward`."""
        if not self.ready:
            raise StoreError(f"processor {self._node} forwards in init: forward from process, or from a punctuation")
        if isinstance(record, Record):
            key, value, timestamp, headers = record
        else:
            key = record
        if headers is not None and (self._record is None or headers is not self._record.headers):
            headers = _checked_headers(headers)
        elif not isinstance(record, Record) and self._record is not None:
            headers = self._record.headers
        timestamp = self._context.timestamp if timestamp is None else _forward_time(timestamp)
        if self._fixed_key and self._record is not None and key != self._record.key:
            raise StoreError(
                f"processor {self._node} forwards key {key!r} for a record with key {self._record.key!r}: process_values "
                "keeps keys; use process to change them"
            )
        source = self._batch
        out = Batch(
            [key],
            [value],
            [timestamp],
            headers=None if headers is None else [headers],
            topic=None if source is None else source.topic,
            offsets=None if source is None else source.offsets,
        )
        before, self._context.timestamp = self._context.timestamp, timestamp
        try:
            self._context.forward_now(out, self._place(child))
        finally:
            self._context.timestamp = before

    def _place(self, child: str | None) -> int | None:
        if child is None:
            return None
        try:
            return self._context.children.index(child)
        except ValueError:
            known = ", ".join(self._context.children) or "none"
            raise ConfigError(f"processor {self._node} has no child {child!r}; its children: {known}") from None

    def schedule(
        self,
        interval_ms: int | timedelta,
        kind: PunctuationType | str,
        callback: Callable[[int], None],
        start_ms: int | None = None,
    ) -> Cancellable:
        """See `ProcessorContext.schedule`."""
        check_callable(callback, "punctuation", "timestamp")

        def punctuate(time: int) -> None:
            before, self._context.timestamp = self._context.timestamp, time
            try:
                callback(time)
            except Exception as error:
                # User code may raise anything, and the handler decides; but for what was forwarded one below has decided.
                if is_decided(error) or isinstance(error, ProcessingError):
                    raise
                self._context.failed(Batch([None], [None], [time]), 0, error)
            finally:
                self._context.timestamp = before

        return self._context.schedule(
            to_ms(interval_ms, "ms", "schedule: the interval"), str(kind), punctuate, start_ms
        )

    def state_store(self, name: str) -> Any:
        """See `ProcessorContext.state_store`."""
        if name not in self._stores:
            raise StoreError(f"processor {self._node} is not connected to store {name!r}: name it in stores=[…]")
        store = self._context.store(name)
        return ReadOnlyStore(store) if store.spec.source_topic is not None else store

    def current_stream_time_ms(self) -> int:
        """See `ProcessorContext.current_stream_time_ms`."""
        return self._context.stream_time()

    def current_system_time_ms(self) -> int:
        """See `ProcessorContext.current_system_time_ms`."""
        return self._context.wall_clock()

    def commit(self) -> None:
        """See `ProcessorContext.commit`."""
        self._context.request_commit()

    # -- for the operator -------------------------------------------------------------------------------------------------

    def enter(self, batch: Batch, record: Record) -> None:
        """A record begins."""
        self._batch, self._record = batch, record
        self._context.timestamp = record.timestamp
        if batch.topic is not None:
            offset = batch.offsets[0] if batch.offsets else -1
            self.record_metadata = RecordMetadata(batch.topic, self._context.partition, offset)

    def leave(self) -> None:
        """The record is done."""
        self._batch = self._record = self.record_metadata = None


def _forward_time(given: Any) -> int:
    """A timestamp to forward with: not negative, as in Kafka Streams."""
    timestamp = event_time(given, "a record is forwarded at")
    if timestamp < 0:
        raise ValueError(f"a record is forwarded at {timestamp} ms: a timestamp cannot be negative")
    return timestamp


def _checked_headers(given: Any) -> list[tuple[str, bytes | None]]:
    """Headers to forward, which may be given as a dict too; text is as good as its UTF-8."""
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if not isinstance(pairs, (list, tuple)):
        raise TypeError(f"a record is forwarded with headers {given!r}: give a list of (name, bytes)")
    found = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):  # noqa: PLR2004 - a name and a value
            raise TypeError(f"a record is forwarded with header {pair!r}: give (name, bytes)")
        name, value = pair
        if isinstance(value, str):
            value = value.encode()
        if value is not None and not isinstance(value, bytes):
            raise TypeError(f"a record is forwarded with header {name!r} as {value!r}: give bytes")
        found.append((name, value))
    return found


@implements(Process)
class UserProcessor(Processor):
    """Runs a user's processor."""

    forwards_itself = True

    def init(self, context: NodeContext) -> None:
        """Make the user's processor and hand it its context."""
        super().init(context)
        operation: Process = self.operation
        self._user_context = UserContext(context, self.node.name, self.node.stores, fixed_key=operation.fixed_key)
        self._user: Any = check_processor(operation.supplier())
        self._user.init(self._user_context)
        self._user_context.ready = True

    def process(self, batch: Batch) -> Output:
        """Call the user's processor with each record; it forwards by itself."""
        headers = batch.headers or [None] * len(batch)
        before = self.context.timestamp
        for row, record in enumerate(map(Record, batch.keys, batch.values, batch.timestamps, headers)):
            self._user_context.enter(batch.row(row) if len(batch) > 1 else batch, record)
            try:
                self._user.process(record)
            except Exception as error:
                # User code may raise anything, and the handler decides; but for what was forwarded one below has decided.
                if is_decided(error) or isinstance(error, ProcessingError):
                    raise
                self.context.failed(batch, row, error)
            finally:
                self._user_context.leave()
        self.context.timestamp = before
        return None

    def close(self) -> None:
        """Close the user's processor."""
        close = getattr(self._user, "close", None)
        if close is not None:
            close()
