"""The ends of a test driver: where records are piped in, and where they are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine import serdes
from engine.records import Record, event_time

if TYPE_CHECKING:
    from engine.testing.driver import TopologyTestDriver


class TestInputTopic:
    """Pipes records into one topic; its serdes are those that the topology reads the topic with, unless given."""

    __test__ = False  # not a test case, whatever its name says to pytest

    def __init__(self, driver: TopologyTestDriver, topic: str, key_serde: Any, value_serde: Any) -> None:
        self._driver = driver
        self.topic = topic
        self._key_serde = key_serde or serdes.bytes
        self._value_serde = value_serde or serdes.bytes

    def pipe(self, key: Any, value: Any, timestamp_ms: int | None = None, headers: Any = None) -> None:
        """Process one record completely, internal topics included; its time is the driver's clock unless given."""
        self.pipe_batch([(key, value, timestamp_ms, headers)])

    def pipe_batch(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Process records, `(key, value, timestamp_ms[, headers])` each, as one micro-batch."""
        columns = [(*row, None, None)[:4] for row in rows]
        keys = self._key_serde.serialize_many([row[0] for row in columns])
        values = self._value_serde.serialize_many([row[1] for row in columns])
        now = self._driver.wall_clock_ms
        times = [now if row[2] is None else event_time(row[2], "a record is piped at") for row in columns]
        raws = zip(keys, values, times, [row[3] for row in columns], strict=True)
        self._driver.pipe_raw(self.topic, list(raws))


class TestOutputTopic:
    """Reads what the topology wrote into one topic. Each record is read once, whichever object of that topic asks for it."""

    __test__ = False  # not a test case, whatever its name says to pytest

    def __init__(self, driver: TopologyTestDriver, topic: str, key_serde: Any, value_serde: Any) -> None:
        self._driver = driver
        self.topic = topic
        self._key_serde = key_serde or serdes.bytes
        self._value_serde = value_serde or serdes.bytes

    def read_records(self) -> list[Record]:
        """Everything written since the topic was last read, in order."""
        rows = self._driver.unread(self.topic)
        keys = self._key_serde.deserialize_many([row.key for row in rows])
        values = self._value_serde.deserialize_many([row.value for row in rows])
        return [
            Record(key, value, row.timestamp, row.headers) for key, value, row in zip(keys, values, rows, strict=True)
        ]

    def read_values(self) -> list[Any]:
        """The values of `read_records`."""
        return [record.value for record in self.read_records()]

    def is_empty(self) -> bool:
        """Whether everything was read."""
        return not self._driver.unread(self.topic, keep=True)
