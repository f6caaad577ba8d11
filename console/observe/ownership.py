"""Who had which task when: the timeline, the moves in it, and how it thins. Rows of the database; nothing is inferred.

The observer notes the stretches in which it recorded. What lies between them is a gap: a row that is open across one was
seen on both sides, but nobody looked in between.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Q

from console import limits
from console.models import Observed, Ownership
from console.observe.lives import when
from console.observe.recorded import ms
from console.observe.task_tables import task_order

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from django.db.models import QuerySet

# A page draws this many rows; a busier history than this is cut at its old end, and says so.
_ROWS_MAX = 20_000


def note_observed(now_ms: int) -> None:
    """Say that the observer records now: the newest stretch is made longer, or after a silence another begins."""
    now = when(now_ms)
    newest = Observed.objects.order_by("-until").first()
    if newest is None or now - newest.until > timedelta(milliseconds=3 * limits.OBSERVED_INTERVAL_MS):
        Observed.objects.create(since=now, until=now)
    elif now - newest.until >= timedelta(milliseconds=limits.OBSERVED_INTERVAL_MS):
        Observed.objects.filter(pk=newest.pk).update(until=now)


def gaps(since_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """Return the stretches in which nothing was recorded; all of it where nothing is known of the recording."""
    found = []
    at = since_ms
    for row in Observed.objects.filter(until__gte=when(since_ms), since__lte=when(until_ms)).order_by("since"):
        first, last = ms(row.since) or 0, ms(row.until) or 0
        if first > at:
            found.append((at, first))
        at = max(at, last)
    # The newest stretch is written every few seconds, so its end is not the end of the recording.
    if until_ms - at > 3 * limits.OBSERVED_INTERVAL_MS:
        found.append((at, until_ms))
    return found


def spells(app: str, since_ms: int, until_ms: int, tasks: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return who had which task (those of ``tasks``, by default all) in the window, oldest first; ``until`` is None while it lasts."""
    rows = Ownership.objects.filter(_overlapping(since_ms, until_ms), application_id=app)
    return _spells(rows if tasks is None else rows.filter(task__in=tasks))


def spells_that_moved(app: str, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """Return the active spells of the tasks that had more than one in the window: all that ``moves`` needs, and few, as a rule."""
    rows = Ownership.objects.filter(_overlapping(since_ms, until_ms), application_id=app, role="active")
    several = rows.values("task").annotate(spells=Count("id")).filter(spells__gt=1).values("task")
    return _spells(rows.filter(task__in=several))


def _overlapping(since_ms: int, until_ms: int) -> Q:
    return Q(since__lte=when(until_ms)) & (Q(until__isnull=True) | Q(until__gte=when(since_ms)))


def _spells(rows: QuerySet[Ownership]) -> list[dict[str, Any]]:
    found = rows.order_by("-since", "-id").values_list("task", "instance", "role", "since", "until", "reason")
    return [
        {"task": task, "instance": instance, "role": role, "since": ms(since), "until": ms(until), "reason": reason or None}
        for task, instance, role, since, until, reason in reversed(found[:_ROWS_MAX])
    ]  # fmt: skip


def moves(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each time that a task went from one owner to another (or began to have one), oldest first."""
    last: dict[str, dict[str, Any]] = {}
    moved = []
    for spell in found:
        if spell["role"] != "active":
            continue
        former = last.get(spell["task"])
        if former is not None and former["instance"] != spell["instance"]:
            # How long it had no owner; below 0 two reported it at once, which is no pause.
            pause = max(spell["since"] - former["until"], 0) if former["until"] is not None else 0
            why = former["reason"] if former["until"] is not None else None
            moved.append({"task": spell["task"], "from": former["instance"], "to": spell["instance"], "at": spell["since"], "pause_ms": pause, "why": why})  # fmt: skip
        last[spell["task"]] = spell
    return sorted(moved, key=lambda move: move["at"])


def flapping(moved: list[dict[str, Any]], now_ms: int) -> dict[str, int]:
    """Return the tasks that moved too often lately, with how often."""
    counts: dict[str, int] = {}
    for move in moved:
        if now_ms - move["at"] <= limits.FLAPPING_MS:
            counts[move["task"]] = counts.get(move["task"], 0) + 1
    often = {task: count for task, count in counts.items() if count >= limits.FLAPPING_MOVES}
    return dict(sorted(often.items(), key=lambda each: (-each[1], task_order(each[0]))))


def owner_at(found: list[dict[str, Any]], task: str, at_ms: int) -> dict[str, Any] | None:
    """Return the spell of the active owner at a moment."""
    held = [
        spell
        for spell in found
        if spell["task"] == task
        and spell["role"] == "active"
        and spell["since"] <= at_ms
        and (spell["until"] is None or spell["until"] > at_ms)
    ]
    return held[-1] if held else None


def thin(now: datetime) -> int:
    """Drop old rows: all of them after ninety days, and after a week those of spells shorter than a minute."""
    old = Q(until__lt=now - timedelta(milliseconds=limits.OWNERSHIP_KEEP_MS))
    short = Q(until__lt=now - timedelta(milliseconds=limits.OWNERSHIP_FULL_MS)) & Q(
        until__lt=F("since") + timedelta(milliseconds=limits.OWNERSHIP_SPELL_MS)
    )
    deleted = Ownership.objects.filter(old | short).delete()[0]
    return (
        deleted + Observed.objects.filter(until__lt=now - timedelta(milliseconds=limits.OWNERSHIP_KEEP_MS)).delete()[0]
    )
