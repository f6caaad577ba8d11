"""A store's size: its growth, the budgets that near their end, its largest keys with what was looked at."""

from typing import Any

import pytest

from tests.pages.conftest import Site

pytestmark = pytest.mark.browser
WINDOWS = "/applications/flights/stores/delay-by-hour/"
STORE = "/applications/flights/stores/departures-by-carrier/"


def test_growth_is_drawn_and_budgets_say_what_to_do(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + WINDOWS)
    signed_in.click(".tabs a:has-text('Size')")
    signed_in.wait_for_selector("[data-size-chart] .u-wrap canvas")
    assert "Grew by 1.3 MB" in signed_in.inner_text("[data-size-chart] .chart-note")
    first = signed_in.locator("[data-live=budgets] tbody tr").first.inner_text()
    for part in ("engine-2", "disk", "930 MB", "near its end", "shorter retention"):
        assert part in first
    assert "no limit" in signed_in.inner_text("[data-live=budgets]")


def test_the_largest_keys_lead_to_their_entries_and_say_how_far_was_looked(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}size/")
    signed_in.wait_for_selector("[data-size-chart] .chart-note:has-text('Not enough samples yet')")
    signed_in.click("a:has-text('Look for them')")
    signed_in.wait_for_selector("#largest tr")
    assert "Looked at 400,000 entries of about 1,200,000" in signed_in.inner_text("#largest-looked")
    signed_in.click("#largest tr:first-child a")
    signed_in.wait_for_selector("dialog[open] .tree")
