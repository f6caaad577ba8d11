"""The overview: what is wrong first, in words; then each application with its stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse

from console.access.policy import requires
from console.observe import snapshot
from console.pages import hues, shell, strips, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@requires("read-status")
def overview(request: HttpRequest) -> HttpResponse:
    """Draw the overview."""
    seen = snapshot.overview()
    applications = seen["applications"]
    palette = hues.palette(instance["instance"] for application in applications for instance in application["instances"])
    context = {
        "cards": [card(application, palette) for application in applications],
        "palette": palette,
        "verdicts": verdicts.ordered([note for application in applications for note in verdicts.lines(application)]),
        "totals": {
            "applications": len(applications),
            "stores": sum(len(application["stores"]) for application in applications),
            "partitions": sum(len(store["partitions"]) for application in applications for store in application["stores"]),
            "instances": sum(len(application["instances"]) for application in applications),
        },
    }
    return shell.page(request, "pages/overview.html", "overview", seen, context, topic="overview")


def card(application: dict[str, Any], palette: dict[str, int]) -> dict[str, Any]:
    """Return what an application's card shows."""
    name = application["id"]
    instances = application["instances"]
    answering = sum(1 for instance in instances if instance["state"] == "running")
    return {
        "id": name,
        "href": reverse("application", args=[name]),
        "state": application["state"],
        "level": verdicts.level_of(application.get("verdict")),
        "words": (application.get("verdict") or {}).get("reason"),
        "instances": [
            {"id": each["instance"], "state": each["state"], "reason": each.get("reason"), "title": f"{each.get('host') or 'host not known'}, pid {each.get('pid') or '–'}"}
            for each in instances
        ],
        "instances_words": f"{answering} of {len(instances)} instances running",
        "stores": [store_row(name, store, palette) for store in application["stores"]],
        "rate": application.get("in_per_second"),
        "history": application.get("in_per_second_history"),
        "commit_ms_p99": application.get("commit_ms_p99"),
        "input_lag": application.get("input_lag"),
    }


def store_row(application: str, store: dict[str, Any], palette: dict[str, int]) -> dict[str, Any]:
    """Return what a store's row shows: its strip, and a note on the partition that restores slowest."""
    href = reverse("store-partitions", args=[application, store["name"]])
    restoring = [each for each in store["partitions"] if each.get("phase") not in {None, "done"}]
    note = ""
    if restoring:
        known = [each["percent"] for each in restoring if each.get("percent") is not None]
        note = f"restoring {min(known):.0f} %" if len(known) == len(restoring) else "restoring"
    return {
        "application": application,
        "name": store["name"],
        "href": reverse("store", args=[application, store["name"]]),
        "kind": store.get("kind"),
        "backend": store.get("backend"),
        "keys": store.get("keys_estimate"),
        "bytes": store.get("bytes"),
        "lag": store.get("lag"),
        "cells": [strips.cell(each, palette, f"{href}#partition-{each['partition']}") for each in store["partitions"]],
        "note": note,
    }
