"""A value as a tree of lines for a page: depth, label and text, with a bound, for a value can be anything."""

from __future__ import annotations

import json
from typing import Any

LINES_MAX = 1_000
DEPTH_MAX = 12


def lines(value: Any) -> tuple[list[dict[str, Any]], bool]:
    """Return the lines, and whether the value had more than are shown."""
    made: list[dict[str, Any]] = []
    _walk(value, "", 0, made)
    return made[:LINES_MAX], len(made) > LINES_MAX


def _walk(value: Any, label: str, depth: int, made: list[dict[str, Any]]) -> None:
    if len(made) > LINES_MAX:
        return
    if isinstance(value, dict | list) and value and depth < DEPTH_MAX:
        kind = f"{len(value)} fields" if isinstance(value, dict) else f"{len(value)} items"
        made.append({"depth": depth, "label": label, "text": "", "kind": kind})
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            _walk(inner, str(name), depth + 1, made)
        return
    made.append({"depth": depth, "label": label, "text": json.dumps(value, ensure_ascii=False), "kind": _kind(value)})


def _kind(value: Any) -> str:
    names: dict[type, str] = {str: "text", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), "")
