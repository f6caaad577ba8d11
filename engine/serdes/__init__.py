"""Serdes: `serdes.string`, `serdes.int64`, `serdes.json` … and what it takes to write one's own.

`serdes.avro(…)`, `serdes.protobuf(…)` and `serdes.json_schema(…)` need a schema registry; their libraries are imported
when one of them is first used, because that takes a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.serdes.json_text import json
from engine.serdes.primitive import boolean, double, int32, int64, string, uuid
from engine.serdes.primitive import raw as bytes  # noqa: A004 - `serdes.bytes` is the public name
from engine.serdes.serde import Serde
from engine.serdes.windowed import SessionWindowedSerde, TimeWindowedSerde

if TYPE_CHECKING:
    from engine.serdes.registry import avro, json_schema, protobuf

__all__ = [
    "Serde",
    "SessionWindowedSerde",
    "TimeWindowedSerde",
    "avro",
    "boolean",
    "bytes",
    "double",
    "int32",
    "int64",
    "json",
    "json_schema",
    "protobuf",
    "string",
    "uuid",
]


def __getattr__(name: str) -> Any:
    if name in {"avro", "json_schema", "protobuf"}:
        from engine.serdes import registry  # noqa: PLC0415 - see the module's text

        return getattr(registry, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
