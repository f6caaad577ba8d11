"""The past: taken after a dry run, browsed beside the present under a banner, compared, deleted; and a diff of many rows."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.sample_jobs import RUNNING
from tests.pages.sample_past import OF_WINDOWS, SNAPSHOT, VERIFIED

pytestmark = pytest.mark.browser
STORE = "/applications/flights/stores/departures-by-carrier/"
PAST = f"{STORE}snapshots/{SNAPSHOT}/"
DIFF = f"/jobs/{VERIFIED}/differences/"


def test_a_snapshot_is_taken_after_its_limits_were_shown(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}compare/")
    signed_in.click("a:has-text('Take a snapshot…')")
    signed_in.wait_for_selector("dialog[open]")
    apply = signed_in.locator("dialog form[data-apply] button[type=submit]")
    signed_in.check("dialog [name=partition][value='1']")
    signed_in.click("dialog button:has-text('Dry run')")
    signed_in.wait_for_selector("dialog [role=alert]")
    assert "Say as of when" in signed_in.inner_text("dialog [role=alert]")
    assert apply.is_disabled()
    signed_in.fill("dialog form[data-in-dialog] [name=as_of_offset]", "58,000")
    signed_in.click("dialog button:has-text('Dry run')")
    signed_in.wait_for_selector("dialog .preview")
    shown = signed_in.inner_text("dialog .preview")
    assert "58,000" in shown
    assert "min.compaction.lag" in shown
    copied = signed_in.get_attribute("dialog .preview [data-copy]:has-text('CLI')", "data-copy")
    assert copied.startswith("uv run manage.py jobs start snapshot flights departures-by-carrier --partition 1")
    assert apply.is_enabled()
    signed_in.fill("dialog form[data-in-dialog] [name=as_of_offset]", "5")
    signed_in.locator("dialog form[data-in-dialog] [name=as_of_offset]").blur()
    assert apply.is_disabled(), "another offset needs another dry run"
    signed_in.click("dialog button:has-text('dry run')")
    signed_in.wait_for_selector("dialog form[data-apply] button[type=submit]:enabled")
    apply.click()
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")


def test_the_past_stands_beside_the_present_under_a_banner(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}compare/")
    signed_in.click("a:has-text('Snapshot #11')")
    signed_in.wait_for_url(f"**{PAST}")
    assert "This is the past." in signed_in.inner_text(".past-banner")
    signed_in.click(".past-limits summary")
    assert "41,600 of its offsets held no record" in signed_in.inner_text(".past-limits")
    assert "missing altogether" in signed_in.inner_text(".past-limits")
    rows = signed_in.locator("#entries tr")
    cells = {row.locator("th").inner_text(): row.locator("td.value").all_inner_texts() for row in rows.all()}
    assert cells["DL"] == ["48,103", "48,110"]
    assert cells["ZZ"] == ["12", "gone"]
    assert cells["UA"][1] == "the same"
    signed_in.click("#entries a:has-text('DL')")
    signed_in.wait_for_selector("dialog[open]")
    drawer = signed_in.inner_text("dialog")
    assert "This is the past." in drawer
    assert "48103" in signed_in.inner_text("dialog del")
    assert "48110" in signed_in.inner_text("dialog ins")


def test_every_way_to_ask_goes_to_the_past_too(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + PAST)
    signed_in.check("[name=by][value=prefix]", force=True)
    signed_in.fill("#f-prefix", "U")
    signed_in.click("button:has-text('Look')")
    signed_in.wait_for_url("**by=prefix&prefix=U*")
    signed_in.wait_for_selector("#entries tr:nth-child(3)")
    assert signed_in.locator("#entries tr").count() == 3
    assert signed_in.is_visible(".past-banner")
    assert "/snapshots/" in signed_in.get_attribute(".past [data-copy]:has-text('curl')", "data-copy")
    signed_in.goto(
        f"{site.url}/applications/flights/stores/delay-by-hour/snapshots/{OF_WINDOWS}/?by=key&key=JFK&limit=20"
    )
    assert "2013-01-01 08:46:40" in signed_in.inner_text(".past-banner")
    assert signed_in.locator("#entries tr").count() == 20
    signed_in.click("#more")
    signed_in.wait_for_selector("#entries tr:nth-child(30)")


def test_deleting_one_needs_its_number(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + PAST)
    button = signed_in.locator("button:has-text('Delete this snapshot')")
    assert button.is_disabled()
    signed_in.fill("form[data-apply] [name=confirm]", "11")
    assert button.is_enabled()
    button.click()
    signed_in.wait_for_url(f"**{STORE}compare/")
    assert "Snapshot #11 is deleted" in signed_in.inner_text("[role=alert]")


def test_a_viewer_looks_but_does_not_take_or_delete(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}{STORE}compare/")
    assert page.locator("button:has-text('Take a snapshot…')").is_disabled()
    page.goto(site.url + PAST)
    assert page.locator("#entries tr").count() > 3
    assert page.locator("button:has-text('Delete this snapshot')").count() == 0


def test_a_diff_is_paged_filtered_and_exported(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/jobs/{VERIFIED}/")
    signed_in.click("a:has-text('What differs')")
    signed_in.wait_for_url(f"**{DIFF}")
    assert "the first 130 are kept" in signed_in.inner_text(".note-warn >> nth=1")
    rows = signed_in.locator("table.diff tbody tr")
    assert rows.count() == 100
    signed_in.click("a:has-text('Next page')")
    signed_in.wait_for_url("**cursor=99*")
    assert rows.count() == 30
    signed_in.goto(f"{site.url}{DIFF}")
    signed_in.select_option("#d-what", "missing")
    signed_in.fill("#d-key", "k00")
    signed_in.click("button:has-text('Filter')")
    signed_in.wait_for_url("**what=missing*")
    assert rows.count() == 3
    assert "K001<b>" in rows.nth(0).inner_text()
    with signed_in.expect_download() as download:
        signed_in.click("a:has-text('CSV')")
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 4
    assert download.value.suggested_filename == "flights-delay-by-hour-differences-21.csv"
    signed_in.goto(f"{site.url}{DIFF}?what=odd")
    assert "is none of" in signed_in.inner_text("[role=alert]")
