"""Ops that work on a store directly: each record is one call, its answer a record."""

import json
from collections.abc import Callable
from typing import Any

from engine import serdes
from engine.errors import InvalidBounds, NullKeyError, UnsupportedOperation
from engine.records import Record, ValueAndTimestamp
from engine.topology.builder import StreamsBuilder
from engine.topology.processors import Processor
from engine.topology.suppliers import Stores, StoreSupplier
from tests.conformance.oracle.setup import (
    OUT,
    TEXT,
    Setup,
    key_value_rows,
    op,
    session_rows,
    store_option,
    window_rows,
)

ERRORS = {
    NullKeyError: "!NullPointerException",
    InvalidBounds: "!IllegalArgumentException",
    UnsupportedOperation: "!UnsupportedOperationException",
}
Call = Callable[[Any, Any, list[Any], Record], Any]


class Calling(Processor):
    """Runs the op that a record's value spells on the store."""

    def __init__(self, calls: dict[str, Call]) -> None:
        self.calls = calls

    def init(self, context: Any) -> None:
        self.context = context
        self.store = context.state_store("store")

    def process(self, record: Record) -> None:
        word, *arguments = [None if part == "~" else part for part in record.value.split(" ")]
        assert word in self.calls, f"the adapter does not know the store op {word}"
        try:
            answer = self.calls[word](self.store, record.key, arguments, record)
        except tuple(ERRORS) as error:
            answer = next(text for kind, text in ERRORS.items() if isinstance(error, kind))
        shown = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        self.context.forward(record.key, shown, record.timestamp)


def _run(builder: StreamsBuilder, supplier: StoreSupplier, calls: dict[str, Call], rows: Any) -> Setup:
    builder.add_state_store(supplier.serdes(serdes.string, serdes.string))
    builder.stream("in", TEXT).process(lambda: Calling(calls), stores=["store"]).to("out", OUT)
    return Setup("store", rows)


def number(text: str | None) -> int | None:
    return None if text is None else int(text)


def shown(value: Any) -> Any:
    """A key-value store's value: [value, timestamp] if it keeps one."""
    return [value.value, value.timestamp] if isinstance(value, ValueAndTimestamp) else value


# -- key-value ------------------------------------------------------------------------------------------------------------


def _pairs(rows: Any) -> list[Any]:
    return [[key, shown(value)] for key, value in rows]


def _kept(store: Any, value: Any, record: Record) -> Any:
    """A value as the store takes it: a timestamped one with the record's time."""
    if value is None or not store.spec.timestamped:
        return value
    return ValueAndTimestamp(value, record.timestamp)


def _put_all(store: Any, _key: Any, words: list[Any], record: Record) -> None:
    pairs = zip(words[::2], words[1::2], strict=True)
    store.put_all([(key, _kept(store, value, record)) for key, value in pairs])


KEY_VALUE: dict[str, Call] = {
    "put": lambda store, key, a, record: store.put(key, _kept(store, a[0], record)),
    "putifabsent": lambda store, key, a, record: shown(store.put_if_absent(key, _kept(store, a[0], record))),
    "putall": _put_all,
    "delete": lambda store, key, _, __: shown(store.delete(key)),
    "get": lambda store, key, _, __: shown(store.get(key)),
    "range": lambda store, _, a, __: _pairs(store.range(a[0], a[1])),
    "rrange": lambda store, _, a, __: _pairs(store.reverse_range(a[0], a[1])),
    "prefix": lambda store, _, a, __: _pairs(store.prefix_scan(a[0])),
    "all": lambda store, *_: _pairs(store.all()),
    "rall": lambda store, *_: _pairs(store.reverse_all()),
    "entries": lambda store, *_: store.approximate_num_entries(),
}


