"""Ownership over time: who had which task, when and why it moved, and what was not recorded."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console.access.policy import requires
from console.observe import ownership, rebalances, snapshot
from console.pages import chooser, hues, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SPANS = {"1h": 3_600_000, "6h": 6 * 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000}
_REBALANCES_MAX = 50
_HOUR_MS = 3_600_000


@requires("read-status")
def timeline(request: HttpRequest, app: str) -> HttpResponse:
    """Draw the timeline of an application."""
    span = request.GET.get("span", "1h")
    span = span if span in SPANS else "1h"
    now = int(time.time() * 1000)
    since = now - SPANS[span]
    # Ownership before the window says who had it when the window began.
    began = min(since, now - _HOUR_MS)
    moved = ownership.moves(ownership.spells_that_moved(app, began, now))
    inside = [move for move in moved if move["at"] >= since]
    choice = chooser.read(request.GET)
    # Those of tasks that moved come first, then the rest in order.
    seen = shell.found(snapshot.tasks(app, choice, {move["task"] for move in inside}), f"an application {app!r}")
    tasks = snapshot.rows(seen["tasks"])
    spells = ownership.spells(app, began, now, [task["task"] for task in tasks])
    palette = hues.palette({*seen["instances"], *(each["instance"] for each in [*spells, *_ends(inside)])})
    flapping = ownership.flapping(moved, now)
    by_task: dict[str, list[dict[str, Any]]] = {}
    for spell in spells:
        by_task.setdefault(spell["task"], []).append(spell)
    context = {
        "it": seen,
        "palette": palette,
        "span": span,
        "spans": list(SPANS),
        "rows": [_row(task, by_task.get(task["task"], []), moved, palette, since, now) for task in tasks],
        "chosen": chooser.shown(request.GET, choice, seen["chosen"], noun="tasks", anchor="h-timeline"),
        "gaps": [_stretch(first, last, since, now) for first, last in ownership.gaps(since, now)],
        "ticks": _ticks(since, now),
        "rebalances": rebalances.of_moves(app, inside)[:_REBALANCES_MAX],
        "flapping": [
            {"task": task, "count": count, "between": sorted({each for move in moved if move["task"] == task for each in (move["from"], move["to"])})}
            for task, count in flapping.items()
        ],
    }  # fmt: skip
    return shell.page(
        request, "pages/ownership.html", seen, context, section="application", topic=f"app:{app}", app=app
    )


def _ends(moved: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the instances at both ends of each move."""
    return [{"instance": move[end]} for move in moved for end in ("from", "to")]


def _row(
    task: dict[str, Any],
    spells: list[dict[str, Any]],
    moved: list[dict[str, Any]],
    palette: dict[str, int],
    since: int,
    now: int,
) -> dict[str, Any]:
    name = task["task"]
    before = ownership.owner_at(spells, name, now - _HOUR_MS)
    latest = next((move for move in reversed(moved) if move["task"] == name), None)
    bars = []
    for spell in spells:
        if spell["until"] is not None and spell["until"] <= since:
            continue
        stretch = _stretch(spell["since"], spell["until"] if spell["until"] is not None else now, since, now)
        standby = spell["role"] == "standby"
        hue = palette.get(spell["instance"], 0)
        bars.append(stretch | spell | {"look": f"bar-hue-{hue}{' bar-standby' if standby else ''}", "standby": standby})
    words = "; ".join(f"{bar['instance']} ({bar['role']})" for bar in bars) or "nobody that was recorded"
    return {
        "task": name,
        "now": task["instance"],
        "state": task["state"],
        "hour_ago": before["instance"] if before else None,
        "latest": latest,
        "bars": bars,
        "words": words,
    }


def _stretch(first: int, last: int, since: int, until: int) -> dict[str, Any]:
    """Return where a stretch of time stands in the drawing, in percent; the shortest can still be seen."""
    whole = max(until - since, 1)
    left = 100 * max(first - since, 0) / whole
    right = 100 * min(max(last - since, 0), whole) / whole
    width = max(right - left, 0.25)
    return {"x": f"{min(left, 99.75):.3f}%", "width": f"{width:.3f}%", "first": first, "last": last}


def _ticks(since: int, until: int) -> list[dict[str, str]]:
    form = "%H:%M" if until - since <= 2 * 86_400_000 else "%d %b"
    quarters = [since + (until - since) * part // 4 for part in range(1, 4)]
    return [
        {"x": f"{25 * (index + 1)}%", "words": datetime.fromtimestamp(at / 1000, UTC).strftime(form)}
        for index, at in enumerate(quarters)
    ]
