"""Browsing a store: the query's answer with who gave it, and one entry in full.

Told apart: found, nothing there, not ready (retry), a query that cannot be, and an engine that failed. A partition
that did not answer stands beside the rows that came, never silently missing.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.urls import reverse

from console.access.policy import requires
from console.browse import entries, filtered, history, watched
from console.browse.display import display
from console.limits import ENTRY_SPANS_MAX, HISTORY_VERSIONS_MAX
from console.pages import copy_as, query, shell, tree
from console.pages import store as stores

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

CELL_CHARACTERS_MAX = 400
_HISTORY = {"key", "partition", "window_from", "session_from", "key_format", "value_format"}


@requires("browse")
def browse(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw the query form and its answer. A live update leaves both alone: it must not run the query again."""
    seen = stores.find(app, store)
    asked = query.read(request.GET, seen["kind"])
    context: dict[str, Any] = {"asked": asked, "form": form(asked, seen), "ticking": shell.is_tick(request)}
    if not context["ticking"]:
        context |= answer(request, asked, seen)
    return stores.page(request, "pages/store_browse.html", seen, context, tab="browse")


@requires("browse")
def entry(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw one entry in full, read again now."""
    seen = stores.find(app, store)
    # Sessions that overlap the one asked for come along: the right one is picked by its start.
    by = "as-of" if request.GET.get("as_of") and seen["kind"] == "versioned" else "key"
    asked = query.read(request.GET.dict() | {"by": by, "where": "", "limit": str(ENTRY_SPANS_MAX)}, seen["kind"])
    context = {"asked": asked} | answer(request, asked, seen)
    if not asked.problem:
        address = watched.address(asked.params)
        context |= {"watched": f"entry:{app}/{store}?{address}", "digest": watched.digest(context["entries"])}
    start = asked.params.get("session_from")
    matching = (each for each in context["rows"] if not start or str(each["session"]["start"]) == start)
    found = next(matching, None)
    if found:
        whole, cut = tree.lines(found["value"])
        context |= {
            "found": found
            | {"key_text": asked.params["key"], "value_text": json.dumps(found["value"], ensure_ascii=False, indent=2)},
            "lines": whole,
            "history": f"{reverse('entry-history', args=[app, store])}?{request.GET.urlencode()}",
            "cut": cut,
            "source": next((each for each in context["sources"] if found["partition"] in each["partitions"]), None),
        }
    return shell.page(
        request, "pages/entry.html", seen, context | {"it": seen, "store": store}, section="stores", app=app
    )


@requires("browse")
def versions(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw what the changelog still knows of an entry's key, newest first."""
    seen = stores.find(app, store)
    asked = query.read(request.GET.dict() | {"by": "key"}, seen["kind"])
    params = {name: value for name, value in asked.params.items() if name in _HISTORY}
    if request.GET.get("limit") == str(HISTORY_VERSIONS_MAX):
        params["limit"] = str(HISTORY_VERSIONS_MAX)
    context: dict[str, Any] = {"it": seen, "store": store, "asked": asked, "entry": request.GET.urlencode()}
    if asked.problem:
        context |= {"outcome": "bad", "words": asked.problem}
    else:
        try:
            got = history.of_key(app, store, params)
        except entries.Unavailable as error:
            outcome = "bad" if error.code == "bad-request" else "not-ready" if error.retryable else "failed"
            context |= {"outcome": outcome, "words": error.words, "code": error.code}
        else:
            context |= {"outcome": "found", "got": got, "versions": [version(each) for each in got["versions"]]}
            if got["looked"]["stopped_by"] == "limit" and "limit" not in params:
                longer = request.GET.dict() | {"limit": str(HISTORY_VERSIONS_MAX)}
                context |= {"longer": f"?{urlencode(longer)}", "versions_max": HISTORY_VERSIONS_MAX}
        context["copies"] = copy_as.history(request, app, store, params)
    return shell.page(request, "pages/history.html", seen, context, section="stores", app=app)


def version(found: dict[str, Any]) -> dict[str, Any]:
    """Return a version as the list shows it: its value on a line."""
    return found | {"shown": None if found["is_deletion"] else shown(found["value"])}


def answer(request: HttpRequest, asked: query.Query, seen: dict[str, Any]) -> dict[str, Any]:
    """Ask the engines, and say how it went: ``outcome`` is found, nothing, partial, bad, not-ready or failed."""
    app, store = seen["application"], seen["store"]
    nothing: dict[str, Any] = {"entries": [], "rows": [], "sources": [], "more": ""}
    if asked.problem:
        return nothing | {"outcome": "bad", "words": asked.problem, "copies": []}
    copies = copy_as.entries(request, app, store, asked.params, seen["kind"])
    try:
        ask = filtered.page if "where" in asked.params else entries.page
        got = ask(app, store, asked.params)
    except entries.Unavailable as error:
        outcome = "bad" if error.code == "bad-request" else "not-ready" if error.retryable else "failed"
        return nothing | {
            "outcome": outcome,
            "words": error.words,
            "code": error.code,
            "state": error.state,
            "pointed": pointed(asked, error.state),
            "sources": sources((error.state or {}).get("sources") or []),
            "copies": copies,
        }
    failed = [each for each in got["sources"] if each.get("error")]
    rows = [row(each, got["sources"], asked, seen) for each in got["entries"]]
    outcome = ("partial" if failed else "found") if rows else ("not-ready" if failed else "nothing")
    following = request.GET.copy()
    following["cursor"] = got["cursor"] or ""
    looked = None
    if "where" in asked.params:
        looked = (got.get("scanned") or 0) + whole(request.GET.get("looked", ""))
        following["looked"] = str(looked)
        if outcome == "nothing" and got["cursor"]:
            outcome = "found"
    return {
        "entries": got["entries"],
        "looked": looked,
        "outcome": outcome,
        "words": f"{len(failed)} of {len(got['sources'])} partitions did not answer. What they hold is missing here."
        if failed
        else "",
        "rows": rows,
        "sources": sources(got["sources"]),
        "more": f"?{following.urlencode()}" if got["cursor"] else "",
        "copies": copies,
    }


def whole(text: str) -> int:
    """Return a count that a URL carries, or 0."""
    return int(text) if text.isdecimal() and len(text) < 16 else 0  # noqa: PLR2004 - what a page has surely not looked at


def pointed(asked: query.Query, state: dict[str, Any] | None) -> dict[str, str] | None:
    """Return the filter's text around the character where it could not be read on."""
    at = (state or {}).get("position")
    text = asked.params.get("where", "")
    if not isinstance(at, int) or not text:
        return None
    return {"before": text[:at], "at": text[at : at + 1] or "\N{NO-BREAK SPACE}", "after": text[at + 1 :]}


def row(
    found: dict[str, Any], answered: list[dict[str, Any]], asked: query.Query, seen: dict[str, Any]
) -> dict[str, Any]:
    """Return an entry as a table shows it: cut to a line, with its owner and a link to the whole."""
    address = query.address_of(found, asked.written, seen["key_serde"])
    if asked.by == "versions":
        address["as_of"] = str(found["valid_from"])
    owner = next((each["instance"] for each in answered if each["partition"] == found["partition"]), None)
    return found | {
        "key_shown": display(found["key"], CELL_CHARACTERS_MAX),
        "value_shown": shown(found["value"]),
        "undecodable": found["value"].get("undecodable") if isinstance(found["value"], dict) else None,
        "owner": owner,
        "href": f"{reverse('entry', args=[seen['application'], seen['store']])}?{urlencode(address)}",
    }


def shown(value: Any) -> dict[str, Any]:
    """Return a value as a cell shows it: whole numbers grouped, so that large ones can be read and compared."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"text": f"{value:,}", "cut": False, "number": True}
    return {**display(value, CELL_CHARACTERS_MAX)}


def sources(answered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return who answered, an instance and outcome a line."""

    def line(each: dict[str, Any]) -> tuple[str, str, str]:
        return each["instance"] or "", each["role"] or "", (each["error"] or {}).get("message", "")

    lines = []
    for (instance, role, words), group in groupby(sorted(answered, key=line), key=line):
        members = list(group)
        lags = [each["lag"] for each in members]
        lines.append(
            {
                "instance": instance,
                "role": role,
                "words": words,
                "partitions": [each["partition"] for each in members if each["partition"] is not None],
                "position": members[0]["position"] if len(members) == 1 else None,
                "lag": None if None in lags else sum(lags),
                "error": members[0]["error"],
            },
        )
    return lines


def form(asked: query.Query, seen: dict[str, Any]) -> dict[str, Any]:
    """Return what the form shows for this store's kind."""
    kind = seen["kind"]
    ways = query.WAYS.get(kind, query.WAYS["key-value"])
    shown = list(dict.fromkeys(name for way in ways for name in query.fields_of(way, kind)))
    return {
        "ways": [
            {
                "name": way,
                "label": query.LABELS[way],
                "checked": way == asked.by,
                "fields": " ".join(query.fields_of(way, kind)),
            }
            for way in ways
        ],
        "fields": [
            {
                "name": name,
                "value": asked.written.get(name, ""),
                "time": name in query.TIMES,
                "shown": name in query.fields_of(asked.by, kind),
            }
            | _TEXTS[name]
            for name in shown
        ],
        "formats": query.FORMATS,
        "where": asked.written.get("where", ""),
        "key_format": asked.written.get("key_format", ""),
        "value_format": asked.written.get("value_format", ""),
        "limits": query.LIMITS,
        "limit": asked.written.get("limit", str(query.LIMIT)),
        "partition": asked.written.get("partition", ""),
        "has_options": bool(asked.written.keys() & {"partition", "reverse", "limit", *query.OVERRIDES}),
        "reverse": bool(asked.written.get("reverse")),
    }


_TEXTS: dict[str, dict[str, str]] = {
    "key": {"label": "Key", "hint": ""},
    "prefix": {"label": "Keys that begin with", "hint": ""},
    "from": {"label": "From key", "hint": "inclusive; empty: the first"},
    "to": {"label": "To key", "hint": "inclusive; empty: the last"},
    "window_from": {"label": "Windows from", "hint": "start of the first window"},
    "window_to": {"label": "to", "hint": "start of the last window"},
    "session_from": {"label": "Sessions from", "hint": ""},
    "session_to": {"label": "to", "hint": ""},
    "as_of": {"label": "As of", "hint": "what was valid then"},
    "valid_from": {"label": "Valid from", "hint": "versions valid at this time or later"},
    "valid_to": {"label": "to", "hint": "versions valid at this time or earlier"},
}
