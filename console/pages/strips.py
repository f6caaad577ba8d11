"""The partition strip's cells: what each partition looks like, and the same in words.

One cell a partition, from the snapshots' ``strip``. Hue says who owns it, fill how far it is restored or caught up,
the look what is special about it:

    ``""`` owned · ``standby`` · ``moving`` · ``stalled`` · ``unreachable`` · ``unknown``

`strip.css` draws up to 200 cells, `strip-map.js` more. Both read what this module writes: a packed strip names each kind of
cell once, with the same looks and words that a cell of its own would have.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from console.observe.choice import ROWS

# Up to here each cell is a target of its own, 24 px apart (WCAG 2.5.8); above it the strip is one link.
TARGETS_MAX = 32
STEPS = 20
# A map of so many cells takes the height that there is, whatever the window: its place is kept before it is drawn.
_TALL = 4_000
LOOKS = {
    "running": "", "restoring": "", "queued": "", "moving": "moving", "suspended": "moving", "closing": "moving",
    "stalled": "stalled", "unreachable": "unreachable", "expired": "unreachable",
}  # fmt: skip
# What `strip-map.js` calls the looks.
LETTERS = {"": "o", "standby": "s", "moving": "m", "stalled": "x", "unreachable": "r", "unknown": "u"}


def drawn(strip: dict[str, Any], palette: dict[str, int], href: str = "") -> dict[str, Any]:
    """Return what a strip is drawn from: its cells, or the map of a packed one. ``href`` is the page of its partitions."""
    if "packed" in strip:
        return {"cells": [], "map": packed(strip, palette, href)}
    return {"cells": cells(strip, palette, href), "href": href, "map": None}


def cells(strip: dict[str, Any], palette: dict[str, int], href: str = "") -> list[dict[str, Any]]:
    """Return the cells of a snapshot's strip; ``href`` is the page that explains a partition."""
    names = strip["instances"]
    pages = len(strip["cells"]) > ROWS
    return [
        cell(
            number,
            names[owner] if owner is not None else None,
            fill,
            state,
            standbys,
            palette,
            partition_link(href, number, pages=pages),
        )
        for number, owner, fill, state, standbys in strip["cells"]
    ]


def partition_link(href: str, number: int, *, pages: bool) -> str:
    """Return the way to a partition's row; of a paged table to the page that it is on."""
    return f"{href}{f'?at={number}' if pages else ''}#partition-{number}" if href else ""


def packed(strip: dict[str, Any], palette: dict[str, int], href: str = "") -> dict[str, Any]:
    """Return the map of a packed strip, as `strip-map.js` reads it."""
    names = strip["instances"]
    kinds, states = [], dict[str, int]()
    for owner, fill, state, standbys, count in strip["kinds"]:
        look, hue, words, step = _kind(names[owner] if owner is not None else None, fill, state, standbys, palette)
        kinds.append([-1 if hue is None else hue, LETTERS[look], step * 100 // STEPS, " · ".join(words)])
        states[state] = states.get(state, 0) + count
    ordered = sorted(states.items(), key=lambda each: -each[1])
    return {
        "kinds": json.dumps(kinds, ensure_ascii=False, separators=(",", ":")),
        "packed": strip["packed"],
        "digits": strip["digits"],
        "numbers": json.dumps(strip["numbers"], separators=(",", ":")) if strip["numbers"] else "",
        "count": strip["count"],
        "is_tall": strip["count"] > _TALL,
        "first": (strip["numbers"] or [0])[0],
        "last": (strip["numbers"] or [strip["count"] - 1])[-1],
        "href": href,
        "summary": f"{strip['count']:,} partitions: " + ", ".join(f"{count:,} {state}" for state, count in ordered),
        "states": [
            {"state": state, "count": count, "href": f"{href}?{urlencode({'state': state})}" if href else ""}
            for state, count in ordered
        ],
    }


def cell(
    partition: int,
    owner: str | None,
    fill: float | None,
    state: str | None,
    standbys: int,
    palette: dict[str, int],
    href: str = "",
) -> dict[str, Any]:
    """Return one cell: its classes, its words, where it leads."""
    look, hue, words, step = _kind(owner, fill, state, standbys, palette)
    classes = [f"hue-{hue}" if hue is not None else "", look, f"f{step}" if step < STEPS else ""]
    return {
        "partition": partition,
        "classes": " ".join(part for part in classes if part),
        "title": " · ".join([f"Partition {partition}", *words]),
        "look": look,
        "restoring": state == "restoring",
        "href": href,
    }


def _kind(
    owner: str | None, fill: float | None, state: str | None, standbys: int, palette: dict[str, int]
) -> tuple[str, int | None, list[str], int]:
    """Return how a kind of cell looks, its hue, the same in words, and its fill in steps."""
    look = LOOKS.get(state or "", "unknown")
    if owner is None and look == "":
        look = "unknown"
    words = [owner or "no owner", state or "not known"]
    if state == "restoring" or (fill is not None and fill < 100):  # noqa: PLR2004 - percent
        words.append(f"{int(fill)} %" if fill is not None else "progress not known")
    if standbys:
        words.append(f"{standbys} standby" if standbys == 1 else f"{standbys} standbys")
    return look, palette.get(owner) if owner else None, words, _step(fill, look)


def _step(fill: float | None, look: str) -> int:
    """Return the fill in steps of 5 %: full only at 100 %, empty when it isn't known, whole where hatching speaks."""
    if look in {"moving", "unreachable"}:
        return STEPS
    if fill is None:
        return 0
    return min(int(fill / 100 * STEPS), STEPS)


def summary(drawn_cells: list[dict[str, Any]]) -> str:
    """Say in words what a row of cells shows, for a screen reader in front of one link."""
    looks: dict[str, int] = {}
    for each in drawn_cells:
        looks[each["look"] or "owned"] = looks.get(each["look"] or "owned", 0) + 1
    restoring = sum(1 for each in drawn_cells if each["restoring"])
    parts = [f"{count:,} {look}" for look, count in sorted(looks.items(), key=lambda each: -each[1])]
    if restoring:
        parts.append(f"{restoring:,} restoring")
    return f"{len(drawn_cells):,} partitions: " + ", ".join(parts)
