"""Tables for a terminal. What is not known is a dash, never 0; stored text is neither markup nor control."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.management.base import BaseCommand

_UNKNOWN = "\N{EN DASH}"
_PIPE_COLUMNS = 300
_TONES = {"OK": "green", "WARN": "yellow", "STALL": "red", "STOP": "red"}


def table(columns: list[tuple[str, str]], rows: Iterable[list[Any]]) -> str:
    """Return a table; a column is its name and ``left`` or ``right``."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in columns:
        made.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(each) for each in row))
    # A pipe has no width: rows then stay on one line each, for whoever searches in them.
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_COLUMNS)
    with console.capture() as captured:
        console.print(made)
    return captured.get()


def say(command: BaseCommand, options: dict[str, Any], found: Any, text: str) -> None:
    """Write the text, or with ``--json`` what it was made from."""
    if options["json"]:
        command.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        command.stdout.write(text, ending="")


def moment(at_ms: int | None) -> str:
    """Write a time, in UTC."""
    return _UNKNOWN if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def number(value: float | None) -> str:
    """Write a whole number with thousands separators."""
    return _UNKNOWN if value is None else f"{round(value):,}"


def rate(value: float | None) -> str:
    """Write a rate per second, its sign always shown where it is a change."""
    return _UNKNOWN if value is None else f"{value:,.1f}/s"


def size(value: float | None) -> str:
    """Write bytes in decimal units."""
    if value is None:
        return _UNKNOWN
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(amount) < 1000:  # noqa: PLR2004 - decimal units
            return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def span(ms: float | None) -> str:
    """Write a length of time."""
    if ms is None:
        return _UNKNOWN
    seconds = ms / 1000
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004


def eta(value: float | str | None) -> str:
    """Write how long something will take: seconds, ``never`` or unknown."""
    if value == "never":
        return "never, at this rate"
    return _UNKNOWN if value is None else span(float(value) * 1000)


def verdict(status: str) -> tuple[str, str]:
    """Return a verdict and its colour."""
    return status, _TONES.get(status, "")


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        text, tone = value
        return f"[{tone}]{escape(text)}[/]" if tone else escape(text)
    text = _UNKNOWN if value is None or value == "" else str(value)
    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
