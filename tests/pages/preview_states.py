"""What a page looks like after something was done on it: opened menus, the palette, the tour, forms with errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

STORE = "/applications/flights/stores/departures-by-carrier/"
WINDOWS = "/applications/flights/stores/delay-by-hour/"
Act = Callable[[Any], None]


def palette(text: str) -> Act:
    def act(page: Any) -> None:
        page.keyboard.press("Control+k")
        page.wait_for_selector("#palette-list li")
        page.fill("#palette-input", text)

    return act


def tour(stops: int) -> Act:
    def act(page: Any) -> None:
        page.reload()
        for _ in range(stops - 1):
            page.click("#tour .button-main")

    return act


def clicked(selector: str) -> Act:
    return lambda page: page.click(selector)


def options(page: Any) -> None:
    for number in (0, 1):
        page.click(f".options summary >> nth={number}")


# name -> where, and what is done there
STATES: dict[str, tuple[str, Act]] = {
    "palette": ("/", palette("")),
    "palette-key": (STORE, palette("UA")),
    "palette-none": ("/", palette("zebra")),
    "help": ("/", lambda page: page.keyboard.press("?")),
    **{f"tour-{stop}": ("/#tour", tour(stop)) for stop in (1, 2, 3, 4)},
    "zone": ("/", clicked("summary[aria-label=Account]")),
    "switcher": ("/", clicked("summary[aria-label=Application]")),
    "schedule-copies": ("/schedules/", clicked(".row-copies summary >> nth=0")),
    "alert-copies": ("/alerts/", clicked(".row-copies summary >> nth=0")),
    "browse-options": (STORE, options),
    "rebuild-menu": ("/restores/", clicked("summary:has-text('Rebuild')")),
}  # fmt: skip
