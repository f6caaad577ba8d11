"""Where records come in: bytes to values, event times, and the stores of global tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine import serdes
from engine.errors import Fatal, RebuildTask, Retry, StopEngine
from engine.operators import changed
from engine.operators.context import NodeContext
from engine.operators.processor import Output, Processor, implements
from engine.records import Batch, RawBatch, Record, Tombstone, event_time
from engine.topology.operations import GlobalSource, Source

# Told of a row that cannot be read, and why.
Refuse = Callable[[RawBatch, int, Exception], None]


class Reader:
    """Decodes what comes from topics, and remembers the highest event time of each (its partition time)."""

    def __init__(self, operation: Source | GlobalSource, context: NodeContext) -> None:
        self._context = context
        self._extractor = operation.timestamp_extractor
        self._change_format = getattr(operation, "change_format", False)
        self._key_serde = operation.key_serde or serdes.bytes
        self._value_serde = operation.value_serde or serdes.bytes
        self._by_topic: dict[str, tuple[Any, Any]] = {}
        self.partition_time: dict[str, int] = {}

    def decode(self, raw: RawBatch, refused: Refuse) -> tuple[Batch, list[int]]:
        """The records of `raw` that could be read, and their offsets. Raises what `refused` raises for the others.

        A serde that cannot tell yet (its registry is down) raises Retry: no record is at fault, decode the same again later.
        """
        key_serde, value_serde = self._serdes(raw.topic)
        try:
            batch = self._batch(raw, key_serde, value_serde)
        except (Retry, RebuildTask, StopEngine):
            raise
        except Exception:  # noqa: BLE001 - a serde of the user's may raise anything; the rows say which one it was
            raw, batch = self._by_row(raw, key_serde, value_serde, refused)
        if self._extractor is not None:
            batch = self._extract(raw, batch, refused)
        if batch.keys and min(batch.timestamps) < 0:
            kept = [row for row, timestamp in enumerate(batch.timestamps) if timestamp >= 0]
            self._context.dropped(len(batch) - len(kept), "negative timestamp")
            batch = batch.take(kept)
        return batch, batch.offsets or []

    def _serdes(self, topic: str) -> tuple[Any, Any]:
        found = self._by_topic.get(topic)
        if found is None:
            found = (self._key_serde.for_topic(topic, True), self._value_serde.for_topic(topic, False))  # noqa: FBT003 - "is it the key?"
            self._by_topic[topic] = found
        return found

    def _batch(self, raw: RawBatch, key_serde: Any, value_serde: Any) -> Batch:
        olds = None
        if self._change_format:
            pairs = [changed.decode(value) if value is not None else (None, None) for value in raw.values]
            values = value_serde.deserialize_many([new for new, _ in pairs])
            olds = value_serde.deserialize_many([old for _, old in pairs])
        else:
            values = value_serde.deserialize_many(raw.values)
        return Batch(
            key_serde.deserialize_many(raw.keys),
            values,
            raw.timestamps,
            olds,
            headers=raw.headers,
            raw_keys=raw.keys,
            key_serde=key_serde,
            topic=raw.topic,
            offsets=raw.offsets,
        )

    def _by_row(self, raw: RawBatch, key_serde: Any, value_serde: Any, refused: Refuse) -> tuple[RawBatch, Batch]:
        """Find the rows that cannot be read, tell them, and decode the rest."""
        kept = []
        for row in range(len(raw.keys)):
            try:
                self._batch(_rows(raw, [row]), key_serde, value_serde)
            except (Retry, RebuildTask, StopEngine):
                raise
            except Exception as error:  # noqa: BLE001 - a handler decides about whatever a serde raises
                refused(raw, row, error)
            else:
                kept.append(row)
        raw = _rows(raw, kept)
        return raw, self._batch(raw, key_serde, value_serde)

    def _extract(self, raw: RawBatch, batch: Batch, refused: Refuse) -> Batch:
        extractor: Any = self._extractor
        time = self.partition_time.get(raw.topic, -1)
        timestamps, kept = [], []
        headers = batch.headers or [None] * len(batch)
        for row, record in enumerate(map(Record, batch.keys, batch.values, batch.timestamps, headers)):
            try:
                extracted = event_time(extractor(record, time), "the timestamp extractor gave")
            except Exception as error:  # noqa: BLE001 - user code may raise anything; the handler decides
                refused(raw, row, error)
                continue
            kept.append(row)
            timestamps.append(extracted)
            time = max(time, extracted)
        self.partition_time[raw.topic] = time
        batch = batch if len(kept) == len(batch) else batch.take(kept)
        batch.timestamps = timestamps
        return batch


def _rows(raw: RawBatch, rows: list[int]) -> RawBatch:
    return RawBatch(
        raw.topic,
        raw.partition,
        [raw.offsets[row] for row in rows],
        [raw.keys[row] for row in rows],
        [raw.values[row] for row in rows],
        [raw.timestamps[row] for row in rows],
        None if raw.headers is None else [raw.headers[row] for row in rows],
    )


@implements(Source)
class SourceProcessor(Processor):
    """Decodes batches of its topics, and hands decoded ones on."""

    def init(self, context: NodeContext) -> None:
        """Make the reader."""
        super().init(context)
        self.reader = Reader(self.operation, context)

    def process(self, batch: Batch) -> Output:
        """Nothing is left to do."""
        return batch


class GlobalReader(Reader):
    """The reader of a global table's topic."""

    def decode(self, raw: RawBatch, refused: Refuse) -> tuple[Batch, list[int]]:
        """See `Reader`."""
        with _nothing_left_out(raw.topic):
            return super().decode(raw, refused)


@contextmanager
def _nothing_left_out(topic: str) -> Iterator[None]:
    """Raise Fatal for what could be taken later: nobody rewinds a global topic, so the table would lack it unseen."""
    try:
        yield
    except Retry as error:
        raise Fatal(
            f"global table of topic {topic}: {error}. Start again: global tables are rebuilt at each start"
        ) from error


@implements(GlobalSource)
class GlobalSourceProcessor(Processor):
    """Fills a global table's store. Runs beside the tasks, once an instance."""

    def init(self, context: NodeContext) -> None:
        """Make the reader and take the store."""
        super().init(context)
        self.reader = GlobalReader(self.operation, context)
        self._store = context.store(self.operation.store)

    def process(self, batch: Batch) -> Output:
        """Write the batch's last value of each key; records without a key are dropped."""
        with _nothing_left_out(self.operation.topic):
            self._write(batch)
        return None

    def _write(self, batch: Batch) -> None:
        keys = batch.serialized_keys(self._store.key_serde)
        updates: dict[bytes, Any] = {
            key: Tombstone(timestamp) if value is None else (value, timestamp)
            for key, value, timestamp in zip(keys, batch.values, batch.timestamps, strict=True)
            if key is not None
        }
        if None in keys:
            self.context.dropped(keys.count(None), "null key")
        self._store.write(updates)
