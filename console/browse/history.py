"""What the changelog still knows of one key: its versions, newest first, and how far back was looked.

Kafka finds records by offset and not by key, so the partition is read backwards from its end, stretch by stretch, until
enough versions are found or a bound is reached; the answer says which. Compaction keeps at least the newest record of
each key and may have dropped any older one: that no older version is found never means that there was none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from console import limits
from console.browse import changelog, changes, decoding
from console.browse.entries import Unavailable
from console.observe import store_shapes
from console.observe.board import reader
from engine.partitioning import partition_for
from engine.query.refusal import Refusal
from engine.stores import layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from console.browse.changelog import Changelog
    from console.browse.decoding import Decoder

PARAMETERS = frozenset({"key", "partition", "limit", "window_from", "session_from", "key_format", "value_format"})
_COMPACTED = (
    "Compaction drops superseded values some time after they were written: what is listed is what the changelog still "
    "has, not all that ever was."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that can be answered. ``start`` narrows to one window or session."""

    topic: str
    partition: int
    kind: str
    key: bytes
    start: int | None
    values: Decoder
    limit: int

    def is_of_key(self, name: bytes) -> bool:
        """Say whether a changelog key is one of the key's."""
        if self.kind == "window":
            return len(name) == len(self.key) + layouts.WINDOW_SUFFIX and self._is_at(layouts.split_window_key(name))
        if self.kind == "session":
            if len(name) != len(self.key) + layouts.SESSION_SUFFIX:
                return False
            key, start, _ = layouts.split_session_key(name)
            return self._is_at((key, start, 0))
        return name == self.key

    def _is_at(self, found: tuple[bytes, int, int]) -> bool:
        return found[0] == self.key and self.start in {None, found[1]}

    def span_of(self, name: bytes) -> dict[str, int] | None:
        """Return the window's start, or the session's start and end."""
        if self.kind == "window":
            return {"start": layouts.split_window_key(name)[1]}
        if self.kind == "session":
            _, start, end = layouts.split_session_key(name)
            return {"start": start, "end": end}
        return None


@dataclass
class Looked:
    """How far was looked: offsets from ``down_to`` to before ``end``; ``stopped_by`` begin, limit, records or seconds."""

    begin: int
    end: int
    down_to: int
    records: int = 0
    stopped_by: str = "begin"
    versions: list[dict[str, Any]] = field(default_factory=list)


