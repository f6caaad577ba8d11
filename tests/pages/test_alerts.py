"""Alerts in the browser: what is open, a rule written by keyboard, its test, and what a viewer sees."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in

pytestmark = pytest.mark.browser


def test_what_fires_is_on_top_with_where_to_look(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/alerts/")
    row = signed_in.locator("[aria-labelledby=h-open] tbody tr")
    assert "firing" in row.inner_text()
    assert "5 min behind" in row.inner_text()
    assert row.locator("a").get_attribute("href") == "/lag/slow-lane/"
    assert "it answered 404" in signed_in.inner_text("[aria-labelledby=h-messages]")


def test_a_rule_is_written_corrected_tested_and_deleted(signed_in: Any, site: Site, complaints: list[str]) -> None:
    signed_in.goto(f"{site.url}/alerts/")
    signed_in.click("text=New rule")
    signed_in.fill("#name", "carriers stall")
    signed_in.select_option("#condition", "verdict")
    assert not signed_in.is_visible("#threshold")
    signed_in.select_option("#verdict", "STOP")
    signed_in.fill("#webhook_url", "http://169.254.169.254/latest/")
    signed_in.press("#webhook_url", "Enter")
    assert "metadata addresses are refused" in signed_in.inner_text("#webhook_url-hint")
    assert signed_in.input_value("#name") == "carriers stall"
    # The browser notes an answer of 422 as an error on its console.
    complaints[:] = [each for each in complaints if "422" not in each]
    signed_in.fill("#webhook_url", "")
    signed_in.fill("#emails", "ada@example.com")
    signed_in.click("button:has-text('Save')")
    signed_in.wait_for_selector(".note-ok:has-text('is saved')")
    row = signed_in.locator("[aria-labelledby=h-rules] tr", has_text="carriers stall")
    assert "the verdict is at least STOP for 60 s" in row.inner_text()
    row.locator("button[type=submit]").click()
    signed_in.wait_for_selector(".note-ok:has-text('1 test message under way')")
    assert "ada@example.com" in signed_in.inner_text("[aria-labelledby=h-messages] tbody tr >> nth=0")
    signed_in.click("text=carriers stall >> nth=0")
    signed_in.click("text=Delete this rule")
    signed_in.wait_for_selector(".note-ok:has-text('is deleted')")
    assert signed_in.locator("[aria-labelledby=h-rules] tr", has_text="carriers stall").count() == 0


def test_a_viewer_sees_what_fires_but_no_secret_and_no_button(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}/alerts/")
    assert page.locator("[aria-labelledby=h-open] tbody tr").count() == 1
    assert "s3cret" not in page.content()
    assert page.locator("main form").count() == 0
    assert page.is_disabled("text=New rule")
