"""The overview: what is wrong first, in words; then each application with its stores. And the list of all stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.access.policy import requires
from console.observe import snapshot
from console.pages import hues, links, shell, strips, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@requires("read-status")
def overview(request: HttpRequest) -> HttpResponse:
    """Draw the overview."""
    seen = snapshot.overview(bounded=True)
    palette = palette_of(seen["applications"])
    context = {
        "cards": [card(application, palette) for application in seen["applications"]],
        "palette": palette,
        "verdicts": verdicts.lines(seen["problems"]),
        "totals": seen["totals"],
        "calm": calm(seen),
    }
    return shell.page(request, "pages/overview.html", seen, context, section="overview", topic="overview")


@requires("read-status")
def stores(request: HttpRequest) -> HttpResponse:
    """Draw the list of all stores, or of those whose name contains ``q``; a full name leads straight to the store."""
    seen = snapshot.overview(bounded=True)
    palette = palette_of(seen["applications"])
    wanted = request.GET.get("q", "").strip()
    rows = [
        store_row(application["id"], store, palette)
        for application in seen["applications"]
        for store in application["stores"]
        if wanted.lower() in store["name"].lower()
    ]
    context = {"rows": rows, "q": wanted, "palette": palette, "known": seen["totals"]["stores"]}
    return shell.page(request, "pages/stores.html", seen, context, section="stores", topic="overview")


def calm(seen: dict[str, Any]) -> str:
    """Return the line that stands where problems would: only what was measured, and nothing while the observer is away."""
    if seen["observer"]["stale"]:
        return ""
    unknown = [each["id"] for each in seen["applications"] if verdicts.level(each["verdict"]) == "unknown"]
    if unknown:
        return f"Nothing wrong has been seen. Still measuring: {', '.join(unknown)}."
    restoring = seen["totals"]["restoring"]
    if restoring:
        return f"Nothing is wrong. {restoring:,} partition{' is' if restoring == 1 else 's are'} restoring."
    return "All is well: every partition has an owner, and nothing is restoring."


def palette_of(applications: list[dict[str, Any]]) -> dict[str, int]:
    """Return the hue of every instance that a strip of these applications names."""
    return hues.palette(
        name for application in applications for store in application["stores"] for name in store["strip"]["instances"]
    )


def card(application: dict[str, Any], palette: dict[str, int]) -> dict[str, Any]:
    """Return what an application's card shows."""
    name, counts = application["id"], application["instances"]
    owners = sorted({owner for store in application["stores"] for owner in store["strip"]["instances"]})
    return {
        "id": name,
        "href": links.to("application", name),
        "lag_href": links.to("lag-of", name),
        "level": verdicts.level(application["verdict"]),
        "word": verdicts.application_word(application["verdict"]),
        "words": application["verdict"]["reason"],
        "instances": [
            each | {"level": verdicts.level(each["status"]), "word": verdicts.words(each["status"])}
            for each in application.get("verdicts", [])
        ],
        "owners": owners,
        "counts": counts,
        "stores": [store_row(name, store, palette) for store in application["stores"]],
        "rates": application["rates"],
        "history": [value for _at, value in application["rates"].get("history") or []],
        "lag": application["lag"],
        "pressure": application["pressure"],
    }


def store_row(application: str, store: dict[str, Any], palette: dict[str, int]) -> dict[str, Any]:
    """Return what a store's row shows: its strip, and a note on its restore."""
    note = ""
    if store["restoring"]:
        done = store["percent"]
        note = f"restoring {min(done, 99.9):.0f} %" if done is not None else "restoring"
    return store | {
        "application": application,
        "href": links.to("store", application, store["name"]),
        "drawn": strips.drawn(store["strip"], palette, links.to("store-partitions", application, store["name"])),
        "note": note,
    }
