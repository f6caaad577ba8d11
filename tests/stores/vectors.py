"""Feeds the store cases of the oracle straight to our stores, without a topology: one op string, one typed call."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import serdes
from engine.errors import InvalidBounds, NullKeyError, UnsupportedOperation
from engine.records import Windowed
from engine.stores import open_store
from engine.topology.stores import StoreSpec

FOLDER = Path(__file__).parents[1] / "conformance"
STORE_OPS = ("kv-store", "window-store", "session-store", "versioned-store")
NOT_PUT = -(2**63)


class Context:
    """A task as a store sees it."""

    def __init__(self):
        self.timestamp = -1
        self.dropped_total = 0

    def dropped(self, count):
        self.dropped_total += count


def oracle_cases():
    lines = (FOLDER / "oracle.jsonl").read_text().splitlines()
    return [case for case in map(json.loads, lines) if case["op"] in STORE_OPS]


def vectors(section):
    lines = (FOLDER / "vectors.jsonl").read_text().splitlines()
    return [case for case in map(json.loads, lines) if case["section"] == section]


def spec_of(case, **changes):
    """The store that Kafka Streams had in an oracle case."""
    params, op = case["params"], case["op"]
    common = {"key_serde": serdes.string, "value_serde": serdes.string, "name": "store"}
    backend = {"in-memory": "memory", "lru": "lru"}.get(params.get("store"), "rocksdb")
    if op == "kv-store":
        kind = {"timestamped": params.get("timestamped", False), "max_entries": params.get("max_entries")}
    elif op == "window-store":
        kind = {
            "kind": "window",
            "window_ms": params["window_ms"],
            "retention_ms": params["retention_ms"],
            "retain_duplicates": params.get("duplicates", False),
        }
    elif op == "session-store":
        kind = {"kind": "session", "retention_ms": params["retention_ms"]}
    else:
        kind = {
            "kind": "versioned",
            "history_ms": params["history_ms"],
            "segment_interval_ms": params.get("segment_ms"),
        }
    return StoreSpec(**{**common, "backend": backend, **kind, **changes})


def word(text):
    return None if text == "~" else text


def shown(found):
    """An answer in the oracle's shape: windows flattened, timestamps beside their values."""
    if isinstance(found, list):
        return [[*_flat(key), shown(value)] for key, value in found]
    if isinstance(found, tuple):
        return [shown(part) for part in found]
    return found


def _flat(key):
    if isinstance(key, Windowed):
        return list(key)
    return [key]


def kv_op(store, key, words):  # noqa: C901, PLR0911 - one line an op
    op, *rest = words
    match op:
        case "put":
            return store.put(key, word(rest[0]))
        case "putifabsent":
            return shown(store.put_if_absent(key, word(rest[0])))
        case "putall":
            return store.put_all([(k, word(v)) for k, v in zip(rest[::2], rest[1::2], strict=True)])
        case "delete":
            return shown(store.delete(key))
        case "get":
            return shown(store.get(key))
        case "range":
            return shown(list(store.range(word(rest[0]), word(rest[1]))))
        case "rrange":
            return shown(list(store.reverse_range(word(rest[0]), word(rest[1]))))
        case "prefix":
            return shown(list(store.prefix_scan(rest[0], serdes.string)))
        case "all":
            return shown(list(store.all()))
        case "rall":
            return shown(list(store.reverse_all()))
        case "entries":
            return store.approximate_num_entries()
    raise AssertionError(f"the adapter does not know the op {words}")


def _starts(found):
    """Windows as [key, start, value]: the oracle leaves the end out."""
    return [[key.key, key.start, value] for key, value in found]


def window_op(store, key, words):  # noqa: C901, PLR0911 - one line an op
    op, *rest = words
    numbers = [int(text) for text in rest[-2:] if text.lstrip("-").isdigit()]
    match op:
        case "put":
            return store.put(key, word(rest[0]), int(rest[1]))
        case "get":
            return store.fetch(key, int(rest[0]))
        case "fetch":
            return shown(list(store.fetch(key, *numbers)))
        case "rfetch":
            return shown(list(store.backward_fetch(key, *numbers)))
        case "kfetch":
            return _starts(store.fetch_keys(word(rest[0]), word(rest[1]), *numbers))
        case "rkfetch":
            return _starts(store.backward_fetch_keys(word(rest[0]), word(rest[1]), *numbers))
        case "fetchall":
            return _starts(store.fetch_all(*numbers))
        case "rfetchall":
            return _starts(store.backward_fetch_all(*numbers))
        case "all":
            return _starts(store.all())
        case "rall":
            return _starts(store.backward_all())
    raise AssertionError(f"the adapter does not know the op {words}")


