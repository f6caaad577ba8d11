"""One restore: progress while it runs, and for good what was recorded of it: why, who, phases, stores, events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.access import policy
from console.access.policy import requires
from console.observe import restore_detail, snapshot
from console.pages import copy_as, hues, restores, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# What a cause means to somebody who did not write the engine: the beginning of a cause -> words.
MEANINGS = {
    "new owner": "The instance took the task over and had no copy of the store, or an old one.",
    "standby": "A copy that is kept beside the active one, so that a take-over is quick.",
    "behind": "The copy on disk was behind its changelog: only what it lacked was read.",
    "lost disk": "The state directory had no copy where there had been one.",
    "corruption": "The copy on disk could not be trusted, so it was built anew from the changelog.",
    "operator": "Somebody asked for it.",
    "too old": "The copy was older than the changelog remembers deletions, so it was built anew.",
}
_LIVE = (
    "phase",
    "position",
    "end",
    "percent",
    "rate_per_second",
    "eta",
    "records",
    "written_since_start",
    "duration_ms",
)


@requires("read-status")
def restore(request: HttpRequest, restore: int) -> HttpResponse:
    """Draw one restore; a running one with the figures of now."""
    found = shell.found(restore_detail.of(restore), f"a restore {restore}")
    seen = snapshot.restores()
    it: dict[str, Any] = found["restore"]
    live = next((each for each in seen["running"] if each["id"] == it["id"]), None)
    if live is not None:
        it = it | {name: live[name] for name in _LIVE if live.get(name) is not None}
    cause = it["cause"] or ""
    context = {
        "it": restores.row(it),
        "running": it["outcome"] == "running",
        "meaning": next((words for begin, words in MEANINGS.items() if cause.startswith(begin)), ""),
        "by_operator": cause.startswith("operator"),
        **{name: found[name] for name in ("phases", "events", "job")},
        "stores": [it if each["id"] == it["id"] else each for each in found["stores"]],
        "palette": hues.palette([it["instance"]]),
        "may_rebuild": policy.allowed(request.user, "rebuild", it["application"], it["store"]),
        "rebuild_role": policy.ACTIONS["rebuild"],
        "copies": copy_as.call(
            request,
            "GET",
            f"/api/v1/applications/{it['application']}/restores/{restore}",
            command=["restores", "show", it["application"], str(restore)],
        ),
    }
    return shell.page(
        request, "pages/restore.html", seen, context, section="restores", topic="restores", app=it["application"]
    )
