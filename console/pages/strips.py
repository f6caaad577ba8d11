"""The partition strip's cells: what each partition looks like, and the same in words.

One cell a partition. Hue says who owns it, fill how far it is restored, the look what is special about it:

    ``""`` owned · ``standby`` · ``moving`` · ``stalled`` · ``unreachable`` · ``unknown``

`strip.css` draws up to 200 cells, `strip-map.js` more. Both read what this module writes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

# Above this a row of cells is taller than what it explains, and a canvas is quicker than elements.
CELLS_MAX = 200
STEPS = 20
LETTERS = {"": "o", "standby": "s", "moving": "m", "stalled": "x", "unreachable": "r", "unknown": "u"}


def cell(partition: dict[str, Any], palette: dict[str, int], href: str = "") -> dict[str, Any]:
    """Return one cell of a store partition as the snapshots describe it."""
    owner = partition.get("owner")
    look = look_of(partition)
    done = partition.get("percent")
    restoring = partition.get("phase") not in {None, "done"}
    words = [f"Partition {partition['partition']}", owner or "no owner known"]
    if look in {"moving", "unreachable", "stalled", "standby"}:
        words.append(look)
    if restoring:
        words.append(f"restoring {done:.0f} %" if done is not None else "restoring, progress not known")
    elif partition.get("lag"):
        words.append(f"lag {partition['lag']:,}")
    if partition.get("reason"):
        words.append(str(partition["reason"]))
    fill = _fill(done, restoring=restoring)
    hue = palette.get(owner, None) if owner else None
    return {
        "partition": partition["partition"],
        "classes": " ".join(part for part in (f"hue-{hue}" if hue is not None else "", look, f"f{fill}" if fill < STEPS else "") if part),
        "title": " · ".join(words),
        "look": look,
        "restoring": restoring,
        "href": href,
        "packed": f"{'-' if hue is None else hue}:{LETTERS[look]}:{fill * 100 // STEPS}",
    }


def look_of(partition: dict[str, Any]) -> str:
    """Return the look; the worst that holds wins."""
    state = partition.get("state")
    if state == "unreachable":
        return "unreachable"
    if not partition.get("owner"):
        return "moving" if state == "moving" else "unknown"
    if partition.get("stalled"):
        return "stalled"
    if state in {"moving", "suspended", "closing"}:
        return "moving"
    return "standby" if partition.get("role") == "standby" else ""


def _fill(done: float | None, *, restoring: bool) -> int:
    """Return the fill in steps of 5 %: full only when restored, empty when the progress isn't known."""
    if not restoring:
        return STEPS
    return min(int((done or 0.0) / 100 * STEPS), STEPS - 1)


def summary(cells: list[dict[str, Any]]) -> str:
    """Say in words what a strip shows, for a screen reader in front of a canvas."""
    looks = Counter(each["look"] or "owned" for each in cells)
    restoring = sum(1 for each in cells if each["restoring"])
    parts = [f"{count:,} {look}" for look, count in looks.most_common()]
    if restoring:
        parts.append(f"{restoring:,} restoring")
    return f"{len(cells):,} partitions: " + ", ".join(parts)


def packed(cells: list[dict[str, Any]]) -> str:
    """Return the cells as `strip-map.js` reads them."""
    return " ".join(each["packed"] for each in cells) if len(cells) > CELLS_MAX else ""
