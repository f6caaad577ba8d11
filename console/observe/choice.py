"""Which rows of a wide table a page shows: those that match what the reader asked for, a page of them. Pure functions.

Ten thousand rows are megabytes that nobody reads. What is chosen from is one light item a row, kept with the state; the
rows themselves are made for the chosen ones only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# A page is for people; more rows than this are paged. What a browser lays out before it paints is mostly this.
ROWS = 50
_RANGE = re.compile(r"(\d{1,9})\s*(?:-|\N{EN DASH}|\.\.)\s*(\d{1,9})")
_NUMBER_DIGITS_MAX = 9


class Item(NamedTuple):
    """What is known of a row without making it: its name and number, who has it, its state, how much there is of it."""

    name: str
    number: int
    instance: str | None
    state: str
    # For orders by amount: the larger the earlier, None (not known) last.
    lag: int | None = None
    bytes: int | None = None


class Items(Sequence[Item]):
    """Items that are made when they are looked at: who only turns pages looks at none."""

    def __init__(self, count: int, make: Callable[[int], Item]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __getitem__(self, place: Any) -> Any:
        """Return the item at a place, from 0."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._count))]
        if place >= self._count:
            raise IndexError(place)
        return self._make(place)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader asked for. ``at`` is the number whose page is wanted, whatever ``page`` says."""

    words: str = ""
    state: str = ""
    order: str = ""
    page: int = 0
    at: int | None = None
    size: int = ROWS


# For those who need no row at all.
NOTHING = Choice(size=0)
# The first rows, as sockets send them.
FIRST = Choice()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The places of the chosen rows, and how many there are: of all, that match, and pages (from 0)."""

    places: list[int]
    total: int
    matching: int
    page: int
    pages: int

    def as_facts(self) -> dict[str, int]:
        """Return what a snapshot says of it."""
        return {"total": self.total, "matching": self.matching, "page": self.page, "pages": self.pages}


def pick(items: Sequence[Item], choice: Choice | None) -> Chosen:
    """Choose; without a choice everything."""
    if choice is None:
        return Chosen(list(range(len(items))), len(items), len(items), 0, 1)
    places: Sequence[int] = range(len(items))
    if choice.state:
        places = [place for place in places if items[place].state == choice.state]
    if choice.words:
        matches = _matcher(choice.words)
        places = [place for place in places if matches(items[place])]
    if choice.order in _ORDERS:
        amount = _ORDERS[choice.order]
        places = sorted(
            places, key=lambda place: -1 if (found := amount(items[place])) is None else found, reverse=True
        )
    size = choice.size
    pages = -(-len(places) // size) if size else 0
    page = min(choice.page, max(pages - 1, 0))
    if choice.at is not None and size:
        at = next((index for index, place in enumerate(places) if items[place].number == choice.at), None)
        page = page if at is None else at // size
    return Chosen(list(places[page * size : (page + 1) * size]), len(items), len(places), page, pages)


_ORDERS: dict[str, Callable[[Item], int | None]] = {"lag": lambda item: item.lag, "size": lambda item: item.bytes}
ORDERS = ("", *_ORDERS)


def _matcher(words: str) -> Callable[[Item], bool]:
    """Return whether an item is meant: by its number or a range of them, else by a part of its name or its instance."""
    asked = words.strip().lower()
    span = _RANGE.fullmatch(asked)
    if span:
        first, last = int(span[1]), int(span[2])
        return lambda item: first <= item.number <= last
    if asked.isdecimal() and len(asked) <= _NUMBER_DIGITS_MAX:
        number = int(asked)
        return lambda item: item.number == number
    return lambda item: asked in item.name.lower() or (item.instance is not None and asked in item.instance.lower())


def rows(table: dict[str, list[Any]], chosen: Chosen) -> dict[str, list[Any]]:
    """Return the chosen rows of a whole table."""
    return {"columns": table["columns"], "rows": [table["rows"][place] for place in chosen.places]}
