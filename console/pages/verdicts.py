"""What is wrong, in words, worst first: the lines at the top of a page.

The words themselves are the observer's (``console.observe``); this module only orders them and says where to look.
"""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from console.observe import snapshot

WORST_FIRST = {"bad": 0, "warn": 1, "busy": 2, "ok": 3, "unknown": 4}
# The observer's levels in the colours that the pages have; a level that is missing here is drawn neutral.
LEVELS = {"ok": "ok", "warn": "warn", "stall": "bad", "stop": "bad", "bad": "bad", "error": "bad", "unknown": "unknown"}
LINKS = {"lag": ("lag", "to lag"), "restores": ("restores", "to restores"), "application": ("application", "look")}


def level_of(verdict: dict[str, Any] | None) -> str:
    """Return ok, warn, bad or unknown."""
    return LEVELS.get(str((verdict or {}).get("level", "unknown")).lower(), "unknown")


def lines(application: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the notes of one application: its subject, the words, and a link to where they can be understood."""
    notes = []
    for verdict in application.get("verdicts", []):
        level = level_of(verdict)
        if level not in {"warn", "bad"}:
            continue
        name, link = LINKS.get(verdict.get("about", ""), LINKS["application"])
        target = reverse(name, args=[application["id"]] if name == "application" else [])
        notes.append({"level": level, "subject": application["id"], "words": verdict.get("reason", ""), "href": target, "link": link})
    return notes


def ordered(notes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the notes worst first, and otherwise as they came."""
    return sorted(notes, key=lambda note: WORST_FIRST.get(note["level"], 9))


def shell_applications() -> list[dict[str, Any]]:
    """Return the applications for the rail: id, level and the reason in words."""
    rows = []
    for application in snapshot.overview()["applications"]:
        verdict = application.get("verdict") or {}
        rows.append({"id": application["id"], "level": level_of(verdict), "words": verdict.get("reason") or "not known"})
    return rows
