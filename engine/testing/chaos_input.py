"""What a topology under chaos is fed with: a file's records, a function's, or made-up ones for the serdes that allow it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine import serdes
from engine.errors import ConfigError, SerializationError
from engine.topology.loading import load_build
from engine.topology.operations import GlobalSource, Source
from engine.topology.topology import Topology

KEYS = 500
# Any time will do; it is not now, so that a run of the same seed has the same times.
FIRST_TIMESTAMP_MS = 1_700_000_000_000
_MADE: dict[int, Callable[[random.Random], Any]] = {
    id(serdes.string): lambda chance: f"value-{chance.randrange(10_000)}",
    id(serdes.bytes): lambda chance: chance.randbytes(16),
    id(serdes.int32): lambda chance: chance.randrange(-(2**31), 2**31),
    id(serdes.int64): lambda chance: chance.randrange(-(2**40), 2**40),
    id(serdes.double): lambda chance: float(chance.randrange(1_000_000)),
    id(serdes.boolean): lambda chance: chance.random() < 0.5,  # noqa: PLR2004 - a fair coin
}
_KEYS: dict[int, Callable[[int], Any]] = {
    id(serdes.string): lambda number: f"key-{number}",
    id(serdes.bytes): lambda number: f"key-{number}".encode(),
    id(serdes.int32): lambda number: number,
    id(serdes.int64): lambda number: number,
}


class Record(NamedTuple):
    """One record as it is produced. `topic` is the topology's own name of it."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int


class Inputs:
    """The topics that a topology reads from outside, each with its serdes."""

    def __init__(self, topology: Topology) -> None:
        written = {
            topic
            for node in topology.nodes.values()
            if isinstance(topic := getattr(node.operation, "topic", None), str)
        } - {node.operation.topic for node in topology.nodes.values() if isinstance(node.operation, GlobalSource)}
        self.serdes: dict[str, tuple[Any, Any]] = {}
        for node in topology.nodes.values():
            operation = node.operation
            if isinstance(operation, Source) and not operation.internal:
                topics: tuple[str, ...] = operation.topics
            elif isinstance(operation, GlobalSource):
                topics = (operation.topic,)
            else:
                continue
            for topic in topics:
                if topic not in written:
                    self.serdes[topic] = (operation.key_serde or serdes.bytes, operation.value_serde or serdes.bytes)

    def record(self, topic: str, key: Any, value: Any, timestamp: int) -> Record:
        """A record as bytes; raises ConfigError for a topic that is not read or a value that its serde does not take."""
        if topic not in self.serdes:
            raise ConfigError(f"the topology does not read topic {topic!r}: it reads {', '.join(sorted(self.serdes))}")
        of_key, of_value = self.serdes[topic]
        try:
            return Record(
                topic,
                None if key is None else of_key.serialize(key),
                None if value is None else of_value.serialize(value),
                timestamp,
            )
        except SerializationError as error:
            raise ConfigError(f"an input record of topic {topic} cannot be written: {error}") from error

    def made_up(self, seed: int, count: int) -> Iterator[Record]:
        """`count` records over all topics in turn; raises ConfigError where a serde gives no idea of its values."""
        for topic, (key, value) in self.serdes.items():
            if id(key) not in _KEYS or id(value) not in _MADE:
                raise ConfigError(
                    f"records of topic {topic} ({key!r}, {value!r}) cannot be made up: give --input with JSON Lines, or "
                    "--generate module:function, a function (random, count) that yields (topic, key, value, timestamp_ms)"
                )
        chance = random.Random(seed)  # noqa: S311 - a seed is to name the run
        topics = sorted(self.serdes)
        for number in range(count):
            topic = topics[number % len(topics)]
            key, value = self.serdes[topic]
            made = _KEYS[id(key)](chance.randrange(KEYS)), _MADE[id(value)](chance)
            yield self.record(topic, *made, FIRST_TIMESTAMP_MS + number)

    def of_function(self, name: str, seed: int, count: int) -> Iterator[Record]:
        """What `module:function` yields for a seeded `random.Random` and the count that is asked for."""
        chance = random.Random(seed)  # noqa: S311 - a seed is to name the run
        rows: Iterable[tuple[str, Any, Any, int]] = load_build(name)(chance, count)
        for row in rows:
            yield self.record(*row)

    def of_file(self, path: Path) -> Iterator[Record]:
        """JSON Lines of `{"topic", "key", "value", "timestamp"}`; the topic may be left out where only one is read."""
        only = next(iter(self.serdes)) if len(self.serdes) == 1 else None
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines):
                    if line.strip():
                        yield self._of_line(f"{path}:{number + 1}", line, only, number)
        except OSError as error:
            raise ConfigError(f"the input {path} cannot be read: {error}") from error

    def _of_line(self, place: str, line: str, only: str | None, number: int) -> Record:
        try:
            row = json.loads(line)
            topic = row.get("topic", only)
        except (ValueError, AttributeError) as error:
            raise ConfigError(f"{place} is not a JSON object with key and value: {error}") from error
        if topic is None:
            raise ConfigError(f"{place} names no topic, and the topology reads {', '.join(sorted(self.serdes))}")
        return self.record(topic, row.get("key"), row.get("value"), row.get("timestamp", FIRST_TIMESTAMP_MS + number))