@op("kv-store", params="store timestamped max_entries")
def key_value(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    kept = params.get("timestamped", False)
    supplier = {
        "rocksdb": lambda: Stores.persistent_key_value("store", timestamped=kept),
        "in-memory": lambda: Stores.in_memory_key_value("store", timestamped=kept),
        "lru": lambda: Stores.lru_map("store", params["max_entries"], timestamped=kept),
    }[store_option(params)]()
    return _run(builder, supplier, KEY_VALUE, key_value_rows)


# -- windows --------------------------------------------------------------------------------------------------------------


def _starts(rows: Any) -> list[Any]:
    return [[start, value] for start, value in rows]


def _windows(rows: Any) -> list[Any]:
    return [[window.key, window.start, value] for window, value in rows]


def _times(words: list[Any], first: int = 0) -> tuple[int, int]:
    return int(words[first]), int(words[first + 1])


WINDOW: dict[str, Call] = {
    "put": lambda store, key, a, _: store.put(key, a[0], int(a[1])),
    "get": lambda store, key, a, _: store.fetch(key, int(a[0])),
    "fetch": lambda store, key, a, _: _starts(store.fetch(key, *_times(a))),
    "rfetch": lambda store, key, a, _: _starts(store.backward_fetch(key, *_times(a))),
    "kfetch": lambda store, _, a, __: _windows(store.fetch_keys(a[0], a[1], *_times(a, 2))),
    "rkfetch": lambda store, _, a, __: _windows(store.backward_fetch_keys(a[0], a[1], *_times(a, 2))),
    "fetchall": lambda store, _, a, __: _windows(store.fetch_all(*_times(a))),
    "rfetchall": lambda store, _, a, __: _windows(store.backward_fetch_all(*_times(a))),
    "all": lambda store, *_: _windows(store.all()),
    "rall": lambda store, *_: _windows(store.backward_all()),
}


@op("window-store", params="store window_ms retention_ms duplicates")
def window(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    make = Stores.in_memory_window if store_option(params) == "in-memory" else Stores.persistent_window
    duplicates = params.get("duplicates", False)
    supplier = make("store", params["retention_ms"], params["window_ms"], retain_duplicates=duplicates)
    return _run(builder, supplier, WINDOW, window_rows)


# -- sessions -------------------------------------------------------------------------------------------------------------


def _sessions(rows: Any) -> list[Any]:
    return [[session.key, session.start, session.end, value] for session, value in rows]


SESSION: dict[str, Call] = {
    "put": lambda store, key, a, _: store.put(key, int(a[1]), int(a[2]), a[0]),
    "remove": lambda store, key, a, _: store.remove(key, *_times(a)),
    "get": lambda store, key, a, _: store.fetch_session(key, *_times(a)),
    "fetch": lambda store, key, *_: _sessions(store.fetch(key)),
    "rfetch": lambda store, key, *_: _sessions(store.backward_fetch(key)),
    "kfetch": lambda store, _, a, __: _sessions(store.fetch_keys(a[0], a[1])),
    "rkfetch": lambda store, _, a, __: _sessions(store.backward_fetch_keys(a[0], a[1])),
    "find": lambda store, key, a, _: _sessions(store.find_sessions(key, *_times(a))),
    "rfind": lambda store, key, a, _: _sessions(store.backward_find_sessions(key, *_times(a))),
    "kfind": lambda store, _, a, __: _sessions(store.find_sessions_keys(a[0], a[1], *_times(a, 2))),
    "rkfind": lambda store, _, a, __: _sessions(store.backward_find_sessions_keys(a[0], a[1], *_times(a, 2))),
}


@op("session-store", params="store retention_ms")
def session(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    make = Stores.in_memory_session if store_option(params) == "in-memory" else Stores.persistent_session
    return _run(builder, make("store", params["retention_ms"]), SESSION, session_rows)


# -- versions -------------------------------------------------------------------------------------------------------------


def _version(found: Any) -> Any:
    return None if found is None else [found.value, found.timestamp, found.valid_to]


def _put_version(store: Any, key: Any, words: list[Any], _record: Record) -> Any:
    valid_to = store.put(key, words[0], int(words[1]))
    return "NOT_PUT" if valid_to == store.NOT_PUT else valid_to


def _versions(store: Any, key: Any, words: list[Any], order: str) -> list[Any]:
    low, high = (None if word is None else int(word) for word in words)
    bounds = ({} if low is None else {"time_from": low}) | ({} if high is None else {"time_to": high})
    return [_version(found) for found in store.get_versions(key, order=order, **bounds)]


VERSIONED: dict[str, Call] = {
    "put": _put_version,
    "delete": lambda store, key, a, _: _version(store.delete(key, int(a[0]))),
    "get": lambda store, key, _, __: _version(store.get(key)),
    "asof": lambda store, key, a, _: _version(store.get(key, int(a[0]))),
    "versions": lambda store, key, a, _: _versions(store, key, a, "ascending"),
    "rversions": lambda store, key, a, _: _versions(store, key, a, "descending"),
}


@op("versioned-store", params="history_ms segment_ms")
def versioned(builder: StreamsBuilder, params: dict[str, Any]) -> Setup:
    supplier = Stores.persistent_versioned("store", params["history_ms"], segment_interval_ms=params.get("segment_ms"))
    return _run(builder, supplier, VERSIONED, None)
