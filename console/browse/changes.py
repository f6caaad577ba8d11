"""What changed between two decoded values, in a few lines: the paths of a JSON value, or the value as a whole. Pure."""

from __future__ import annotations

from typing import Any

from console.browse.display import display

PATHS_MAX = 20
TEXT_CHARACTERS_MAX = 120
_DEPTH_MAX = 20


def between(old: Any, new: Any) -> dict[str, Any]:
    """Return ``{"paths": [{"path", "was", "is"}], "more": n}``; ``was`` or ``is`` is None where there was or is nothing.

    The path of a whole value is empty. None stands for a deletion.
    """
    found: list[dict[str, Any]] = []
    if old is None or new is None:
        if old is not new:
            found.append(_line("", _text(old) if old is not None else None, _text(new) if new is not None else None))
    else:
        _walk("", old, new, found, 0)
    return {"paths": found[:PATHS_MAX], "more": max(len(found) - PATHS_MAX, 0)}


def _walk(path: str, old: Any, new: Any, found: list[dict[str, Any]], depth: int) -> None:
    if isinstance(old, dict) and isinstance(new, dict) and depth < _DEPTH_MAX:
        for name in dict.fromkeys([*old, *new]):
            inner = f"{path}.{name}" if path else str(name)
            _member(inner, name in old, name in new, old.get(name), new.get(name), found, depth)
    elif isinstance(old, list) and isinstance(new, list) and depth < _DEPTH_MAX:
        for index in range(max(len(old), len(new))):
            had, has = index < len(old), index < len(new)
            was, now = old[index] if had else None, new[index] if has else None
            _member(f"{path}[{index}]", had, has, was, now, found, depth)
    # In JSON true is not 1, but in Python it is.
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        found.append(_line(path, _text(old), _text(new)))


def _member(
    path: str,
    had: bool,  # noqa: FBT001 - one of a pair, within this module
    has: bool,  # noqa: FBT001
    old: Any,
    new: Any,
    found: list[dict[str, Any]],
    depth: int,
) -> None:
    if had and has:
        _walk(path, old, new, found, depth + 1)
    else:
        found.append(_line(path, _text(old) if had else None, _text(new) if has else None))


def _line(path: str, was: str | None, now: str | None) -> dict[str, Any]:
    return {"path": path, "was": was, "is": now}


def _text(value: Any) -> str:
    shown = display(value, TEXT_CHARACTERS_MAX)
    return shown["text"] + ("…" if shown["cut"] else "")
