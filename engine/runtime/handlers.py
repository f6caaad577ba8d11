"""What becomes of records that cannot be processed: stop, skip and count, or skip and send to a dead-letter topic.

Owner: the loop; its thread only. A dead letter goes through the task's producer, hence into the same transaction as the
offset that passes it: it is there exactly once. Header names are Kafka Streams' (KIP-1034).
"""

import traceback
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

from engine.config import EngineConfig
from engine.errors import Fatal, ProductionError
from engine.records import Batch, RawBatch
from engine.runtime.task import Collector

_PREFIX = "__streams.errors."
# A stack trace in a header costs every reader of the dead-letter topic: its end says enough.
STACKTRACE_CHARS_MAX = 4_000
MESSAGE_CHARS_MAX = 1_000


class PolicyHandlers:
    """Handlers by the configured policies; `skipped` and `dead_lettered` count since the start."""

    def __init__(self, config: EngineConfig, collector: Collector, report: Callable[[str], None]) -> None:
        self._config = config
        self._collector = collector
        self._report = report
        self.may_skip = config.processing_handler != "fail"
        self.skipped_total = 0
        self.dead_lettered_total = 0
        # What a dead letter of a record that was decoded is made of, oldest first; kept only where it may be needed.
        self._raw: dict[tuple[str, int], deque[RawBatch]] = {}
        self._keeps_raw = "dead-letter" in (config.processing_handler, config.production_handler)

    def received(self, raw: RawBatch, committed: int) -> None:
        """Raw records are about to be decoded and processed; those below offset `committed` are done with."""
        if self._keeps_raw:
            kept = self._raw.setdefault((raw.topic, raw.partition), deque())
            while kept and kept[0].offsets[-1] < committed:
                kept.popleft()
            if kept and kept[-1].offsets[-1] >= raw.offsets[0]:
                kept.clear()  # read again after an abort
            kept.append(raw)

    def _original(self, topic: str, partition: int, offset: int) -> tuple[RawBatch, int] | None:
        """The raw record at an offset, if it is still known; what lies before it has been processed."""
        kept = self._raw.get((topic, partition), deque())
        while kept and kept[0].offsets[-1] < offset:
            kept.popleft()
        if not kept:
            return None
        row = bisect_left(kept[0].offsets, offset)
        return (kept[0], row) if kept[0].offsets[row] == offset else None

    def deserialization(self, raw: RawBatch, row: int, error: Exception) -> None:
        """Bytes that the source's serde refused."""
        self._decide(self._config.deserialization_handler, "deserialization_handler", raw, row, error, "")

    def processing(self, task_id: str, node: str, batch: Batch, row: int, error: Exception) -> None:
        """User code raised."""
        raw, place = self._behind(task_id, batch, row)
        self._decide(self._config.processing_handler, "processing_handler", raw, place, error, f" in node {node}")

    def serialization(self, task_id: str, node: str, batch: Batch, row: int, error: Exception) -> None:
        """A sink's serde refused: the production handler's, as in Kafka Streams."""
        raw, place = self._behind(task_id, batch, row)
        self._decide(self._config.production_handler, "production_handler", raw, place, error, f" in node {node}")

    def production(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Any,
        error: ProductionError,
    ) -> None:
        """A topic does not take a record, which is in no transaction yet. Its dead letter is the record itself."""
        sizes = f"key of {len(key or b''):,} bytes, value of {len(value or b''):,} bytes, time {timestamp}"
        if topic == self._config.dead_letter_topic:
            self._shorten(key, value, timestamp, headers, error)
            return
        policy = self._config.production_handler
        if policy == "fail":
            raise Fatal(
                f"topic {topic} does not take a record ({sizes}): {error}. Change the topic's settings or what is "
                "written, or set production_handler to 'skip' or 'dead-letter'"
            ) from error
        self.skipped_total += 1
        if policy == "dead-letter":
            facts = {"exception": _name(error), "message": str(error)[:MESSAGE_CHARS_MAX], "topic": topic}
            self._send_dead(key, value, timestamp, [*(headers or ()), *_headers(facts)])
            self.dead_lettered_total += 1
        self._report(f"skipped a record for topic {topic} ({sizes}): {error}")

    def _shorten(
        self, key: bytes | None, value: bytes | None, timestamp: int, headers: Any, error: ProductionError
    ) -> None:
        """The dead-letter topic does not take a dead letter either: it goes there without its value."""
        if value is None:
            raise Fatal(
                f"the dead-letter topic {self._config.dead_letter_topic} does not take a dead letter: {error}. Change the "
                "topic's settings"
            ) from error
        self._send_dead(key, None, timestamp, [*(headers or ()), *_headers({"value.bytes.left.out": str(len(value))})])

    def _behind(self, task_id: str, batch: Batch, row: int) -> tuple[RawBatch, int]:
        """The input record that a row of a batch came from, or as much of it as is known."""
        topic = batch.topic or "unknown"
        partition = int(task_id.partition("_")[2])
        offset = batch.offsets[row] if batch.offsets is not None else -1
        original = self._original(topic, partition, offset)
        if original is None:
            # Behind an operator that made new records of it, the input record is no longer known.
            headers = None if batch.headers is None else [batch.headers[row]]
            keys, values = [_bytes(batch.keys[row])], [_bytes(batch.values[row])]
            original = RawBatch(topic, partition, [offset], keys, values, [batch.timestamps[row]], headers), 0
        return original

    def _decide(self, policy: str, setting: str, raw: RawBatch, row: int, error: Exception, where: str) -> None:
        place = f"{raw.topic}-{raw.partition}@{raw.offsets[row]}"
        message = f"{type(error).__name__}: {error}"[:MESSAGE_CHARS_MAX]
        if policy == "fail":
            raise Fatal(
                f"the record {place} cannot be processed{where}: {message}. Mend the record's writer or the code, or set "
                f"{setting} to 'skip' or 'dead-letter'"
            ) from error
        self.skipped_total += 1
        if policy == "dead-letter":
            self._send(raw, row, error, message)
            self.dead_lettered_total += 1
        self._report(f"skipped {place}{where}: {message}")

    def _send(self, raw: RawBatch, row: int, error: Exception, message: str) -> None:
        trace = "".join(traceback.format_exception(error))[-STACKTRACE_CHARS_MAX:]
        headers: list[tuple[str, Any]] = list((raw.headers[row] if raw.headers is not None else None) or ())
        facts = {
            "exception": _name(error),
            "stacktrace": trace,
            "message": message,
            "topic": raw.topic,
            "partition": str(raw.partition),
            "offset": str(raw.offsets[row]),
        }
        self._send_dead(raw.keys[row], raw.values[row], raw.timestamps[row], headers + _headers(facts))

    def _send_dead(self, key: bytes | None, value: bytes | None, timestamp: int, headers: list[Any]) -> None:
        self._collector.send(str(self._config.dead_letter_topic), [key], [value], [timestamp], [headers])


def _name(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _headers(facts: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(f"{_PREFIX}{name}", text.encode()) for name, text in facts.items()]


def _bytes(value: Any) -> bytes | None:
    """Raw bytes as they are; a decoded value as its text, since its bytes are not known here."""
    return value if value is None or isinstance(value, bytes) else repr(value).encode()