def session_op(store, key, words):  # noqa: C901, PLR0911 - one line an op
    op, *rest = words
    match op:
        case "put":
            return store.put(key, int(rest[1]), int(rest[2]), word(rest[0]))
        case "remove":
            return store.remove(key, int(rest[0]), int(rest[1]))
        case "get":
            return store.fetch_session(key, int(rest[0]), int(rest[1]))
        case "fetch":
            return shown(list(store.fetch(key)))
        case "rfetch":
            return shown(list(store.backward_fetch(key)))
        case "kfetch":
            return shown(list(store.fetch_keys(word(rest[0]), word(rest[1]))))
        case "rkfetch":
            return shown(list(store.backward_fetch_keys(word(rest[0]), word(rest[1]))))
        case "find":
            return shown(list(store.find_sessions(key, int(rest[0]), int(rest[1]))))
        case "rfind":
            return shown(list(store.backward_find_sessions(key, int(rest[0]), int(rest[1]))))
        case "kfind":
            bounds = word(rest[0]), word(rest[1]), int(rest[2]), int(rest[3])
            return shown(list(store.find_sessions_keys(*bounds)))
        case "rkfind":
            bounds = word(rest[0]), word(rest[1]), int(rest[2]), int(rest[3])
            return shown(list(store.backward_find_sessions_keys(*bounds)))
    raise AssertionError(f"the adapter does not know the op {words}")


def _version(found):
    return None if found is None else [found.value, found.timestamp, found.valid_to]


def versioned_op(store, key, words):
    op, *rest = words
    match op:
        case "put":
            valid_to = store.put(key, word(rest[0]), int(rest[1]))
            return "NOT_PUT" if valid_to == NOT_PUT else valid_to
        case "delete":
            return _version(store.delete(key, int(rest[0])))
        case "get":
            return _version(store.get(key))
        case "asof":
            return _version(store.get(key, int(rest[0])))
    raise AssertionError(f"the adapter does not know the op {words}")


OPS = {
    "kv-store": kv_op,
    "window-store": window_op,
    "session-store": session_op,
    "versioned-store": versioned_op,
}
ERRORS: dict[type[Exception], str] = {
    NullKeyError: "!NullPointerException",
    InvalidBounds: "!IllegalArgumentException",
    UnsupportedOperation: "!UnsupportedOperationException",
}


def answer(op, store, key, text):
    """The oracle's JSON text for one op."""
    try:
        found = OPS[op](store, key, text.split(" "))
    except tuple(ERRORS) as error:
        found = ERRORS[type(error)]
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def final_rows(op, store):
    """The whole store as the oracle lists it; None where it has no list."""
    if op == "kv-store":
        return [[key, *(value if isinstance(value, tuple) else (value, None))] for key, value in store.all()]
    if op == "window-store":
        return [[key.key, key.start, value, None] for key, value in store.all()]
    return [[key.key, key.start, key.end, value] for key, value in store.fetch_keys(None, None)]


def encoded(records):
    return [
        [base64.b64encode(key).decode(), None if value is None else base64.b64encode(value).decode(), timestamp]
        for key, value, timestamp in records
    ]


@contextmanager
def closed_at_the_end():
    """Give a function that takes whatever has a `store` and returns it; the stores are closed at the end.

    A RocksDB that is collected when its directory is gone tries in vain to flush, and waits a second after each attempt.
    """
    taken = []

    def take(opened):
        taken.append(opened)
        return opened

    try:
        yield take
    finally:
        for each in taken:
            each.store.close()


class Run:
    """One case against one store. `after_each(run)` may commit, roll nothing back, or reopen between the ops."""

    def __init__(self, case, spec, directory, after_each=None):
        self.case, self.spec, self.directory = case, spec, directory
        self.context = Context()
        self.changelog: list[Any] = []
        self.store = open_store(spec, directory, self.context)
        self.answers = []
        for key, _, text, timestamp in [(row[1], None, row[2], row[3]) for row in case["inputs"]]:
            self.context.timestamp = timestamp
            self.answers.append(answer(case["op"], self.store, key, text))
            if after_each:
                after_each(self)

    def commit(self):
        self.changelog.extend(self.store.drain_changelog())
        self.store.commit(len(self.changelog))

    def reopen(self):
        self.commit()
        self.store.flush()
        self.store.close()
        self.store = open_store(self.spec, self.directory, self.context)
