"""A store's size: how it grew, the budgets of the instances that hold it with what to do near their end, its largest keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpResponseBadRequest, JsonResponse
from django.urls import reverse

from console.access.policy import requires
from console.browse import entries
from console.browse.display import display
from console.observe import sizes, snapshot
from console.pages import copy_as, query, shell
from console.pages import store as stores

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SPANS = {"1h": 3_600_000, "24h": 86_400_000, "30d": 30 * 86_400_000, "90d": 90 * 86_400_000}
POINTS_MAX = 300
LARGEST = "20"
_KEY_CHARACTERS_MAX = 120
# A budget that is this full is drawn so even when its engine has nothing to advise yet.
_NEAR = 0.9


@requires("browse")
def size(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw the tab. The largest keys are looked for only when asked: that walks the store."""
    seen = stores.find(app, store)
    span = request.GET.get("span", "")
    context: dict[str, Any] = {
        "spans": list(SPANS),
        "span": span if span in SPANS else "24h",
        "budgets": budgets(app, seen),
        "ticking": shell.is_tick(request),
        "copies": copy_as.read(
            request,
            f"/api/v1/applications/{app}/stores/{store}/largest",
            {"limit": LARGEST},
            f"store largest --application {app} {store}",
        ),
    }
    if request.GET.get("largest") == "1" and not context["ticking"]:
        context |= largest(app, store, seen)
    return stores.page(request, "pages/store_size.html", seen, context, tab="size")


@requires("read-status")
def growth(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Answer the chart's samples as JSON, as columns."""
    span = SPANS.get(request.GET.get("span", ""))
    if span is None:
        return HttpResponseBadRequest("span is one of " + ", ".join(SPANS))
    stores.find(app, store)
    until = int(time.time() * 1000)
    return JsonResponse(sizes.read(app, store, until - span, until, POINTS_MAX))


def largest(app: str, store: str, seen: dict[str, Any]) -> dict[str, Any]:
    """Look for the largest entries; say what was looked at, and why not everywhere."""
    try:
        found = entries.largest(app, store, {"limit": LARGEST})
    except entries.Unavailable as error:
        outcome = "bad" if error.code == "bad-request" else "not-ready" if error.retryable else "failed"
        return {"outcome": outcome, "words": error.words, "code": error.code, "state": error.state}
    most = max((each["size"] for each in found["entries"]), default=0)
    rows = [
        each
        | {
            "key_shown": display(each["key"], _KEY_CHARACTERS_MAX),
            "share": round(100 * each["size"] / most) if most else 0,
            "href": f"{reverse('entry', args=[app, store])}?{urlencode(query.address_of(each, {}, seen['key_serde']))}",
        }
        for each in found["entries"]
    ]
    failed = [each for each in found["sources"] if each.get("error")]
    return {"found": found, "large": rows, "failed": failed}


def budgets(app: str, seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the budgets of the instances that hold the store, those that need something done first."""
    whole = snapshot.application(app)
    holders = {row["instance"] for row in snapshot.rows(seen["positions"])}
    lines = []
    for instance in whole["instances"] if whole else []:
        if instance["name"] not in holders:
            continue
        for each in instance.get("budgets") or []:
            used = each["used"] / each["limit"] if each["limit"] else None
            near = each["advice"] is not None
            lines.append(
                each
                | {
                    "instance": instance["name"],
                    "percent": None if used is None else min(100 * used, 100.0),
                    "look": "warn" if near else "full" if used is not None and used >= _NEAR else "room",
                    "label": each["name"].replace("-", " "),
                }
            )
    return sorted(lines, key=lambda each: (each["advice"] is None, each["instance"], each["name"]))
