"""Lag: per application how far behind it is, how that was moving, and when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect

from console.access.policy import requires
from console.observe import snapshot
from console.pages import hues, shell, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

SPANS = {"15m": 15 * 60_000, "1h": 3_600_000, "24h": 86_400_000, "30d": 30 * 86_400_000}
POINTS_MAX = 300


@requires("read-status")
def lag(request: HttpRequest) -> HttpResponseBase:
    """Lead to the application that is furthest behind; with none, say what would appear here."""
    seen = snapshot.overview()
    if seen["applications"]:
        worst = max(seen["applications"], key=lambda each: each["lag"].get("total") or 0)
        return redirect("lag-of", app=worst["id"])
    return shell.page(request, "pages/lag_empty.html", seen, {}, section="lag", topic="overview")


@requires("read-status")
def lag_of(request: HttpRequest, app: str) -> HttpResponse:
    """Draw the lag of one application: a chart a topic, then the partitions."""
    seen = shell.found(snapshot.lag(app), f"an application {app!r}")
    inputs, stores = snapshot.rows(seen["inputs"]), snapshot.rows(seen["stores"])
    chosen = request.GET.get("span", "15m")
    context = {
        "it": seen,
        "verdicts": verdicts.lines([each for each in seen["problems"] if each["page"] == "lag"]),
        "level": verdicts.level(seen["verdict"]),
        "word": verdicts.application_word(seen["verdict"]),
        "inputs": [_row(each) for each in inputs],
        "stores": [_row(each) for each in stores if each["role"] == "active"],
        "standbys": [_row(each) for each in stores if each["role"] != "active"],
        "charts": _charts(inputs, stores),
        "spans": list(SPANS),
        "span": chosen if chosen in SPANS else "15m",
        "palette": hues.palette(each["instance"] for each in inputs + stores if each["instance"]),
        # A slowest partition exists always; it is news only when it is behind the others.
        "skew": [each for each in seen["skew"] if each["lag"] and each["lag"] > (each["median_lag"] or 0)],
        "calm": seen["lag"].get("total") == 0,
    }
    return shell.page(request, "pages/lag.html", seen, context, section="lag", topic=f"lag:{app}", app=app)


@requires("read-status")
def lag_history(request: HttpRequest, app: str) -> HttpResponse:
    """Answer one chart's samples as JSON, as columns."""
    kind, name, span = (request.GET.get(each, "") for each in ("kind", "name", "span"))
    if kind not in {"input", "store"} or span not in SPANS:
        return HttpResponseBadRequest("kind is input or store; span is one of " + ", ".join(SPANS))
    until = int(time.time() * 1000)
    return JsonResponse(snapshot.lag_history(app, kind, name, until - SPANS[span], until, POINTS_MAX))


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"level": verdicts.level(row["verdict"]), "word": verdicts.words(row["verdict"])}


def _charts(inputs: list[dict[str, Any]], stores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one chart a topic and one a store that is behind; stores at lag 0 need no drawing of their own."""
    topics = sorted({each["topic"] for each in inputs})
    behind = sorted({each["store"] for each in stores if each["lag"]})
    return [{"kind": "input", "name": name, "title": name} for name in topics] + [
        {"kind": "store", "name": name, "title": f"changelog of {name}"} for name in behind
    ]