def of_key(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return the versions of a key, newest first, each with what changed since the one before. Raises ``Unavailable``."""
    asked = _read(app, store, params)
    try:
        with changelog.Changelog(asked.topic, asked.partition) as reading:
            looked = _look(reading, asked, _deadline())
    except (KafkaException, OSError, ValueError) as error:
        words = f"Kafka does not let the changelog {asked.topic} be read: {error}. Ask again when it answers."
        raise Unavailable("kafka-unavailable", words) from error
    versions = looked.versions[: asked.limit]
    for index, newer in enumerate(versions):
        # A key of a window or session store has many rows: each is compared with its own past.
        older = next((each for each in versions[index + 1 :] if each["span"] == newer["span"]), None)
        if older is not None:
            newer["changed"] = changes.between(older["value"], newer["value"])
    return {
        "versions": versions,
        "changelog": asked.topic,
        "partition": asked.partition,
        "looked": {
            "from": looked.down_to,
            "to": looked.end,
            "begin": looked.begin,
            "records": looked.records,
            "stopped_by": looked.stopped_by,
            "words": _words(looked),
        },
    }


def _deadline() -> Callable[[], bool]:
    until = time.monotonic() + limits.HISTORY_SECONDS_MAX
    return lambda: time.monotonic() > until


def _look(reading: Changelog, asked: Asked, is_late: Callable[[], bool]) -> Looked:
    begin, end = reading.bounds()
    looked = Looked(begin, end, end)
    size = limits.HISTORY_STRETCH_OFFSETS
    while looked.down_to > begin:
        start = max(begin, looked.down_to - size)
        stretch: list[dict[str, Any]] = []
        before = looked.records
        try:
            for message in reading.read(start, looked.down_to, is_late):
                looked.records += 1
                name = message.key()
                if isinstance(name, bytes) and asked.is_of_key(name):
                    stretch.append(_version(asked, name, message))
        except changelog.Stopped:
            # Half a stretch was read from its old end: it would show old versions without the newer ones between.
            looked.stopped_by = "seconds"
            return looked
        looked.versions += reversed(stretch)
        looked.down_to = start
        if len(looked.versions) >= asked.limit:
            looked.stopped_by = "limit"
            return looked
        if looked.records >= limits.HISTORY_RECORDS_MAX:
            looked.stopped_by = "records"
            return looked
        # Each stretch costs a connection; where compaction has left few records, long ones cost no more.
        size *= 8 if (looked.records - before) * 8 < size else 2
    return looked


def _version(asked: Asked, name: bytes, message: Any) -> dict[str, Any]:
    value = message.value()
    return {
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "span": asked.span_of(name),
        "value": None if value is None else asked.values.shown(bytes(value)),
        "is_deletion": value is None,
        "size": None if value is None else len(value),
        "changed": None,
    }


def _words(looked: Looked) -> str:
    how = {
        "begin": f"The whole changelog partition was read, {looked.records:,} records.",
        "limit": f"Reading stopped at offset {looked.down_to:,}, with as many versions as were asked for. There may be older ones.",
        "records": f"Reading stopped at offset {looked.down_to:,} after {looked.records:,} records; what lies before was not looked at.",
        "seconds": f"Reading stopped after {limits.HISTORY_SECONDS_MAX:g} seconds at offset {looked.down_to:,}; what lies before was not looked at.",
    }[looked.stopped_by]
    return f"{how} {_COMPACTED}"


def _read(app: str, store: str, params: dict[str, str]) -> Asked:
    unknown = sorted(set(params) - PARAMETERS)
    if unknown:
        raise _bad(f"Unknown parameter {unknown[0][:40]!r}. Use: {', '.join(sorted(PARAMETERS))}.")
    if "key" not in params:
        raise _bad("Say which key: key=.")
    state = reader.read().applications.get(app)
    described = store_shapes.description(state, store) if state is not None else None
    if state is None or described is None:
        raise Unavailable("not-found", f"Nobody has reported a store {store} of {app}.", status=404, retryable=False)
    topic = described.get("changelog")
    if not topic:
        words = f"Store {store} has no changelog (logging is off), so nothing is known of what its keys were before."
        raise Unavailable("no-changelog", words, status=409, retryable=False)
    partitions = store_shapes.all_partitions(state, store)
    try:
        keys = decoding.decoder(described.get("key_serde"), params.get("key_format") or None, "key_format", topic)
        if not keys.is_known:
            raise _bad(f"The console does not have the serde {keys.serde}: give the key with key_format=base64 or hex.")
        key = keys.codec.from_text(params["key"], "key")
        values = decoding.decoder(described.get("value_serde"), params.get("value_format") or None, "value_format")
    except Refusal as error:
        raise _bad(error.message) from error
    partition = _partition(params, described, key, partitions)
    limit = _number(params, "limit") or limits.HISTORY_VERSIONS_DEFAULT
    if limit > limits.HISTORY_VERSIONS_MAX:
        raise _bad(f"limit={limit} is too large; the most is {limits.HISTORY_VERSIONS_MAX}.")
    start = _number(params, "window_from") if "window_from" in params else _number(params, "session_from")
    return Asked(str(topic), partition, str(described.get("kind")), key, start, values, limit)


def _partition(params: dict[str, str], described: Mapping[str, Any], key: bytes, partitions: Collection[int]) -> int:
    """The partition that is named, or the key's."""
    partition, store, topic = _number(params, "partition"), described.get("name"), described.get("placed_by")
    if partition is None and topic:
        raise _bad(
            f"Where a key of store {store} lies is not known, since topic {topic} is written with a partitioner of its own: "
            "name the partition."
        )
    if partition is None:
        return partition_for(key, len(partitions)) if partitions else 0
    if partition not in partitions:
        raise Unavailable("not-found", f"Store {store} has no partition {partition}.", status=404, retryable=False)
    return partition


def _number(params: dict[str, str], name: str) -> int | None:
    text = params.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:  # noqa: PLR2004 - what an int64 surely holds
        raise _bad(f"{name}={text[:40]!r} is not a whole number from 0 on.")
    return int(text)


def _bad(words: str) -> Unavailable:
    return Unavailable("bad-request", words, status=400, retryable=False)
