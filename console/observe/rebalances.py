"""Rebalances: moves that belong together, with why they happened as far as it was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q

from console.models import Event, Instance
from console.observe.lives import when
from console.observe.recorded import ms

if TYPE_CHECKING:
    from collections.abc import Iterable

# Moves this close together are one rebalance; a cooperative one takes two rounds.
_TOGETHER_MS = 10_000
# A member that came or went this long before the first move is its cause: the session timeout lies between.
_BEFORE_MS = 20_000
_AFTER_MS = 3_000
# A task that still restores after this belongs to the restores page.
_RUNS_WITHIN_MS = 30 * 60_000


def of_moves(app: str, moved: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rebalances, newest first: when, why, how many tasks went from where to where, and how long until all ran."""
    groups: list[list[dict[str, Any]]] = []
    for move in moved:
        if groups and move["at"] - groups[-1][-1]["at"] <= _TOGETHER_MS:
            groups[-1].append(move)
        else:
            groups.append([move])
    if not groups:
        return []
    first, last = _began(groups[0]) - _BEFORE_MS, groups[-1][-1]["at"]
    lives = _lives(app, first, last + _AFTER_MS)
    runs = _runs(app, first, last + _RUNS_WITHIN_MS)
    return [_rebalance(group, lives, runs) for group in reversed(groups)]


def _rebalance(
    group: list[dict[str, Any]], lives: list[tuple[int, str]], runs: list[tuple[int, str]]
) -> dict[str, Any]:
    began = _began(group)
    tasks = {move["task"] for move in group}
    causes = [words for at, words in lives if began - _BEFORE_MS <= at <= group[-1]["at"] + _AFTER_MS]
    ends = [_first_run(task, began, runs) for task in tasks]
    known = [at for at in ends if at is not None]
    return {
        "at": began,
        "cause": "; ".join(dict.fromkeys(causes)) or _from_moves(group),
        "tasks": len(tasks),
        "moves": group,
        # Until the last of its tasks ran. Unknown where one has not been seen to run.
        "duration_ms": max(known) - began if known and len(known) == len(ends) else None,
        "pause_ms": max(move["pause_ms"] for move in group),
    }


def _began(group: list[dict[str, Any]]) -> int:
    """Return when the first of its tasks was given up."""
    return min(int(move["at"]) - int(move["pause_ms"]) for move in group)


def _first_run(task: str, since: int, runs: Iterable[tuple[int, str]]) -> int | None:
    return next((at for at, name in runs if name == task and at >= since), None)


def _from_moves(group: list[dict[str, Any]]) -> str | None:
    reasons = dict.fromkeys(f"{move['from']}: {move['why']}" for move in group if move["why"])
    return "; ".join(reasons) or None


_ENDINGS = {
    "stopped": "left",
    "replaced": "started anew",
    "expired": "fell silent",
    "unseen": "went while nobody observed",
}


def _lives(app: str, since_ms: int, until_ms: int) -> list[tuple[int, str]]:
    """Return when instances came and went, in words."""
    within = (when(since_ms), when(until_ms))
    rows = Instance.objects.filter(Q(started_at__range=within) | Q(ended_at__range=within), application_id=app)
    found = []
    for row in rows:
        started, ended = ms(row.started_at) or 0, ms(row.ended_at)
        if since_ms <= started <= until_ms:
            found.append((started, f"{row.name} joined"))
        if ended is not None and since_ms <= ended <= until_ms:
            found.append((ended, f"{row.name} {_ENDINGS.get(row.ending, 'ended')}"))
    return sorted(found)


def _runs(app: str, since_ms: int, until_ms: int) -> list[tuple[int, str]]:
    """Return when instances said that a task runs."""
    rows = Event.objects.filter(
        application_id=app, event="task-assigned", at__range=(when(since_ms), when(until_ms))
    ).order_by("at")
    return [(ms(at) or 0, task) for at, task in rows.values_list("at", "task")[:20_000]]
