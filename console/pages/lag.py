"""Lag: per application how far behind it is, how that was moving, and when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect

from console.access.policy import requires
from console.observe import snapshot
from console.observe.lag_tables import LINES
from console.pages import chooser, hues, shell, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

_SKEWED = 2
SPANS = {"15m": 15 * 60_000, "1h": 3_600_000, "24h": 86_400_000, "30d": 30 * 86_400_000}
POINTS_MAX = 300
UNITS = ("records", "time")
# table -> (title, what a row is of)
TABLES = {
    "inputs": ("Input topics", "topic"),
    "changelogs": ("Stores, behind their changelogs", "store"),
    "standbys": ("Standbys", "store"),
}
# Stores that are caught up have a chart too as long as they are few.
STORE_CHARTS_MAX = 6


@requires("read-status")
def lag(request: HttpRequest) -> HttpResponseBase:
    """Lead to the application that is furthest behind; with none, say what would appear here."""
    seen = snapshot.overview(bounded=True)
    if seen["applications"]:
        worst = max(seen["applications"], key=lambda each: each["lag"].get("total") or 0)
        return redirect("lag-of", app=worst["id"])
    return shell.page(request, "pages/lag_empty.html", seen, {}, section="lag", topic="overview")


@requires("read-status")
def lag_of(request: HttpRequest, app: str) -> HttpResponse:
    """Draw the lag of one application: a chart a topic, then the partitions."""
    choice = chooser.read(request.GET)
    pages = {name: chooser.read(request.GET, page=f"{name}-page").page for name in TABLES}
    seen = shell.found(snapshot.lag(app, choice, pages), f"an application {app!r}")
    inputs, stores = snapshot.rows(seen["inputs"]), snapshot.rows(seen["stores"])
    chosen = request.GET.get("span", "1h")
    unit = request.GET.get("in", "records")
    context = {
        "it": seen,
        "verdicts": verdicts.lines([each for each in seen["problems"] if each["page"] == "lag"]),
        "level": verdicts.level(seen["verdict"]),
        "word": verdicts.application_word(seen["verdict"]),
        "tables": [
            {
                "key": name,
                "title": title,
                "named": named,
                "rows": [_row(each) for each in rows],
                "chosen": chooser.shown(
                    request.GET,
                    choice,
                    seen["chosen"][name],
                    noun="partitions",
                    anchor=f"h-{name}",
                    page=f"{name}-page",
                ),
            }
            for (name, (title, named)), rows in zip(
                TABLES.items(), (inputs, _role(stores, "active", "global"), _role(stores, "standby")), strict=True
            )
        ],
        "is_wide": bool(choice.words) or any(each["total"] > choice.size for each in seen["chosen"].values()),
        "charts": _charts(seen["furthest"]),
        "spans": list(SPANS),
        "span": chosen if chosen in SPANS else "1h",
        "units": UNITS,
        "unit": unit if unit in UNITS else "records",
        "palette": hues.palette(each["instance"] for each in inputs + stores if each["instance"]),
        # A slowest partition exists always; it is news only when it is far behind the others.
        "skew": [each for each in seen["skew"] if each["lag"] and each["lag"] > _SKEWED * (each["median_lag"] or 0)],
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
    if len(given) > LINES or not all(each.isdecimal() and len(each) < 10 for each in given):  # noqa: PLR2004 - a partition's number is an int32
        return HttpResponseBadRequest(f"partitions are at most {LINES} numbers, with commas between")
    partitions = [int(each) for each in given] or None
    until = int(time.time() * 1000)
    return JsonResponse(snapshot.lag_history(app, kind, name, until - SPANS[span], until, POINTS_MAX, partitions))


def _role(rows: list[dict[str, Any]], *roles: str) -> list[dict[str, Any]]:
    return [each for each in rows if each["role"] in roles]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"level": verdicts.level(row["verdict"]), "word": verdicts.words(row["verdict"])}


def _charts(furthest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one chart a topic and one a store; of many stores only those that are behind."""
    stores = [each for each in furthest if each["kind"] == "store"]
    kept = stores if len(stores) <= STORE_CHARTS_MAX else [each for each in stores if each["is_behind"]]
    return [
        each
        | {
            "title": each["name"] if each["kind"] == "input" else f"changelog of {each['name']}",
            "partitions": ",".join(map(str, each["partitions"])),
            "lines": len(each["partitions"]),
        }
        for each in [each for each in furthest if each["kind"] == "input"] + kept
    ]
