"""Keys and values as text for a page: bytes of strangers, so cut at a bound and never trusted to be anything.

The result is plain text; templates escape it like any other.
"""

from __future__ import annotations

import json
from typing import Any, TypedDict

from console import limits


class Displayed(TypedDict):
    """``kind`` says how the text was got: ``text``, ``number``, ``json``, ``base64``, ``undecodable`` or ``null``."""

    text: str
    cut: bool
    kind: str


# What stands for a control character, so that it can be seen and turns nothing around (bidirectional ones included).
_CONTROL = {
    code: f"\\u{code:04x}"
    for code in (
        *range(9),
        *range(11, 32),
        *range(127, 160),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0x200E,
        0x200F,
    )
}


def display(value: Any, limit: int = limits.DISPLAY_BYTES_MAX) -> Displayed:
    """Return a decoded key or value as text of at most ``limit`` characters, on one line unless it is JSON."""
    kind, text = _text(value)
    cut = len(text) > limit
    return {"text": text[:limit].translate(_CONTROL), "cut": cut, "kind": kind}


def _text(value: Any) -> tuple[str, str]:  # noqa: PLR0911 - one case a kind
    if value is None:
        return "null", "null"
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool | int | float):
        return "number", json.dumps(value)
    if isinstance(value, dict) and "undecodable" in value:
        return "undecodable", f"{value['undecodable']}: {value.get('base64', '')}"
    if isinstance(value, dict) and set(value) == {"base64"}:
        return "base64", str(value["base64"])
    try:
        return "json", json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    except (RecursionError, ValueError):
        return "undecodable", "nested too deeply to be shown"
