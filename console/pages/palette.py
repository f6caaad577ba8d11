"""What the command palette (Ctrl-K) can lead to: pages, applications, stores and what can be done on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import JsonResponse
from django.urls import reverse

from console.access import policy
from console.access.policy import requires
from console.observe import snapshot
from console.pages import links

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# More stores than this are found by the search of the stores page.
ITEMS_MAX = 3_000
_PAGES = (
    ("Overview", "overview", "read-status"),
    ("Stores", "stores", "read-status"),
    ("Restores", "restores", "read-status"),
    ("Lag", "lag", "read-status"),
    ("Alerts", "alerts", "read-alerts"),
    ("Jobs", "jobs", "read-jobs"),
    ("Schedules", "schedules", "read-jobs"),
    ("Audit", "audit", "read-audit"),
    ("Health: self-check", "health", "read-status"),
    ("New alert rule…", "alert-new", "manage-alerts"),
)
_TABS = (
    ("Partitions", "store-partitions"),
    ("Size", "store-size"),
    ("Compaction", "store-compaction"),
    ("Compare", "store-compare"),
)
_ACTIONS = ("rebuild", "compact", "verify", "snapshot", "export")


@requires("read-status")
def palette(request: HttpRequest) -> HttpResponse:
    """Answer the items as JSON: what they are called, what they are, where they lead; stores also how a key is asked."""
    role = policy.role_of(request.user)
    items: list[dict[str, Any]] = [
        {"label": label, "hint": "action" if label.endswith("…") else "page", "href": reverse(name)}
        for label, name, action in _PAGES
        if policy.role_may(role, action)
    ]
    applications = snapshot.overview(bounded=True)["applications"]
    for each in applications:
        items.append({"label": each["id"], "hint": "application", "href": links.to("application", each["id"])})
        items.append({"label": f"Lag of {each['id']}", "hint": "page", "href": links.to("lag-of", each["id"])})
    for each in applications:
        for store in each["stores"]:
            place = (each["id"], store["name"])
            href = links.to("store", *place)
            items.append(
                {"label": store["name"], "hint": f"store of {each['id']}", "href": href, "key": f"{href}?by=key&key="}
            )
    for each in applications:
        for store in each["stores"]:
            place = (each["id"], store["name"])
            items += [
                {"label": f"{label} of {store['name']}", "hint": each["id"], "href": links.to(name, *place)}
                for label, name in _TABS
            ]
            items += [
                {
                    "label": f"{kind.capitalize()} {store['name']}…",
                    "hint": f"action, {each['id']}",
                    "href": links.to("new-job", *place, kind),
                }
                for kind in _ACTIONS
                if policy.role_may(role, kind)
            ]
            if policy.role_may(role, "schedule"):
                href = links.to("new-schedule", *place)
                items.append({"label": f"Schedule {store['name']}…", "hint": f"action, {each['id']}", "href": href})
    return JsonResponse({"items": [item for item in items if item["href"]][:ITEMS_MAX]})
