"""Comparing a store with its changelog: the outcome, the rows that differ, and how to start it."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.sample_jobs import RUNNING

pytestmark = pytest.mark.browser
COMPARED = "/applications/flights/stores/delay-by-hour/compare/"
NEVER = "/applications/flights/stores/departures-by-carrier/compare/"


def test_the_latest_outcome_and_its_rows_are_shown(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/applications/flights/stores/delay-by-hour/")
    signed_in.click(".tabs a:has-text('Compare')")
    signed_in.wait_for_url(f"**{COMPARED}")
    assert "3 differ" in signed_in.inner_text(".card-head")
    rows = signed_in.locator("table.diff tbody tr")
    assert rows.count() == 3
    assert "<b>not markup</b>" in rows.nth(0).inner_text()
    assert "not there" in rows.nth(1).locator("td.diff-side").nth(0).inner_text()
    assert "not there" in rows.nth(2).locator("td.diff-side").nth(1).inner_text()
    rows.nth(0).locator("th a").click()
    signed_in.wait_for_url("**/delay-by-hour/?by=key&key=JFK&partition=1")


def test_a_store_that_was_never_compared_says_what_would_appear(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + NEVER)
    assert "has not been compared yet" in signed_in.inner_text(".empty")
    signed_in.click(".empty a:has-text('Verify…')")
    signed_in.wait_for_selector("dialog[open]")
    apply = signed_in.locator("dialog form[data-apply] button[type=submit]")
    assert apply.is_disabled()
    signed_in.check("dialog [name=partition][value='1']")
    signed_in.click("dialog button:has-text('Dry run')")
    signed_in.wait_for_selector("dialog .preview")
    apply.click()
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")


def test_a_viewer_sees_the_outcome_but_may_not_start_one(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(site.url + COMPARED)
    assert page.locator("button:has-text('Verify…')").is_disabled()
    assert page.locator("table.diff").count() == 1
