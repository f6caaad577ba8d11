"""The client's questions as plain requests: path, parameters, body and how to read the answer.

Both clients, sync and async, send these; what can be asked is written once. Pure functions; any thread.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson

from engine.query.encoding import exact
from engine.query.results import (
    Counted,
    Entry,
    Largest,
    Owner,
    Page,
    QueryError,
    count_of,
    error_of,
    largest_of,
    owner_of,
    page_of,
)

Answer = TypeVar("Answer")
_OK = 200


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request to any instance."""

    path: str
    parameters: dict[str, str]
    read: Callable[[dict[str, Any]], Answer]
    body: bytes | None = None

    @property
    def method(self) -> str:
        """GET, or POST when there is a body."""
        return "GET" if self.body is None else "POST"

    def continued(self, cursor: str) -> "Call[Answer]":
        """The same question for the next page."""
        return Call(self.path, {**self.parameters, "cursor": cursor}, self.read, self.body)

    def answer(self, status: int, raw: bytes) -> Answer:
        """Read an HTTP answer; raises QueryError."""
        try:
            body = orjson.loads(raw)
            if status == _OK:
                return self.read(body)
            raise error_of(body["error"], status)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise QueryError(
                "internal",
                f"HTTP {status} at {self.path} is not an answer of Statehouse: check the address",
                status=status,
            ) from error


def entries(store: str, **parameters: Any) -> Call[Page]:
    """A page of a store; parameters as docs/contracts.md names them, those that are None left out."""
    return Call(_path(store, "entries"), _texts(parameters), page_of)


def multi_get(store: str, keys: Sequence[Any], **parameters: Any) -> Call[Page]:
    """Several keys at once; keys in their JSON form, bytes as bytes."""
    body = exact({"keys": [_json_key(key) for key in keys]})
    return Call(_path(store, "multi-get"), _texts(parameters), page_of, body)


def count(store: str, **parameters: Any) -> Call[Counted]:
    """About how many keys."""
    return Call(_path(store, "count"), _texts(parameters), count_of)


def largest(store: str, **parameters: Any) -> Call[Largest]:
    """The largest entries, as far as a bounded look goes. Parameters: limit, partition, max_lag, key_format."""
    return Call(_path(store, "largest"), _texts(parameters), largest_of)


def rocksdb(store: str, **parameters: Any) -> Call[dict[str, Any]]:
    """How each partition lies on disk. Parameters: partition, or from and limit; max_lag."""
    return Call(_path(store, "rocksdb"), _texts(parameters), dict)


def owner(store: str, key: Any = None, **parameters: Any) -> Call[Owner]:
    """Who has a key, or the partition named by `partition=`."""
    return Call(_path(store, "owner"), _texts({"key": _optional_text(key), **parameters}), owner_of)


def described(path: str) -> Call[dict[str, Any]]:
    """A describing route: `/v1/instance`, `/v1/topology`, `/v1/stores`."""
    return Call(path, {}, dict)


def key_text(key: Any) -> str:
    """A key as query text: text as it is, bytes as base64, anything else as JSON."""
    if isinstance(key, str):
        return key
    form = _json_key(key)
    return str(form["base64"]) if isinstance(key, bytes) else exact(form).decode()


def _json_key(key: Any) -> Any:
    if isinstance(key, bytes):
        return {"base64": base64.b64encode(key).decode()}
    return key


def _path(store: str, what: str) -> str:
    return f"/v1/stores/{quote(store, safe='')}/{what}"


def _texts(parameters: dict[str, Any]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in parameters.items():
        if value is None or value is False:
            continue
        texts[name.rstrip("_")] = "true" if value is True else str(value)
    return texts


def get(store: str, key: Any, **parameters: Any) -> Call[Entry | None]:
    """One key, in its JSON form: put as a multi-get, where a key keeps its JSON type."""
    call = multi_get(store, [key], **parameters)
    return Call(call.path, call.parameters, _only_found, call.body)


def between(store: str, from_key: Any, to_key: Any, **parameters: Any) -> Call[Page]:
    """Keys from `from_key` to `to_key`, inclusive; None leaves an end open."""
    bounds = {"from": _optional_text(from_key), "to": _optional_text(to_key)}
    return entries(store, **bounds, **parameters)


def windows(store: str, key: Any, from_ms: int | None, to_ms: int | None, **parameters: Any) -> Call[Page]:
    """Windows by their start."""
    return entries(store, key=_optional_text(key), window_from=from_ms, window_to=to_ms, **parameters)


def sessions(store: str, key: Any, from_ms: int | None, to_ms: int | None, **parameters: Any) -> Call[Page]:
    """Sessions by the time that they overlap."""
    return entries(store, key=_optional_text(key), session_from=from_ms, session_to=to_ms, **parameters)


def as_of(store: str, key: Any, timestamp_ms: int, **parameters: Any) -> Call[Entry | None]:
    """The version valid at a time."""
    call = entries(store, key=key_text(key), as_of=timestamp_ms, **parameters)
    return Call(call.path, call.parameters, _only_found, call.body)


def versions(store: str, key: Any, from_ms: int | None, to_ms: int | None, **parameters: Any) -> Call[Page]:
    """Versions of a key that were valid at some time within the bounds, newest first."""
    return entries(store, key=key_text(key), valid_from=from_ms or 0, valid_to=to_ms, **parameters)


def whole(call: Call[Page]) -> Call[Page]:
    """The same question, where a partition that did not answer fails the page: the client then retries all of it."""
    return Call(call.path, call.parameters, _complete_page, call.body)


def _complete_page(body: dict[str, Any]) -> Page:
    page = page_of(body)
    for source in page.failures:
        if source.error is not None:
            raise source.error
    return page


def _only_found(body: dict[str, Any]) -> Entry | None:
    return next((entry for entry in _complete_page(body).entries if entry.found), None)


def _optional_text(key: Any) -> str | None:
    return None if key is None else key_text(key)
