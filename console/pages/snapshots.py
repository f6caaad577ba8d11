"""The past: a store as a snapshot has it, browsed with the present beside it under an amber banner; deleting snapshots.

The form and its query are those of ``browse``; what is asked is the snapshot. Told apart as there: found, nothing, not
ready, bad, failed. When the present does not answer the past is still shown, and the present is said to be unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from console.access import policy
from console.access.audit import address_of
from console.access.policy import requires
from console.browse import changes, entries, past
from console.browse.display import display
from console.jobs import commands
from console.pages import browse, copy_as, query, shell, tree
from console.pages import store as stores

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

_WITH_KEYS = {"key-value", "versioned"}


@requires("browse")
def snapshot(request: HttpRequest, app: str, store: str, snapshot: UUID) -> HttpResponse:
    """Draw the query form and what the snapshot answers, each row beside what the store says now."""
    seen = stores.find(app, store)
    found = _found(app, store, snapshot)
    asked = query.read(request.GET, seen["kind"])
    context = _shared(request, seen, found) | {"asked": asked, "form": browse.form(asked, seen)}
    context |= {"form_url": reverse("snapshot", args=[app, store, snapshot]), "ticking": shell.is_tick(request)}
    if not context["ticking"]:
        context |= _answer(request, asked, seen, found)
    return stores.page(request, "pages/snapshot.html", seen, context, tab="compare")


@requires("browse")
def entry(request: HttpRequest, app: str, store: str, snapshot: UUID) -> HttpResponse:
    """Draw one entry as it was, and beside it as it is, with what changed in between."""
    seen = stores.find(app, store)
    found = _found(app, store, snapshot)
    asked = query.read(request.GET.dict() | {"by": "key", "limit": "20"}, seen["kind"])
    start = asked.params.get("session_from")
    was, problem = _one(lambda: past.page(app, store, str(snapshot), asked.params), start)
    now, unknown = _one(lambda: entries.page(app, store, asked.params), start)
    context = _shared(request, seen, found) | {
        "it": seen,
        "store": store,
        "asked": asked,
        "problem": asked.problem or problem,
        "was": was,
        "now": now,
        "present_problem": unknown,
        "was_lines": tree.lines(was["value"])[0] if was else [],
        "now_lines": tree.lines(now["value"])[0] if now else [],
        "present": f"{reverse('entry', args=[app, store])}?{request.GET.urlencode()}",
    }
    if not unknown and (was or now):
        context["changed"] = changes.between(was["value"] if was else None, now["value"] if now else None)
    return shell.page(request, "pages/snapshot_entry.html", seen, context, section="stores", app=app)


@require_POST
@requires("snapshot")
def delete(request: HttpRequest, app: str, store: str, snapshot: UUID) -> HttpResponse:
    """Delete a snapshot. Its number has to be typed: it cannot be had back once compaction has gone on."""
    found = _found(app, store, snapshot)
    if request.POST.get("confirm", "").strip().lstrip("#") != str(found["number"]):
        messages.error(request, f"Nothing was deleted: type the snapshot's number, {found['number']}, to confirm.")
        return redirect("snapshot", app, store, snapshot)
    try:
        commands.delete_snapshot(
            shell.user_of(request), app, store, str(snapshot), via="page", address=address_of(request)
        )
    except commands.Refused as error:
        messages.error(request, error.words)
    else:
        messages.success(request, f"Snapshot #{found['number']} is deleted; its host removes the files.")
    return redirect("store-compare", app, store)


def _shared(request: HttpRequest, seen: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    app, name = seen["application"], seen["store"]
    path = f"/api/v1/applications/{app}/stores/{name}/snapshots/{found['id']}"
    return {
        "snapshot": found,
        "may_delete": policy.allowed(request.user, "snapshot", app, name),
        "delete_copies": copy_as.call(
            request, "DELETE", path, command=["snapshots", "delete", app, name, str(found["number"]), "--yes"]
        ),
    }


def _answer(request: HttpRequest, asked: query.Query, seen: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    app, store = seen["application"], seen["store"]
    nothing: dict[str, Any] = {"rows": [], "more": "", "copies": []}
    if asked.problem:
        return nothing | {"outcome": "bad", "words": asked.problem}
    path = f"/api/v1/applications/{app}/stores/{store}/snapshots/{found['id']}/entries"
    copies = copy_as.call(request, "GET", path, params=asked.params)
    try:
        got = past.page(app, store, found["id"], asked.params)
    except entries.Unavailable as error:
        outcome = "bad" if error.code == "bad-request" else "not-ready" if error.retryable else "failed"
        return nothing | {
            "outcome": outcome,
            "words": error.words,
            "code": error.code,
            "copies": copies,
            "pointed": browse.pointed(asked, error.state),
        }
    rows = [browse.row(each, got["sources"], asked, seen) for each in got["entries"]]
    unknown = _beside(app, store, rows, asked, seen)
    for each in rows:
        address = query.address_of(each, asked.written, seen["key_serde"])
        each["href"] = f"{reverse('snapshot-entry', args=[app, store, found['id']])}?{urlencode(address)}"
    following = request.GET.copy()
    following["cursor"] = got["cursor"] or ""
    looked = None
    if "where" in asked.params:
        looked = (got.get("scanned") or 0) + browse.whole(request.GET.get("looked", ""))
        following["looked"] = str(looked)
    return {
        "outcome": "found" if rows or got["cursor"] else "nothing",
        "looked": looked,
        "rows": rows,
        "has_present": seen["kind"] in _WITH_KEYS,
        "present_problem": unknown,
        "more": f"?{following.urlencode()}" if got["cursor"] else "",
        "copies": copies,
    }


def _beside(app: str, store: str, rows: list[dict[str, Any]], asked: query.Query, seen: dict[str, Any]) -> str:
    """Put what the store says now beside each row, where keys can be asked for; return why that is not known, or nothing."""
    if seen["kind"] not in _WITH_KEYS or not rows:
        return ""
    formats = {name: value for name, value in asked.written.items() if name in query.OVERRIDES}
    try:
        got = entries.several(app, store, rows, formats)
    except entries.Unavailable as error:
        return error.words
    for each, now in zip(rows, got["entries"], strict=True):
        if now.get("found") is None:
            continue
        same = bool(now["found"]) and now["value"] == each["value"] and now["timestamp"] == each["timestamp"]
        each["now"] = {
            "what": "same" if same else "different" if now["found"] else "gone",
            "shown": browse.shown(now["value"]) if now["found"] else display(None),
            "timestamp": now["timestamp"],
        }
    return ""


def _one(ask: Any, start: str | None) -> tuple[dict[str, Any] | None, str]:
    """Return the entry that was asked for, or None; and why it is not known, if so."""
    try:
        got = ask()
    except entries.Unavailable as error:
        return None, error.words
    failed = [each["error"]["message"] for each in got["sources"] if each.get("error")]
    matching = (each for each in got["entries"] if not start or str(each["session"]["start"]) == start)
    found = next(matching, None)
    return found, (failed[0] if failed and found is None else "")


def _found(app: str, store: str, snapshot: UUID) -> dict[str, Any]:
    try:
        return past.described(past.find(app, store, str(snapshot)))
    except entries.Unavailable as error:
        raise Http404(error.words) from error
