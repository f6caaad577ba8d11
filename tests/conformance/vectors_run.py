"""Runs one vector from Kafka's own tests (RULES.md) by its section."""

from typing import Any

from tests.conformance.vectors import (  # noqa: F401 - they register their sections
    aggregates,
    partitioner,
    stores,
    stream_joins,
    suppression,
    table_joins,
    windows,
)
from tests.conformance.vectors.sections import SECTIONS


def check(vector: dict[str, Any], shared: dict[str, Any], *, batch: bool) -> None:
    section = vector["section"].split()[0]
    assert section in SECTIONS, f"the runner has no adapter for section {section}"
    SECTIONS[section](vector, shared, batch=batch)
