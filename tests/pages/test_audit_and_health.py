"""The audit, searched by people; and the self-check, which says what to do."""

from typing import Any

import pytest

from tests.pages.conftest import Site, sign_in

pytestmark = pytest.mark.browser


def test_the_audit_is_searched_and_paged(signed_in: Any, site: Site) -> None:
    signed_in.click("nav.rail a:has-text('Audit')")
    # Other tests of the same site leave rows too; 105 of these are seeded.
    signed_in.select_option("#a-action", "browse-like")
    signed_in.click("main button:has-text('Search')")
    signed_in.wait_for_url("**action=browse-like**")
    assert signed_in.locator("table.audit tbody tr").count() == 100
    signed_in.click("a:has-text('Older')")
    signed_in.wait_for_url("**before=**")
    assert signed_in.locator("table.audit tbody tr").count() == 5
    signed_in.goto(f"{site.url}/audit/")
    signed_in.fill("#a-q", "checksum")
    signed_in.click("main button:has-text('Search')")
    signed_in.wait_for_url("**q=checksum**")
    row = signed_in.inner_text("table.audit tbody tr")
    for part in ("10.0.0.7", "page", "rebuild", "delay-by-hour", "<i>checksum</i>", "accepted"):
        assert part in row
    signed_in.fill("#a-q", "")
    signed_in.select_option("#a-action", "compact")
    signed_in.click("main button:has-text('Search')")
    signed_in.wait_for_url("**action=compact**")
    assert "refused: forbidden" in signed_in.inner_text("table.audit tbody")
    assert "action=compact" in signed_in.url


def test_a_viewer_does_not_see_the_audit(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    assert page.locator("nav.rail a:has-text('Audit')").count() == 0
    assert page.goto(f"{site.url}/audit/").status == 403


def test_the_self_check_runs_behind_the_page_and_says_what_to_do(signed_in: Any) -> None:
    signed_in.click("nav.rail a:has-text('Health')")
    signed_in.wait_for_selector(".checks .state-bad")
    lines = signed_in.locator(".checks li").all_inner_texts()
    assert [line.split("\n")[0] for line in lines] == ["ok", "ok", "bad", "skipped", "warn"]
    assert "What to do: Check KAFKA_BOOTSTRAP_SERVERS" in lines[2]
    assert "Kafka does not answer" in signed_in.inner_text(".note-bad")
