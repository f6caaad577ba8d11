"""A store's query as it stands in a page's URL, and as the engine takes it.

The URL holds what a person wrote (times as ISO text in UTC, the form's names); ``read`` turns it into the engine's
parameters (docs/contracts.md, section 2) or into words that say what is wrong with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 50
LIMITS = ("20", "50", "100", "500")
# What can be asked of a store, by its declared kind; never guessed from its name.
WAYS: dict[str, tuple[str, ...]] = {
    "key-value": ("all", "key", "prefix", "range"),
    "window": ("all", "key", "window"),
    "session": ("all", "key", "session"),
    "versioned": ("all", "key", "range", "as-of", "versions"),
}
LABELS = {
    "all": "All",
    "key": "Key",
    "prefix": "Prefix",
    "range": "Range",
    "window": "Windows",
    "session": "Sessions",
    "as-of": "As of",
    "versions": "Versions",
}
# way -> the fields that its form shows, beside those that every way has
FIELDS: dict[str, tuple[str, ...]] = {
    "all": (),
    "key": ("key",),
    "prefix": ("prefix",),
    "range": ("from", "to"),
    "window": ("window_from", "window_to"),
    "session": ("session_from", "session_to"),
    "as-of": ("key", "as_of"),
    "versions": ("key", "valid_from", "valid_to"),
}
TIMES = {"window_from", "window_to", "session_from", "session_to", "as_of", "valid_from", "valid_to"}
FORMATS = ("string", "json", "int64", "int32", "double", "float", "hex", "base64", "avro")
OVERRIDES = ("key_format", "value_format")
# Readers of keys that take a query's text as it stands; others take it as JSON (docs/contracts.md, section 2).
AS_TEXT = {"string", "uuid", "hex", "base64", "bytes", "int32", "int64", "double", "float"}


@dataclass(frozen=True)
class Query:
    """One query. ``problem`` is None when ``params`` can be sent."""

    by: str
    written: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def fields_of(by: str, kind: str) -> tuple[str, ...]:
    """Return the fields of a way: a key in a window store can be narrowed to some windows."""
    if by == "key" and kind == "window":
        return ("key", "window_from", "window_to")
    if by == "key" and kind == "session":
        return ("key", "session_from", "session_to")
    return FIELDS[by]


def read(get: Mapping[str, str], kind: str) -> Query:
    """Read the query of a URL; without one it is the store's first entries."""
    ways = WAYS.get(kind, WAYS["key-value"])
    by = get.get("by", "")
    if by not in ways:
        by = next((way for way in ways if any(get.get(name) for name in FIELDS[way])), "all")
    names = fields_of(by, kind)
    written = {
        name: value
        for name in (*names, "where", "partition", *OVERRIDES, "reverse", "limit")
        if (value := get.get(name, ""))
    }
    if by in {"key", "as-of", "versions"} and "key" not in written:
        return Query(by, written, problem="Write the key to look for.")
    if by == "prefix" and "prefix" not in written:
        return Query(by, written, problem="Write the prefix that the keys begin with.")
    if written.get("partition") and not written["partition"].isdigit():
        return Query(by, written, problem="A partition is a whole number.")
    params = {"limit": str(LIMIT)} | written
    for name in TIMES & params.keys():
        moment = milliseconds(params[name])
        if moment is None:
            return Query(
                by,
                written,
                problem=f"{params[name]!r} is not a time. Write 2013-01-31T17:00 (UTC) or milliseconds since 1970.",
            )
        params[name] = str(moment)
    if not params["limit"].isdigit():
        params["limit"] = str(LIMIT)
    if by == "versions":
        params.pop("reverse", None)
        params.setdefault("valid_from", "0")
    if get.get("cursor"):
        params["cursor"] = get["cursor"]
    return Query(by, written, params)


def milliseconds(text: str) -> int | None:
    """Return a time as ms since the epoch: ISO text without a zone is UTC, digits are ms. None when it is neither."""
    if text.lstrip("-").isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def address_of(entry: dict[str, Any], written: Mapping[str, str], serde: str | None) -> dict[str, str]:
    """Return the parameters that lead back to one entry: its key as query text, its window or session, its partition.

    How a key stands in a query depends on what reads it: the reader's format, else the store's serde.
    """
    key = entry["key"]
    address = {"partition": str(entry["partition"])} | {name: written[name] for name in OVERRIDES if name in written}
    if "key_bytes" in entry:
        address["key"] = json.dumps({"base64": entry["key_bytes"]})
    elif isinstance(key, dict) and "base64" in key:
        address |= {"key": key["base64"], "key_format": "base64"}
    elif isinstance(key, str) and (written.get("key_format") or serde) in AS_TEXT:
        address["key"] = key
    else:
        address["key"] = json.dumps(key, ensure_ascii=False)
    for span in ("window", "session"):
        if entry.get(span):
            start = str(entry[span]["start"])
            address |= {f"{span}_from": start, f"{span}_to": start}
    return address
