"""One store: what all its tabs share, its partitions, and its settings. Browsing is ``browse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from console.access import policy
from console.access.policy import requires
from console.browse import past
from console.observe import choice as choices
from console.observe import snapshot
from console.pages import chooser, hues, job_arguments, links, shell, strips, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from console.observe.choice import Choice


@requires("read-status")
def partitions(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw who has which partition, how far it is, and what it holds: all of few, a page of many."""
    choice = chooser.read(request.GET)
    seen = find(app, store, choice)
    rows = [
        each | {"level": verdicts.level(each["verdict"]), "word": verdicts.copy_word(each)}
        for each in snapshot.rows(seen["positions"])
    ]
    context = {
        "rows": rows,
        "chosen": chooser.shown(request.GET, choice, seen["chosen"], noun="partitions", states=seen["states"]),
        "jobs": seen["jobs"],
        "restores": seen["restores"],
    }
    return page(request, "pages/store_partitions.html", seen, context, tab="partitions")


@requires("read-status")
def settings(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw what the store was declared to be."""
    return page(request, "pages/store_settings.html", find(app, store), {}, tab="settings")


@requires("browse")
def compare(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw what the latest verify has found: the store against its changelog."""
    seen = find(app, store)
    found = snapshot.verifications(app, store)
    latest, newest = found["latest"], found["newest"]
    result = latest["result"] if latest else {}
    context = {
        "latest": latest,
        "result": result,
        "rows": [difference(each, request.path.removesuffix("compare/")) for each in found["rows"]],
        "against": result.get("against"),
        "failed": newest if newest and newest["state"] in {"failed", "cancelled"} else None,
        "snapshots": [
            each
            | {"href": links.to("snapshot", app, store, each["id"]), "as_of_words": job_arguments.as_of_words(each)}
            for each in past.listing(app, store)
        ],
        "may_snapshot": policy.allowed(request.user, "snapshot", app, store),
        "snapshot_role": policy.ACTIONS["snapshot"],
        "may_verify": policy.allowed(request.user, "verify", app, store),
        "verify_role": policy.ACTIONS["verify"],
    }
    return page(request, "pages/store_compare.html", seen, context, tab="compare")


def difference(found: dict[str, Any], browse: str) -> dict[str, Any]:
    """Return a row of the diff with the way to the entry, for keys that can be asked for as they are shown."""
    key = found["key"]
    asked = {"by": "key", "key": key["text"], "partition": found["partition"]}
    can_ask = key["kind"] in {"text", "number"} and not key["cut"]
    return found | {"href": f"{browse}?{urlencode(asked)}" if can_ask else ""}


def find(app: str, store: str, choice: Choice | None = choices.NOTHING) -> dict[str, Any]:
    """Return the store's snapshot with the chosen partitions (by default none, with ``None`` all), or raise 404."""
    return shell.found(snapshot.store(app, store, choice), f"a store {store!r} of {app!r}")


def page(
    request: HttpRequest, template: str, seen: dict[str, Any], context: dict[str, Any], *, tab: str
) -> HttpResponse:
    """Draw one tab of a store."""
    app, name = seen["application"], seen["store"]
    palette = hues.palette([*seen["strip"]["instances"], *seen["holders"]])
    shared = {
        "it": seen,
        "store": name,
        "tab": tab,
        "palette": palette,
        "level": verdicts.level(seen["verdict"]),
        "verdicts": verdicts.own(seen["verdict"]),
        "drawn": strips.drawn(seen["strip"], palette, links.to("store-partitions", app, name)),
        "may_schedule": policy.allowed(request.user, "schedule", app, name),
        "actions": [
            {"kind": kind, "allowed": policy.allowed(request.user, kind, app, name), "role": policy.ACTIONS[kind]}
            for kind in ("rebuild", "compact", "export")
        ],
    }
    return shell.page(request, template, seen, shared | context, section="stores", topic=f"store:{app}/{name}", app=app)
