"""What is on a page follows what is measured, and says so when it doesn't."""

from typing import Any

import pytest

from tests.pages.conftest import Site, eventually

pytestmark = pytest.mark.browser


def test_the_overview_says_what_is_wrong_first_and_shows_every_store(signed_in: Any) -> None:
    assert "slow-lane is falling behind" in signed_in.inner_text(".verdicts li:first-child")
    assert signed_in.locator("section.app-card").count() == 2
    row = signed_in.locator("tr", has_text="delay-by-hour")
    assert "26,115" in row.inner_text()
    assert row.locator("ol.strip a").count() == 4
    assert "engine-2 · restoring" in row.locator("ol.strip a").nth(3).get_attribute("title")


def test_unknown_is_a_dash_and_never_a_zero(signed_in: Any) -> None:
    sizes = signed_in.locator("tr", has_text="planes").locator("td.num")
    assert sizes.nth(1).inner_text() == "\N{EN DASH}"


def test_the_page_is_live_and_its_numbers_move_without_a_reload(signed_in: Any) -> None:
    signed_in.wait_for_selector("#live[data-state=live]")
    assert signed_in.inner_text("#live").startswith("live 0.")
    note = signed_in.locator("tr", has_text="delay-by-hour").locator(".strip-and-note .small")
    first = note.inner_text()
    signed_in.evaluate("window.still = true")
    eventually(lambda: note.inner_text() != first)
    assert signed_in.evaluate("window.still")


def test_a_lost_instance_shows_by_itself_and_no_row_goes_away(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/applications/flights/")
    signed_in.wait_for_selector("#live[data-state=live]")
    rows = signed_in.locator(".matrix tbody tr").count()
    site.steer("scene?name=lost")
    signed_in.wait_for_selector(".state-bad:has-text('unreachable')", timeout=2_000)
    signed_in.wait_for_selector(".matrix .state:has-text('moving')")
    assert signed_in.locator(".matrix tbody tr").count() == rows


def test_when_messages_stop_the_page_says_stale_and_recovers(signed_in: Any, site: Site) -> None:
    signed_in.wait_for_selector("#live[data-state=live]")
    site.steer("silence")
    signed_in.wait_for_selector("#live[data-state=stale]", timeout=8_000)
    assert signed_in.inner_text("#live").startswith("stale since ")
    assert signed_in.is_visible(".stale-note")
    site.steer("speak")
    signed_in.wait_for_selector("#live[data-state=live]")
    assert not signed_in.is_visible(".stale-note")


def test_an_old_observer_makes_the_page_stale_though_messages_come(signed_in: Any, site: Site) -> None:
    site.steer("age?ms=9000")
    signed_in.wait_for_selector("#live[data-state=stale]", timeout=4_000)
    assert "observer" in signed_in.inner_text("#stale-reason")


def test_a_page_that_is_stale_at_first_paint_says_so_without_scripts(browser: Any, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/sign-in/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", "a quiet lake")
    site.steer("age?ms=9000")
    page.click("button[type=submit]")
    assert page.is_visible(".stale-note")
    assert "Redis does not answer" in page.inner_text(".stale-note")
    context.close()


def test_what_the_reader_opened_and_focused_survives_an_update(signed_in: Any) -> None:
    cell = signed_in.locator("tr", has_text="delay-by-hour").locator("ol.strip a").first
    cell.focus()
    signed_in.wait_for_timeout(1_500)
    assert cell.evaluate("element => element === document.activeElement")
