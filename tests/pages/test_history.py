"""What changed for a key: from the row's drawer, with each change in few words."""

from typing import Any

import pytest

from tests.pages.conftest import Site

pytestmark = pytest.mark.browser
WINDOWS = "/applications/flights/stores/delay-by-hour/"


def test_the_drawer_leads_to_the_keys_history_and_back(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{WINDOWS}?by=key&key=JFK")
    signed_in.click("#entries tr:first-child th a")
    signed_in.click("dialog a:has-text('What changed for this key')")
    signed_in.wait_for_selector("dialog .versions")
    versions = signed_in.locator("dialog .versions > li")
    assert versions.count() == 3
    assert "offset 58,664" in versions.nth(0).inner_text()
    assert "flights\n42 → 43" in versions.nth(0).locator(".changed").inner_text()
    assert "<b>not markup</b>" in versions.nth(1).inner_text()
    assert "and 2 more paths" in versions.nth(1).inner_text()
    assert "deleted" in versions.nth(2).inner_text()
    assert "Compaction drops superseded values" in signed_in.inner_text("dialog .note")
    signed_in.click("dialog a:has-text('Back to the entry')")
    signed_in.wait_for_selector("dialog .tree")


def test_a_broker_that_is_away_is_said_and_is_not_an_empty_history(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{WINDOWS}history/?partition=2&key=LGA")
    assert "Kafka does not let the changelog be read." in signed_in.inner_text("main")
    assert signed_in.locator(".versions, .empty").count() == 0


def test_a_long_history_can_be_asked_for_further(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{WINDOWS}history/?partition=0&key=EWR")
    signed_in.click("a:has-text('Up to 100 versions')")
    signed_in.wait_for_selector("[data-copy*='limit=100']", state="attached")
    assert signed_in.locator("dialog[open] a:has-text('Up to 100 versions')").count() == 0
