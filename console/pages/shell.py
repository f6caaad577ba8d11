"""What every page shares: the rail's applications, the reader's role, and the short form that ``live.js`` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.http import Http404
from django.shortcuts import render

from console.access import policy
from console.observe import snapshot
from console.pages import verdicts

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponse

LIVE_HEADER = "X-Statehouse-Live"


def user_of(request: HttpRequest) -> User:
    """Return the signed-in user; views without one are not reached (LoginRequiredMiddleware)."""
    return cast("User", request.user)


def is_tick(request: HttpRequest) -> bool:
    """Say whether ``live.js`` asks by itself, so that nothing that costs an engine may be asked on its behalf."""
    return request.headers.get(LIVE_HEADER) == "tick"


def is_live(request: HttpRequest) -> bool:
    """Say whether a script asks for the page's regions only."""
    return LIVE_HEADER in request.headers


def page(
    request: HttpRequest,
    template: str,
    seen: dict[str, Any],
    context: dict[str, Any],
    *,
    section: str,
    topic: str = "",
    app: str | None = None,
    status: int = 200,
) -> HttpResponse:
    """Draw a page, or only its regions. ``seen`` is the snapshot that the page was made from: its times say how old it is."""
    live = is_live(request)
    observer = seen.get("observer") or {}
    shared = {
        "base": "live.html" if live else "base.html",
        "section": section,
        "topic": topic,
        "app": app,
        "at": seen.get("at"),
        "observer": observer,
        "role": policy.role_of(request.user),
        "applications": rail(seen),
    }
    return render(request, template, shared | context, status=status)


def rail(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the applications for the rail and the switcher: id, level and the reason in words."""
    known = seen if "applications" in seen else snapshot.rail()
    return [
        {
            "id": each["id"],
            "level": verdicts.level(each["verdict"]),
            "words": each["verdict"]["reason"] or each["verdict"]["status"],
        }
        for each in known["applications"]
    ]


def found(seen: dict[str, Any] | None, what: str) -> dict[str, Any]:
    """Return the snapshot, or raise the 404 that names what nobody has reported."""
    if seen is None:
        raise Http404(f"Nobody has reported {what}.")
    return seen
