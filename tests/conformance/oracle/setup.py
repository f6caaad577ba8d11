"""What an adapter gives the runner, and the table of adapters by op."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine import serdes
from engine.records import ValueAndTimestamp
from engine.topology.builder import StreamsBuilder
from engine.topology.options import Consumed, Materialized, Produced
from engine.topology.suppliers import Stores
from engine.topology.table import Table

TEXT = Consumed(serdes.string, serdes.string)
OUT = Produced(serdes.string, serdes.string)


@dataclass(frozen=True)
class Setup:
    """`store` is the case's own store, `rows` how its rows are read at the end."""

    store: str = "store"
    rows: Callable[[Any], Iterable[Any]] | None = None
    keys_are_json: bool = False
    names_topics: bool = False
    # Changelogs of buffers that log at a commit: in one batch they hold the last state of each key only.
    logs_at_commit: frozenset[str] = frozenset()


Build = Callable[[StreamsBuilder, dict[str, Any]], Setup]


class Op(NamedTuple):
    build: Build
    params: frozenset[str]


OPS: dict[str, Op] = {}


def op(*names: str, params: str = "") -> Callable[[Build], Build]:
    """Register an adapter for ops that take these parameters (names separated by spaces)."""

    def register(build: Build) -> Build:
        for name in names:
            OPS[name] = Op(build, frozenset(params.split()))
        return build

    return register


def head(value: str | None) -> str | None:
    """The part before the first `:`, or all of it; None when that is empty."""
    return (value.split(":", 1)[0] or None) if value is not None else None


def text(value: Any) -> str | None:
    """A count, or a text, as the cases write it."""
    return None if value is None else str(value)


def null_text(value: Any) -> str:
    """A value as aggregators and joiners see it."""
    return "null" if value is None else str(value)


def joiner(left: Any, right: Any) -> str:
    return f"{null_text(left)}|{null_text(right)}"


def add(_key: Any, value: Any, aggregate: str) -> str:
    return f"{aggregate}+{null_text(value)}"


def subtract(_key: Any, value: Any, aggregate: str) -> str:
    return f"{aggregate}-{null_text(value)}"


def plus(one: str, other: str) -> str:
    return f"{one}+{null_text(other)}"


def minus(one: str, other: str) -> str:
    return f"{one}-{null_text(other)}"


def zero() -> str:
    return "0"


def source_table(builder: StreamsBuilder, topic: str, store: str, *, versioned: bool, history_ms: int | None) -> Table:
    if versioned:
        supplier = Stores.persistent_versioned(store, history_ms or 0)
        return builder.table(topic, TEXT, Materialized.as_(supplier, serdes.string, serdes.string))
    return builder.table(topic, TEXT, Materialized(store))


def store_option(params: dict[str, Any]) -> str:
    return str(params.get("store", "rocksdb"))


def key_value_rows(store: Any) -> Iterable[Any]:
    """[key, value, timestamp or None] of a key-value store, in its order."""
    for key, value in store.all():
        if isinstance(value, ValueAndTimestamp):
            yield [key, text(value.value), value.timestamp]
        else:
            yield [key, text(value), None]


def window_rows(store: Any) -> Iterable[Any]:
    """[key, start, value, timestamp or None] of a window store, in its order."""
    for window, value in store.all():
        if isinstance(value, ValueAndTimestamp):
            yield [window.key, window.start, text(value.value), value.timestamp]
        else:
            yield [window.key, window.start, text(value), None]


def session_rows(store: Any) -> Iterable[Any]:
    """[key, start, end, value] of a session store, in its order."""
    for session, value in store.fetch_keys(None, None):
        yield [session.key, session.start, session.end, text(value)]


def write_texts(table: Table) -> None:
    """The table's changes to `out`, values as text."""
    table.to_stream().map_values(text).to("out", OUT)
