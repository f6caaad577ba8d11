"""Restores: what runs, a history that can be searched, and rebuilds to start and to cancel."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.sample_jobs import RUNNING

pytestmark = pytest.mark.browser


def test_the_history_is_searched_and_paged(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/restores/")
    rows = signed_in.locator("#history tbody tr")
    assert rows.count() == 50
    signed_in.click("a:has-text('Older')")
    signed_in.wait_for_url("**before=*")
    assert rows.count() == 10
    signed_in.fill("#r-q", "CORRUPTION")
    signed_in.click("button:has-text('Search')")
    signed_in.wait_for_url("**q=CORRUPTION*")
    assert rows.count() == 12
    assert "block checksum" in rows.nth(0).inner_text()
    signed_in.select_option("#r-outcome", "interrupted")
    signed_in.click("button:has-text('Search')")
    signed_in.wait_for_url("**outcome=interrupted*")
    assert rows.count() == 1
    signed_in.fill("#r-q", "no such thing")
    signed_in.click("button:has-text('Search')")
    signed_in.wait_for_selector("#history .empty")


def test_what_runs_has_phase_bar_rate_and_time_left(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/restores/")
    card = signed_in.locator("section.restore")
    assert "applying" in card.inner_text()
    assert "written since start" in card.inner_text()
    assert card.locator("[role=progressbar]").get_attribute("aria-valuenow") is not None
    assert card.locator("rect.since").count() == 1


def test_a_rebuild_is_started_with_its_dry_run_and_cancelled(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/restores/")
    signed_in.click("summary:has-text('Rebuild a partition…')")
    signed_in.click(".menu-panel a:has-text('delay-by-hour')")
    signed_in.wait_for_selector("dialog[open]")
    assert signed_in.locator("dialog form[data-apply] button[type=submit]").is_disabled()
    signed_in.click("dialog [data-close] >> nth=0")
    signed_in.click("section:has(#h-jobs) button:has-text('Cancel')")
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")


def test_a_viewer_may_look_only(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}/restores/")
    assert page.locator("button:has-text('Rebuild a partition…')").is_disabled()
    assert page.locator("section:has(#h-jobs) button:has-text('Cancel')").count() == 0
