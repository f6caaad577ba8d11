"""Entries as a terminal shows them: cells of a table, objects of JSON Lines. Pure functions; any thread."""

import json
from datetime import UTC, datetime
from typing import Any

from engine.query.results import Entry, Page

_CELL_CHARS_MAX = 200


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry with what its store's kind has, and nothing that it lacks."""
    shown: dict[str, Any] = {"key": entry.key, "value": entry.value, "partition": entry.partition, "size": entry.size}
    if entry.timestamp is not None:
        shown["timestamp"] = entry.timestamp
    for name, bounds in (("window", entry.window), ("session", entry.session)):
        if bounds is not None:
            shown[name] = {"start": bounds.start, "end": bounds.end}
    if entry.valid_from is not None:
        shown |= {"valid_from": entry.valid_from, "valid_to": entry.valid_to}
    return shown


def entry_row(shown: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """The cells of an entry: key, value, time (its window or session if it has one), partition, bytes."""
    bounds = shown.get("window") or shown.get("session")
    if bounds:
        time = f"{instant(bounds['start'])} to {instant(bounds['end'])}"
    else:
        time = instant(shown["timestamp"]) if "timestamp" in shown else ""
    size = "" if shown["size"] is None else f"{shown['size']:,}"
    return cell(shown["key"]), cell(shown["value"]), time, str(shown["partition"]), size


def failures(page: Page) -> list[str]:
    """The partitions that did not answer, in words."""
    return [f"partition {source.partition}: {source.error}" for source in page.failures]


def instant(ms: int) -> str:
    """A time in UTC; one beyond the calendar stays a number."""
    try:
        return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def cell(value: Any) -> str:
    """A key or value on one line, cut at 200 characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Control characters in stored text would speak to the terminal.
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _CELL_CHARS_MAX else text[:_CELL_CHARS_MAX] + "…"
