"""A page of entries for which an expression holds: engine pages after another, until enough were found or it took long.

An engine looks at a bounded number of rows a question, so that no reader can hold its loop up. A person would have to
press "continue" all the time; this asks on for them, for two seconds, and then says how far it came. Blocking.
"""

from __future__ import annotations

import time
from typing import Any

from console import limits
from console.browse import entries, translated


def page(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return the engine's answer, its entries and ``scanned`` being those of all its pages. Raises ``Unavailable``.

    A page that fails after others had succeeded ends the answer there: its failure stands in ``sources``.
    """
    until = time.monotonic() + limits.FILTER_SECONDS_MAX
    limit = int(params.get("limit", limits.PAGE_ENTRIES_DEFAULT))
    whole = entries.page(app, store, params)
    while whole["cursor"] and len(whole["entries"]) < limit and time.monotonic() < until and not _failed(whole):
        left = str(limit - len(whole["entries"]))
        try:
            more = entries.page(app, store, params | {"cursor": whole["cursor"], "limit": left})
        except entries.Unavailable as error:
            told = {"code": error.code, "message": error.words, "retryable": error.retryable}
            unknown = {"instance": None, "partition": None, "role": None, "position": None, "lag": None}
            whole["sources"].append({**unknown, "error": told})
            break
        whole["entries"] += more["entries"]
        whole["cursor"] = more["cursor"]
        whole["scanned"] = (whole.get("scanned") or 0) + (more.get("scanned") or 0)
        whole["sources"] = translated.together(whole["sources"], more["sources"])
    return whole


def _failed(answer: dict[str, Any]) -> bool:
    return any(each.get("error") for each in answer["sources"])
