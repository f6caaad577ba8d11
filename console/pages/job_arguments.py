"""What a kind of job is asked for beside its partitions: the fields of its form, and the arguments that they make.

A form's fields are text; a job's arguments are what ``jobs`` takes. Words say what is wrong with a field.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console.browse import past
from console.pages import query

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPORT_FORMATS = (("jsonl", "JSON Lines"), ("csv", "CSV"), ("parquet", "Parquet"))
_KEEP = (("24", "a day"), ("72", "three days"), ("168", "a week"), ("720", "a month"))


def fields(kind: str, given: Mapping[str, str], app: str, store: str) -> list[dict[str, Any]]:
    """Return the fields of a kind with what was given."""
    if kind == "snapshot":
        return [
            {
                "name": "as_of_time",
                "label": "As of a time (UTC), as the records are stamped",
                "value": given.get("as_of_time", ""),
                "placeholder": "2013-01-31T17:00",
            },
            {
                "name": "as_of_offset",
                "label": "or before an offset, of one partition",
                "value": given.get("as_of_offset", ""),
                "placeholder": "58665",
            },
            {"name": "keep_hours", "label": "Keep it for", "value": given.get("keep_hours", "72"), "options": _KEEP},
        ]
    if kind == "verify":
        taken = [(each["id"], f"snapshot #{each['number']}, {as_of_words(each)}") for each in past.listing(app, store)]
        options = (("", "its changelog"), *taken)
        return [
            {
                "name": "against",
                "label": "Compare the store with",
                "value": given.get("against", ""),
                "options": options,
            }
        ]
    return []


def read(kind: str, given: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Return the arguments, and what is wrong with them (or nothing)."""
    if kind == "snapshot":
        return _snapshot(given)
    against = given.get("against", "") if kind == "verify" else ""
    return ({"against": against} if against else {}), ""


def _snapshot(given: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    time, offset, keep = (given.get(name, "").strip() for name in ("as_of_time", "as_of_offset", "keep_hours"))
    arguments: dict[str, Any] = {"keep_hours": int(keep) if keep.isdecimal() and len(keep) < 6 else 72}  # noqa: PLR2004
    if bool(time) == bool(offset):
        return arguments, "Say as of when: a time, or an offset, and not both."
    if offset:
        text = offset.replace(",", "")
        if not text.isdecimal() or len(text) > 18:  # noqa: PLR2004 - what an int64 surely holds
            return arguments, f"{offset!r} is not an offset: write a whole number."
        return arguments | {"as_of_offset": int(text)}, ""
    moment = query.milliseconds(time)
    if moment is None:
        return arguments, f"{time!r} is not a time. Write 2013-01-31T17:00 (UTC) or milliseconds since 1970."
    return arguments | {"as_of_time": moment}, ""


def as_of_words(snapshot: dict[str, Any]) -> str:
    """Say as of when a snapshot is."""
    as_of = snapshot["as_of"]
    if as_of.get("offset") is not None:
        return f"before offset {as_of['offset']:,}"
    try:
        moment = datetime.fromtimestamp(as_of["time_ms"] / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"as of {as_of['time_ms']} ms"
    return f"as of {moment:%Y-%m-%d %H:%M:%S} UTC"
