"""Reading the audit: searched, newest first, a bounded page at a time. Writing it is ``audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from console import limits
from console.models import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

# What can be asked for: a part of any text, and exact values.
FILTERS = ("q", "user", "action", "application", "store")
_EXACT = {"user": "username", "action": "action", "application": "application", "store": "store"}


def read(
    asked: Mapping[str, str], *, before: int | None = None, limit: int = limits.PAGE_ROWS_DEFAULT
) -> dict[str, Any]:
    """Return ``{"entries": […], "next_before": id | None}``; ``before`` is the id under which to go on."""
    found: QuerySet[AuditEntry] = AuditEntry.objects.order_by("-id")
    for name, field in _EXACT.items():
        if asked.get(name):
            found = found.filter(**{field: asked[name]})
    text = asked.get("q", "")
    if text:
        anywhere = Q()
        for field in ("username", "address", "via", "action", "application", "store", "result", "parameters"):
            anywhere |= Q(**{f"{field}__icontains": text})
        found = found.filter(anywhere)
    if before is not None:
        found = found.filter(id__lt=before)
    rows = list(found[: limit + 1])
    return {
        "entries": [_entry(row) for row in rows[:limit]],
        "next_before": rows[limit - 1].pk if len(rows) > limit else None,
    }


def actions() -> list[str]:
    """Return the actions that have entries."""
    return sorted(AuditEntry.objects.order_by().values_list("action", flat=True).distinct())


def _entry(row: AuditEntry) -> dict[str, Any]:
    return {
        "id": row.pk,
        "at": int(row.at.timestamp() * 1000),
        "user": row.username or None,
        "address": row.address or None,
        "via": row.via,
        "action": row.action,
        "application": row.application or None,
        "store": row.store or None,
        "parameters": row.parameters,
        "result": row.result,
    }
