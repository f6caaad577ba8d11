"""Exporting a store: the format is chosen with the partitions, and the file is handed out on the job's page."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in
from tests.pages.sample_jobs import EXPORTED, RUNNING

pytestmark = pytest.mark.browser
STORE = "/applications/flights/stores/delay-by-hour/"


def test_a_format_is_chosen_and_changing_it_after_the_dry_run_closes_apply(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    signed_in.click("a:has-text('Export…')")
    signed_in.wait_for_selector("dialog[open]")
    signed_in.check("dialog [name=partition][value='3']")
    signed_in.check("dialog [type=radio][value='csv']")
    signed_in.click("dialog button:has-text('Dry run')")
    signed_in.wait_for_selector("dialog .preview")
    assert signed_in.is_checked("dialog [type=radio][value='csv']")
    apply = signed_in.locator("dialog form[data-apply] button[type=submit]")
    assert apply.is_enabled()
    signed_in.check("dialog [type=radio][value='jsonl']")
    assert apply.is_disabled()
    signed_in.click("dialog button:has-text('Run the dry run again')")
    signed_in.wait_for_selector("dialog form[data-apply] button[type=submit]:enabled")
    apply.click()
    signed_in.wait_for_url(f"**/jobs/{RUNNING}/")


def test_an_ended_export_is_handed_out_to_those_who_may(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/jobs/{EXPORTED}/")
    assert "26,115 entries" in signed_in.inner_text(".note-ok")
    assert signed_in.get_attribute("a:has-text('Download')", "href") == f"/jobs/{EXPORTED}/file/"


def test_a_viewer_is_told_what_it_takes(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}/jobs/{EXPORTED}/")
    assert page.locator("a:has-text('Download')").count() == 0
    assert "takes the role operator" in page.inner_text(".note-ok")
    assert page.request.get(f"{site.url}/jobs/{EXPORTED}/file/").status == 403
