"""The partitions that a form is about: a box to tick for each of few, a line such as ``0-99, 512`` for many."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from console.pages import strips

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import QueryDict

_PART = re.compile(r"(\d{1,9})(?:\s*(?:-|\N{EN DASH}|\.\.)\s*(\d{1,9}))?")


def read(given: QueryDict, strip: dict[str, Any], palette: dict[str, int]) -> dict[str, Any]:
    """Return what a form shows and what was chosen: ``{"known", "chosen", "text", "cells", "is_wide", "problem"}``.

    ``strip`` is a store's, packed where it is long; ``known`` and ``chosen`` are partitions in order; ``cells`` are those
    to tick, none of a long strip. ``problem`` says in words what is wrong with the line.
    """
    is_wide = "packed" in strip
    numbers = (strip["numbers"] or range(strip["count"])) if is_wide else [cell[0] for cell in strip["cells"]]
    known = set(numbers)
    named = [each for each in given.getlist("partition") if each.isdecimal() and len(each) < 10]  # noqa: PLR2004 - an int32
    chosen = {int(each) for each in named} & known
    text, problem = given.get("partitions", "").strip(), ""
    if is_wide and text:
        found, problem = parse(text, known)
        chosen |= found
    ordered = sorted(chosen)
    return {
        "known": sorted(known),
        "chosen": ordered,
        "text": text if problem else words(ordered),
        "cells": [
            cell | {"chosen": cell["partition"] in chosen} for cell in ([] if is_wide else strips.cells(strip, palette))
        ],
        "is_wide": is_wide,
        "problem": problem,
    }


def parse(text: str, known: set[int]) -> tuple[set[int], str]:
    """Return the partitions that a line names, and what is wrong with it (or nothing). No partition that is not known."""
    found: set[int] = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        match = _PART.fullmatch(part)
        if match is None:
            return set(), f"{part!r} is neither a partition nor a range. Write for example 0-99, 512."
        first, last = int(match[1]), int(match[2] or match[1])
        # The known ones are gone through, not the range: it may be written with nine digits.
        named = {each for each in known if first <= each <= last}
        if not named:
            return set(), f"There is no partition {part}."
        found |= named
    return found, ""


def words(partitions: Iterable[int]) -> str:
    """Return partitions as a line, neighbours as ranges."""
    spans: list[list[int]] = []
    for each in sorted(partitions):
        if spans and spans[-1][1] == each - 1:
            spans[-1][1] = each
        else:
            spans.append([each, each])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
