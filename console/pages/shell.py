"""What every page shares: the rail's applications, the reader's role, and the short form that ``live.js`` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.shortcuts import render

from console.access import policy
from console.pages import verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

LIVE_HEADER = "X-Statehouse-Live"


def is_live(request: HttpRequest) -> bool:
    """Say whether ``live.js`` asks for the page's regions only."""
    return request.headers.get(LIVE_HEADER) == "1"


def page(request: HttpRequest, template: str, section: str, snapshot: dict[str, Any], context: dict[str, Any], *, topic: str = "") -> HttpResponse:
    """Draw a page, or only its regions. ``snapshot`` is the one that the page was made from: its times say how old it is."""
    live = is_live(request)
    shared = {
        "base": "live.html" if live else "base.html",
        "section": section,
        "topic": topic,
        "at": snapshot.get("at"),
        "observer_at": snapshot.get("observer_at"),
        "role": policy.role_of(request.user),
        "applications": [] if live else verdicts.shell_applications(),
    }
    return render(request, template, shared | context)
