"""Serdes: `serdes.string`, `serdes.int64`, `serdes.json` … and what it takes to write one's own."""

from __future__ import annotations

from engine.serdes.json_text import json
from engine.serdes.primitive import boolean, double, int32, int64, string, uuid
from engine.serdes.primitive import raw as bytes  # noqa: A004 - `serdes.bytes` is the public name
from engine.serdes.serde import Serde
from engine.serdes.windowed import SessionWindowedSerde, TimeWindowedSerde

__all__ = [
    "Serde",
    "SessionWindowedSerde",
    "TimeWindowedSerde",
    "boolean",
    "bytes",
    "double",
    "int32",
    "int64",
    "json",
    "string",
    "uuid",
]
