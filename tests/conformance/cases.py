"""Where conformance cases come from: every *.jsonl here and in `CONFORMANCE_VECTORS`, told apart by their fields."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Case(NamedTuple):
    """One line of a file. `format` is `oracle` (measured), `vectors` (from Kafka's own tests), or `unknown`."""

    name: str
    format: str
    content: dict[str, Any]
    file: str


def read_cases() -> list[Case]:
    found = []
    for path in _files():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        contents = [json.loads(line) for line in lines]
        found += [Case(str(c.get("id")), _format(c), c, str(path)) for c in contents]
    return found


def shared_inputs(cases: list[Case]) -> dict[str, dict[str, Any]]:
    """By file, the vectors that others refer to by id: those of the file itself come before those of other files."""
    every = {case.name: case.content for case in cases if case.format == "vectors"}
    shared = {case.file: dict(every) for case in cases}
    for case in cases:
        if case.format == "vectors":
            shared[case.file][case.name] = case.content
    return shared


def _files() -> Iterator[Path]:
    for place in [str(HERE), *os.environ.get("CONFORMANCE_VECTORS", "").split(":")]:
        path = Path(place)
        if not place:
            continue
        if path.is_dir():
            yield from sorted(path.glob("*.jsonl"))
        elif path.exists():
            yield path
        else:
            raise FileNotFoundError(f"CONFORMANCE_VECTORS names {path}, which is not there")


def _format(content: dict[str, Any]) -> str:
    if {"op", "params", "inputs"} <= content.keys():
        return "oracle"
    if "section" in content:
        return "vectors"
    return "unknown"
