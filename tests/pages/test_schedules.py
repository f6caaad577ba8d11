"""Schedules: previewed before they are made, shown with how the last run went, paused and deleted."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in

pytestmark = pytest.mark.browser
NEW = "/applications/flights/stores/departures-by-carrier/schedule/"


def test_one_is_previewed_made_paused_and_deleted(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + NEW.removesuffix("schedule/"))
    assert signed_in.get_attribute("a:has-text('Schedule…')", "href") == NEW
    signed_in.goto(f"{site.url}{NEW}?kind=compact&cron=often")
    assert "Write five fields" in signed_in.inner_text("[role=alert]")
    assert signed_in.is_disabled("button:has-text('Schedule it')")
    signed_in.fill("#s-cron", "15 4 * * *")
    signed_in.click("button:has-text('Preview')")
    signed_in.wait_for_selector(".preview")
    assert "04:15:00" in signed_in.inner_text(".dialog-body")
    signed_in.click("button:has-text('Schedule it')")
    signed_in.wait_for_url("**/schedules/")
    row = signed_in.locator("tbody tr:has-text('15 4 * * *')")
    assert "departures-by-carrier" in row.inner_text()
    row.locator("summary:has-text('Copy as')").click()
    assert [line.split(":")[0] for line in row.locator(".row-copies p").all_inner_texts()] == ["pause", "delete"]
    assert "manage.py schedules pause " in row.locator("[data-copy]:has-text('CLI')").first.get_attribute("data-copy")
    row.locator("button:has-text('Pause')").click()
    signed_in.wait_for_selector("tbody tr:has-text('15 4 * * *') .state:has-text('paused')")
    row.locator("button:has-text('Delete')").click()
    signed_in.wait_for_selector("[role=alert]:has-text('is deleted')")
    assert signed_in.locator("tbody tr:has-text('15 4 * * *')").count() == 0


def test_the_last_run_says_how_it_went(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}/jobs/")
    page.click("a:has-text('Schedules')")
    row = page.locator("tbody tr:has-text('30 2 * * mon')")
    assert "works on partition 3" in row.inner_text()
    assert row.locator("button").count() == 0
    assert page.goto(site.url + NEW).status == 403


def test_an_exports_format_is_chosen_and_copied(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{NEW}?kind=compact&cron=@daily")
    assert not signed_in.is_visible("[name=format] >> nth=0")
    signed_in.check("[name=kind][value=export]", force=True)
    signed_in.check("[name=format][value=parquet]", force=True)
    signed_in.click("button:has-text('Preview')")
    signed_in.wait_for_selector("form[method=post] [name=format][value=parquet]", state="attached")
    cli = signed_in.locator(".preview [data-copy]:has-text('CLI')").get_attribute("data-copy")
    assert "schedules create export" in cli
    assert "--argument format=parquet" in cli
