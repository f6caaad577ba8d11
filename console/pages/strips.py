"""The partition strip's cells: what each partition looks like, and the same in words.

One cell a partition, from the snapshots' ``strip``. Hue says who owns it, fill how far it is restored or caught up,
the look what is special about it:

    ``""`` owned · ``standby`` · ``moving`` · ``stalled`` · ``unreachable`` · ``unknown``

`strip.css` draws up to 200 cells, `strip-map.js` more. Both read what this module writes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

# Above this a row of cells is taller than what it explains, and a canvas is quicker than elements.
CELLS_MAX = 200
# Up to here each cell is a target of its own, 24 px apart (WCAG 2.5.8); above it the strip is one link.
TARGETS_MAX = 32
STEPS = 20
LOOKS = {
    "running": "", "restoring": "", "queued": "", "moving": "moving", "suspended": "moving", "closing": "moving",
    "stalled": "stalled", "unreachable": "unreachable", "expired": "unreachable",
}  # fmt: skip
LETTERS = {"": "o", "standby": "s", "moving": "m", "stalled": "x", "unreachable": "r", "unknown": "u"}


def cells(strip: dict[str, Any], palette: dict[str, int], href: str = "") -> list[dict[str, Any]]:
    """Return the cells of a snapshot's strip; ``href`` is the page that explains a partition."""
    names = strip["instances"]
    return [
        cell(
            number,
            names[owner] if owner is not None else None,
            fill,
            state,
            standbys,
            palette,
            f"{href}#partition-{number}" if href else "",
        )
        for number, owner, fill, state, standbys in strip["cells"]
    ]


def cell(
    partition: int,
    owner: str | None,
    fill: float | None,
    state: str | None,
    standbys: int,
    palette: dict[str, int],
    href: str = "",
) -> dict[str, Any]:
    """Return one cell: its classes, its words, and the token that the canvas reads."""
    look = LOOKS.get(state or "", "unknown")
    if owner is None and look == "":
        look = "unknown"
    words = [f"Partition {partition}", owner or "no owner", state or "not known"]
    if state == "restoring" or (fill is not None and fill < 100):  # noqa: PLR2004 - percent
        words.append(f"{fill:.0f} %" if fill is not None else "progress not known")
    if standbys:
        words.append(f"{standbys} standby" if standbys == 1 else f"{standbys} standbys")
    hue = palette.get(owner) if owner else None
    step = _step(fill, look)
    classes = [f"hue-{hue}" if hue is not None else "", look, f"f{step}" if step < STEPS else ""]
    return {
        "partition": partition,
        "classes": " ".join(part for part in classes if part),
        "title": " · ".join(words),
        "look": look,
        "restoring": state == "restoring",
        "href": href,
        "packed": f"{'-' if hue is None else hue}:{LETTERS[look]}:{step * 100 // STEPS}",
    }


def _step(fill: float | None, look: str) -> int:
    """Return the fill in steps of 5 %: full only at 100 %, empty when it isn't known, whole where hatching speaks."""
    if look in {"moving", "unreachable"}:
        return STEPS
    if fill is None:
        return 0
    return min(int(fill / 100 * STEPS), STEPS)


def summary(drawn: list[dict[str, Any]]) -> str:
    """Say in words what a strip shows, for a screen reader in front of a canvas."""
    looks = Counter(each["look"] or "owned" for each in drawn)
    restoring = sum(1 for each in drawn if each["restoring"])
    parts = [f"{count:,} {look}" for look, count in looks.most_common()]
    if restoring:
        parts.append(f"{restoring:,} restoring")
    return f"{len(drawn):,} partitions: " + ", ".join(parts)


def packed(drawn: list[dict[str, Any]]) -> str:
    """Return the cells as `strip-map.js` reads them."""
    return " ".join(each["packed"] for each in drawn) if len(drawn) > CELLS_MAX else ""
