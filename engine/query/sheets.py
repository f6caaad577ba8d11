"""The formats of an export: each a sheet that takes entries, page after page, and writes them to an open binary file.

The columns are the same everywhere: partition, key, value, timestamp, start and end (of a window or session; ms). JSON Lines
keeps values as they are; CSV and Parquet have one type a column, so what is not text stands there as JSON. Used by
`manage.py store export` and by the console's export jobs; one thread a sheet.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ("partition", "key", "value", "timestamp", "start", "end")
# A spreadsheet takes text that begins so for a formula, whoever wrote it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Rows of a Parquet row group: what is held in memory until it is written.
_GROUP_ROWS = 10_000
_GROUP_BYTES = 16 * 1024 * 1024


class Sheet(Protocol):
    """Use it in a ``with`` statement: only then is its end written."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Write entries (docs/contracts.md, section 2)."""


class JsonLines:
    """An entry a line, without what it does not have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing remains to be written."""

    def add(self, entries: list[dict[str, Any]]) -> None:
        """See Sheet."""
        self._file.write(b"".join(map(_json_line, entries)))


class Csv:
    """RFC 4180 with a header; harmless in a spreadsheet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> Self:
        self._file.write(_csv([*COLUMNS]))
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing remains to be written."""

    def add(self, entries: list[dict[str, Any]]) -> None:
        """See Sheet."""
        for entry in entries:
            partition, key, value, *moments = _cells(entry)
            self._file.write(_csv([partition, _cell(key), _cell(value), *moments]))


class Parquet:
    """Apache Parquet, zstd, in row groups. pyarrow is imported when one is made: it takes a quarter of a second."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow as pa  # noqa: PLC0415 - see the class
        import pyarrow.parquet as pq  # noqa: PLC0415

        self._pa = pa
        moment = pa.timestamp("ms", tz="UTC")
        types = (pa.int32(), pa.string(), pa.string(), moment, moment, moment)
        self._schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[list[Any]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Write the last group and the footer; a file that is given up needs neither."""
        if raised[0] is None:
            self._flush()
        self._writer.close()

    def add(self, entries: list[dict[str, Any]]) -> None:
        """See Sheet."""
        for entry in entries:
            partition, key, value, *moments = _cells(entry)
            self._rows.append([partition, _text(key), _text(value), *moments])
            self._bytes += entry.get("size") or 0
        if len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            table = self._pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=self._schema)
            self._writer.write_table(table)
        self._rows, self._bytes = [], 0


SHEETS: dict[str, Callable[[BinaryIO], Sheet]] = {"jsonl": JsonLines, "csv": Csv, "parquet": Parquet}


def _cells(entry: dict[str, Any]) -> tuple[Any, ...]:
    bounds = entry.get("window") or entry.get("session") or {}
    return (
        entry["partition"],
        entry["key"],
        entry["value"],
        entry.get("timestamp"),
        bounds.get("start"),
        bounds.get("end"),
    )


def _json_line(entry: dict[str, Any]) -> bytes:
    kept = {name: value for name, value in entry.items() if value is not None or name in {"key", "value"}}
    return json.dumps(kept, ensure_ascii=False).encode(errors="replace") + b"\n"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode(errors="replace").decode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return safe_text(value)
    if value is None or isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value


def safe_text(text: str) -> str:
    """Return the text as a spreadsheet may have it: never a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _csv(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode(errors="replace")
