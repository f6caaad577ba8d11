"""Answers whose keys or values only the console can read: asked for as bytes, read here, and filtered here.

An engine holds ``where=`` against what it can read itself. Where a reader wants Avro, rows are fetched as bytes, decoded, and
looked at here, with the engine's own grammar and bounds, so that a page means the same. Blocking; called by ``entries``.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import orjson

from console.browse import avro
from engine.query import encoding
from engine.query.expression import compiled
from engine.query.limits import (
    FILTER_CHUNK_ROWS,
    FILTER_ROWS_MAX,
    FILTER_SECONDS_MAX,
    PAGE_BYTES_MAX,
    PAGE_ENTRIES_DEFAULT,
)
from engine.query.refusal import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.query.expression import Test

    Question = Callable[[dict[str, str]], dict[str, Any]]

_KEYS = ("key", "from", "to")


def is_needed(params: dict[str, str]) -> bool:
    """Say whether a reader wants what the engines cannot read."""
    return avro.FORMAT in {params.get("key_format"), params.get("value_format")}


def page(params: dict[str, str], question: Question, topic: str | None) -> dict[str, Any]:
    """Return the engine's answer with keys, values or both read here; ``topic``: the changelog, whose schema keys have.

    Entries whose key is read here have ``key_bytes`` (base64) too: the one form that surely leads back to them. Raises the
    engine's ``Refusal`` (bad-request), and whatever ``question`` raises.
    """
    reading = avro.Avro(topic)
    names = [name for name in ("key", "value") if params.get(f"{name}_format") == avro.FORMAT]
    given = params | {f"{name}_format": "base64" for name in names}
    if "key" in names:
        if "prefix" in params:
            raise bad_request("a prefix means nothing for keys in Avro: ask for a key, or set key_format=hex")
        for name in _KEYS & params.keys():
            given[name] = base64.b64encode(reading.from_text(params[name], name)).decode()
    where = given.pop("where", None)
    if where is not None:
        return _filtered(given, question, reading, names, compiled(where))
    answer = question(given)
    for entry in answer["entries"]:
        _read(entry, reading, names)
        _write(entry, names)
    return answer


def _filtered(
    given: dict[str, str], question: Question, reading: avro.Avro, names: list[str], test: Test
) -> dict[str, Any]:
    """Return a page of the rows that pass, with ``scanned``; it ends by the engine's bounds, and its cursor goes on."""
    room, size = int(given.get("limit", PAGE_ENTRIES_DEFAULT)), FILTER_CHUNK_ROWS
    until = time.monotonic() + FILTER_SECONDS_MAX
    whole: dict[str, Any] = {"entries": [], "scanned": 0, "sources": []}
    while True:
        answer = question(given | {"limit": str(size)})
        rows = answer["entries"]
        for row in rows:
            _read(row, reading, names)
        passed = [place for place, row in enumerate(rows) if test(row)]
        if len(passed) > room:
            # A cursor stands at the end of an answer, and not within: ask again for no more than is handed on.
            size = passed[room - 1] + 1
            continue
        room -= len(passed)
        found = [rows[place] for place in passed]
        whole = answer | {
            "entries": whole["entries"] + found,
            "scanned": whole["scanned"] + len(rows),
            "sources": together(whole["sources"], answer["sources"]),
        }
        for row in found:
            _write(row, names)
        is_enough = room == 0 or whole["scanned"] >= FILTER_ROWS_MAX or time.monotonic() > until
        is_large = sum(row["size"] or 0 for row in whole["entries"]) >= PAGE_BYTES_MAX
        if not answer["cursor"] or is_enough or is_large or any(each.get("error") for each in answer["sources"]):
            return whole
        given, size = given | {"cursor": answer["cursor"]}, FILTER_CHUNK_ROWS


def together(sources: list[dict[str, Any]], newer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return who answered pages that are one for a reader: of each partition what was said last."""
    asked = {(each["instance"], each["partition"]) for each in newer}
    return [each for each in sources if (each["instance"], each["partition"]) not in asked] + newer


def _read(entry: dict[str, Any], reading: avro.Avro, names: list[str]) -> None:
    for name in names:
        raw = avro.bytes_of(entry.get(name))
        if raw is not None:
            if name == "key":
                entry["key_bytes"] = entry["key"]["base64"]
            entry[name] = reading.decoded(raw)


def _write(entry: dict[str, Any], names: list[str]) -> None:
    """Bring what was read into its JSON form. Filters look at it before: an integer is a number to them, however large."""
    for name in names:
        try:
            entry[name] = orjson.loads(encoding.write(entry[name]))
        except TypeError as error:
            entry[name] = {"undecodable": f"it has no JSON form: {error}"}
