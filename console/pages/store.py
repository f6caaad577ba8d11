"""One store: what all its tabs share, its partitions, and its settings. Browsing is ``browse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from console.access import policy
from console.access.policy import requires
from console.browse import past
from console.observe import snapshot
from console.pages import hues, job_arguments, links, shell, strips, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


# Rows of copies on one page; ten thousand would be six megabytes.
ROWS_MAX = 400


@requires("read-status")
def partitions(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw who has which partition, how far it is, and what it holds."""
    seen = find(app, store)
    given = request.GET.get("from", "")
    first = int(given) if given.isdecimal() and len(given) < 10 else 0  # noqa: PLR2004 - a partition's number is an int32
    found = [each for each in snapshot.rows(seen["positions"]) if each["partition"] >= first]
    rows = [
        each | {"level": verdicts.level(each["verdict"]), "word": verdicts.copy_word(each)} for each in found[:ROWS_MAX]
    ]
    following = found[ROWS_MAX]["partition"] if len(found) > ROWS_MAX else None
    context = {"rows": rows, "first": first, "following": following, "jobs": seen["jobs"], "restores": seen["restores"]}
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


def find(app: str, store: str) -> dict[str, Any]:
    """Return the store's snapshot, or raise 404."""
    return shell.found(snapshot.store(app, store), f"a store {store!r} of {app!r}")


def page(
    request: HttpRequest, template: str, seen: dict[str, Any], context: dict[str, Any], *, tab: str
) -> HttpResponse:
    """Draw one tab of a store."""
    app, name = seen["application"], seen["store"]
    owners = [
        each
        for each in [*seen["strip"]["instances"], *(row["instance"] for row in snapshot.rows(seen["positions"]))]
        if each
    ]
    palette = hues.palette(owners)
    shared = {
        "it": seen,
        "store": name,
        "tab": tab,
        "palette": palette,
        "level": verdicts.level(seen["verdict"]),
        "verdicts": verdicts.own(seen["verdict"]),
        "cells": strips.cells(
            seen["strip"],
            palette,
            "" if tab == "partitions" else f"{request.path.split(f'/stores/{name}/')[0]}/stores/{name}/partitions/",
        ),
        "may_schedule": policy.allowed(request.user, "schedule", app, name),
        "actions": [
            {"kind": kind, "allowed": policy.allowed(request.user, kind, app, name), "role": policy.ACTIONS[kind]}
            for kind in ("rebuild", "compact", "export")
        ],
    }
    return shell.page(request, template, seen, shared | context, section="stores", topic=f"store:{app}/{name}", app=app)
