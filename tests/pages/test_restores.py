"""Restores: what runs, a history that can be searched, and rebuilds to start and to cancel."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.sample_jobs import RUNNING
from tests.pages.sample_past import RESTORING

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


def test_a_restore_that_runs_has_a_page_of_its_own(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/restores/")
    signed_in.click(f"section.restore a:has-text('#{RESTORING}')")
    signed_in.wait_for_selector(f"h1:has-text('Restore #{RESTORING}')")
    assert signed_in.locator("section.restore rect.since").count() == 1
    facts = signed_in.inner_text("section.restore")
    for part in ("applying", "412,300/s", "from offset 0", "8,120,004", "2,310"):
        assert part in facts, part
    why = signed_in.inner_text("section:has(#h-why)")
    assert "Somebody asked for it." in why
    assert "rebuild #22, because: checksum warning in the log" in why
    phases = signed_in.locator("section:has(#h-phases) tbody tr")
    assert [phases.nth(number).inner_text().split()[0] for number in range(3)] == ["queued", "fetching", "applying"]
    assert phases.nth(2).inner_text().endswith("still")
    assert "from offset 0 to 8,120,004" in signed_in.inner_text("section:has(#h-events)")
    signed_in.click("section:has(#h-stores) a:has-text('delays')")
    signed_in.wait_for_selector(f"h1:has-text('Restore #{RESTORING + 1}')")
    assert "done" in signed_in.inner_text("h1 + .state")


def test_a_recorded_restore_says_its_outcome_cause_and_copies(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/restores/?outcome=interrupted")
    signed_in.click("#history tbody tr:first-child th a")
    signed_in.wait_for_selector("h1:has-text('Restore #')")
    assert "It was interrupted" in signed_in.inner_text("[data-live=restore] .note-warn")
    assert "No phase was recorded" in signed_in.inner_text("section:has(#h-phases)")
    names = signed_in.locator(".copies button").all_inner_texts()
    assert names == ["curl", "CLI", "Python"]
    assert signed_in.request.get(f"{site.url}/restores/123456789/").status == 404
