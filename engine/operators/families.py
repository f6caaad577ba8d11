"""Imports every family of operators, so that each operation finds its processor."""

from __future__ import annotations

from importlib import import_module

# One module a family; a module registers its processors with `@implements` when it is imported.
FAMILIES = (
    "sources",
    "sinks",
    "stateless",
    "aggregates",
    "table_aggregates",
    "tables",
    "processor_api",
    "time_windows",
    "sliding_windows",
    "session_windows",
    "suppress",
    "cogroup",
    "stream_table_join",
    "stream_join",
    "table_join",
    "foreign_key_join",
)

for _family in FAMILIES:
    import_module(f"engine.operators.{_family}")
