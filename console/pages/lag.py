"""Lag: per application how far behind it is, how that was moving, and when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect

from console.access.policy import requires
from console.lag.verdicts import SEVERITY
from console.observe import snapshot
from console.pages import hues, shell, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

SPANS = {"15m": 15 * 60_000, "1h": 3_600_000, "24h": 86_400_000, "30d": 30 * 86_400_000}
POINTS_MAX = 300
UNITS = ("records", "time")
# More lines than this can not be told apart; of a wider topic the partitions that are furthest behind are drawn.
LINES_MAX = 12
# Above this a table shows the partitions that are worst, and says so: a page is for people.
ROWS_MAX = 100
# Stores that are caught up have a chart too as long as they are few.
STORE_CHARTS_MAX = 6


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
    chosen = request.GET.get("span", "1h")
    unit = request.GET.get("in", "records")
    context = {
        "it": seen,
        "verdicts": verdicts.lines([each for each in seen["problems"] if each["page"] == "lag"]),
        "level": verdicts.level(seen["verdict"]),
        "word": verdicts.application_word(seen["verdict"]),
        "tables": [
            _table("inputs", "Input topics", "topic", inputs),
            _table("changelogs", "Stores, behind their changelogs", "store", _role(stores, "active", "global")),
            _table("standbys", "Standbys", "store", _role(stores, "standby", "warming")),
        ],
        "charts": _charts(inputs, stores),
        "spans": list(SPANS),
        "span": chosen if chosen in SPANS else "1h",
        "units": UNITS,
        "unit": unit if unit in UNITS else "records",
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
    given = [each for each in request.GET.get("partitions", "").split(",") if each]
    if len(given) > LINES_MAX or not all(each.isdecimal() and len(each) < 10 for each in given):  # noqa: PLR2004 - a partition's number is an int32
        return HttpResponseBadRequest(f"partitions are at most {LINES_MAX} numbers, with commas between")
    partitions = [int(each) for each in given] or None
    until = int(time.time() * 1000)
    return JsonResponse(snapshot.lag_history(app, kind, name, until - SPANS[span], until, POINTS_MAX, partitions))


def _role(rows: list[dict[str, Any]], *roles: str) -> list[dict[str, Any]]:
    return [each for each in rows if each["role"] in roles]


def _table(key: str, title: str, named: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one table: all rows in their order, or of very many the worst."""
    shown = rows
    if len(rows) > ROWS_MAX:
        shown = sorted(rows, key=lambda each: (-SEVERITY[each["verdict"]], -(each["lag"] or 0)))[:ROWS_MAX]
    return {"key": key, "title": title, "named": named, "rows": [_row(each) for each in shown], "total": len(rows)}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"level": verdicts.level(row["verdict"]), "word": verdicts.words(row["verdict"])}


def _charts(inputs: list[dict[str, Any]], stores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one chart a topic and one a store; of many stores only those that are behind."""
    active = _role(stores, "active")
    kept = {each["store"] for each in active}
    if len(kept) > STORE_CHARTS_MAX:
        kept = {each["store"] for each in active if each["lag"]}
    topics = sorted({each["topic"] for each in inputs})
    return [_chart("input", name, name, [each for each in inputs if each["topic"] == name]) for name in topics] + [
        _chart("store", name, f"changelog of {name}", [each for each in active if each["store"] == name])
        for name in sorted(kept)
    ]


def _chart(kind: str, name: str, title: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one chart with the partitions that it draws."""
    furthest = sorted(rows, key=lambda each: (-(each["lag"] or 0), each["partition"]))[:LINES_MAX]
    return {
        "kind": kind,
        "name": name,
        "title": title,
        "partitions": ",".join(str(each) for each in sorted(each["partition"] for each in furthest)),
        "lines": len(furthest),
        "total": len(rows),
    }
