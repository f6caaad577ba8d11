"""How a reader chooses among the rows of a wide table: what the URL says, and the form, the states and the pages to go to.

What is chosen stands in the URL, so a page that was found can be sent to someone else: ``q`` (a partition, a range, a part of
a name), ``state``, ``order``, ``page`` (from 1), ``at`` (the partition whose page is wanted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from console.observe.choice import ORDERS, ROWS, Choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import QueryDict

_WORDS_MAX = 100
_DIGITS_MAX = 9
ORDER_WORDS = {"": "by partition", "lag": "furthest behind first", "size": "largest first"}


def read(given: QueryDict, *, page: str = "page") -> Choice:
    """Return what a URL asks for; what makes no sense in it is left out."""
    number = _number(given.get(page, ""))
    order = given.get("order", "")
    return Choice(
        words=given.get("q", "").strip()[:_WORDS_MAX],
        state=given.get("state", "").strip()[:_WORDS_MAX],
        order=order if order in ORDERS else "",
        page=max((number or 1) - 1, 0),
        at=_number(given.get("at", "")),
        size=ROWS,
    )


def shown(
    given: QueryDict,
    choice: Choice,
    facts: Mapping[str, int],
    *,
    noun: str,
    states: Mapping[str, int] | None = None,
    anchor: str = "",
    page: str = "page",
) -> dict[str, Any]:
    """Return what the form and the pager show.

    ``facts`` are the snapshot's ``chosen``, ``states`` how many rows are in each; ``noun`` is what a row is called in the
    plural; ``anchor`` is where on the page the table stands; ``page`` names the parameter when a page has several tables.
    """
    kept = {name: str(value) for name, value in given.items() if name not in {page, "at"} and value}
    first = facts["page"] * choice.size + 1
    last = min(first + choice.size - 1, facts["matching"])
    return {
        "words": choice.words,
        "state": choice.state,
        "order": choice.order,
        "orders": list(ORDER_WORDS.items()),
        "states": [
            {
                "state": state,
                "count": count,
                "is_chosen": state == choice.state,
                "href": _link(kept | {"state": "" if state == choice.state else state}, anchor),
            }
            for state, count in (states or {}).items()
        ],
        "is_narrowed": bool(choice.words or choice.state),
        # A table that fits on one page, and always did, needs no form in front of it.
        "is_wide": facts["total"] > choice.size,
        "everything": _link({name: value for name, value in kept.items() if name not in {"q", "state"}}, anchor),
        "hidden": [(name, value) for name, value in kept.items() if name not in {"q", "order"}],
        "noun": noun,
        "anchor": anchor,
        "total": facts["total"],
        "matching": facts["matching"],
        "first": first,
        "last": last,
        "former": _link(kept | {page: str(facts["page"])}, anchor) if facts["page"] > 0 else "",
        "following": _link(kept | {page: str(facts["page"] + 2)}, anchor) if facts["page"] + 1 < facts["pages"] else "",
    }


def _link(parameters: dict[str, str], anchor: str) -> str:
    text = urlencode({name: value for name, value in parameters.items() if value})
    return f"?{text}{anchor and f'#{anchor}'}"


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _DIGITS_MAX else None
