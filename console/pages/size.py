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
from console.observe.choice import NOTHING
from console.pages import copy_as, query, shell
from console.pages import store as stores

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SPANS = {"1h": 3_600_000, "24h": 86_400_000, "30d": 30 * 86_400_000, "90d": 90 * 86_400_000}
POINTS_MAX = 300
LARGEST = "20"
_KEY_CHARACTERS_MAX = 120
# A full cache that finds less than this share of what it is asked for is too small for what is read.
_HITS_LOW = 0.8
# name in the status -> how it is called, what it counts, what a hit spares, where its size stands in `memory`
_CACHES = {
    "block-cache": (
        "block cache", "blocks", "a hit spares a read of a file", ("block_cache_bytes", "block_cache_limit_bytes"),
        "it is full, and reads go to files: raise block_cache_bytes, or start more instances",
    ),
    "record-cache": (
        "record cache", "keys", "a hit spares a look into the store and the decoding", (None, None),
        "processors ask for more keys than it holds: give the process more memory, or start more instances",
    ),
}  # fmt: skip
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
        "caches": caches(app, seen),
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
    whole = snapshot.application(app, NOTHING)
    holders = set(seen["holders"])
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


def caches(app: str, seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how the caches of the instances that hold the store serve reads, and what their memtables take.

    Engines that do not report hits (yet) have only the lines whose figures they report.
    """
    whole = snapshot.application(app, NOTHING)
    holders = set(seen["holders"])
    lines: list[dict[str, Any]] = []
    for instance in whole["instances"] if whole else []:
        if instance["name"] not in holders:
            continue
        memory = instance.get("memory") or {}
        lines += [_cache(instance["name"], each, memory) for each in instance.get("caches") or []]
        if memory.get("memtable_bytes") is not None:
            lines.append(
                {
                    "instance": instance["name"], "name": "memtables", "counts": False, "advice": None,
                    "used": memory["memtable_bytes"], "limit": memory.get("memtable_limit_bytes"),
                    "means": "committed writes that no file has yet; at the limit the largest is flushed",
                }
            )  # fmt: skip
    return lines


def _cache(instance: str, each: dict[str, Any], memory: dict[str, Any]) -> dict[str, Any]:
    label, unit, means, (used, limit), advice = _CACHES[each["name"]]
    ratio = each["hit_ratio"]
    bytes_used, bytes_limit = (memory.get(name) if name else None for name in (used, limit))
    full = bytes_limit is None or (bytes_used is not None and bytes_used >= _NEAR * bytes_limit)
    return {
        "instance": instance,
        "name": label,
        "counts": True,
        "unit": unit,
        "used": bytes_used,
        "limit": bytes_limit,
        "percent": None if ratio is None else 100 * ratio,
        "reads": each["hits_total"] + each["misses_total"],
        "means": means,
        "advice": advice
        if each["name"] == "block-cache" and ratio is not None and ratio < _HITS_LOW and full
        else None,
    }
