"""Jobs: nothing can be applied before its dry run was shown."""

from typing import Any

import pytest

from tests.pages.conftest import Site
from tests.pages.sample_jobs import DONE, RUNNING

pytestmark = pytest.mark.browser
STORE = "/applications/flights/stores/delay-by-hour/"


def test_apply_opens_only_after_the_dry_run_and_the_typed_name(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    signed_in.click("a:has-text('Rebuild…')")
    signed_in.wait_for_selector("dialog[open]")
    apply = signed_in.locator("dialog form[data-apply] button[type=submit]")
    assert apply.is_disabled()
    assert signed_in.locator("dialog [name=partition]:checked").count() == 0

    signed_in.check("dialog [name=partition][value='3']")
    signed_in.fill("dialog [name=why] >> nth=0", "checksum warning")
    signed_in.click("dialog button:has-text('Dry run')")
    signed_in.wait_for_selector("dialog .preview")
    assert "8,120,004" in signed_in.inner_text("dialog .preview")
    assert apply.is_disabled()

    signed_in.fill("dialog [name=confirm]", "delay-by-hour")
    assert apply.is_enabled()
    apply.click()
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")


def test_another_choice_after_the_dry_run_closes_apply_again(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}rebuild/?partition=3&dry_run=1")
    signed_in.fill("[name=confirm]", "delay-by-hour")
    assert signed_in.is_enabled("form[data-apply] button")
    signed_in.check("[name=partition][value='0']")
    assert signed_in.is_disabled("form[data-apply] button")


def test_a_dry_run_of_nothing_says_what_to_do(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}rebuild/?dry_run=1")
    assert "Choose at least one partition." in signed_in.inner_text("[role=alert]")


def test_the_server_refuses_to_apply_what_was_not_previewed(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}rebuild/?partition=3")
    signed_in.evaluate("const form = document.querySelector('form[data-apply]'); form.submit()")
    signed_in.wait_for_selector("[role=alert]")
    assert "Run it again, then apply." in signed_in.inner_text("[role=alert]")


def test_compacting_needs_the_dry_run_but_no_typing(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}compact/?partition=1&dry_run=1")
    signed_in.click("form[data-apply] button[type=submit]")
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")


def test_what_a_kind_does_not_report_is_drawn_as_unknown(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/jobs/{DONE}/")
    row = signed_in.locator("section[aria-label=Partitions] tbody tr").nth(0)
    assert row.locator("td").nth(6).inner_text() == "\N{EN DASH}"


def test_a_running_job_shows_each_partition_and_can_be_cancelled(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/jobs/")
    signed_in.click("a:has-text('Rebuild #7')")
    rows = signed_in.locator("section[aria-label=Partitions] tbody tr")
    assert rows.count() == 3
    queued = rows.nth(1)
    assert "queued" in queued.inner_text()
    assert queued.locator("[role=progressbar]").get_attribute("aria-valuenow") is None
    signed_in.click("button:has-text('Cancel this job')")
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")
