"""What every page has: the palette, keys with their help, a time zone to choose, the tour."""

from typing import Any

import pytest

from tests.pages.conftest import Site, eventually, sign_in
from tests.pages.site import PASSWORD

pytestmark = pytest.mark.browser
WINDOWS = "/applications/flights/stores/delay-by-hour/"
STORE = "/applications/flights/stores/departures-by-carrier/"


def test_the_palette_leads_to_stores_pages_actions_and_keys(signed_in: Any) -> None:
    signed_in.keyboard.press("Control+k")
    signed_in.wait_for_selector("#palette-list li")
    signed_in.keyboard.type("delay-by")
    assert signed_in.inner_text("#palette-list li[aria-selected=true]").startswith("delay-by-hour")
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url(f"**{WINDOWS}")
    signed_in.keyboard.press("Control+k")
    signed_in.wait_for_selector("#palette-list li")
    signed_in.keyboard.type("rebuild delay")
    assert "Rebuild delay-by-hour…" in signed_in.inner_text("#palette-list li[aria-selected=true]")
    signed_in.fill("#palette-input", "departures-by-carrier UA")
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url("**/departures-by-carrier/?by=key&key=UA")
    assert signed_in.locator("#entries th").all_inner_texts() == ["UA"]


def test_a_viewers_palette_has_no_actions(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    items = page.request.get(f"{site.url}/palette/").json()["items"]
    assert any(item["label"] == "delay-by-hour" for item in items)
    assert not any(item["hint"].startswith("action") or item["label"] == "Audit" for item in items)


def test_keys_lead_to_pages_and_a_question_mark_shows_them(signed_in: Any) -> None:
    signed_in.keyboard.press("?")
    assert "go to anything" in signed_in.inner_text("#help[open]")
    signed_in.keyboard.press("Escape")
    assert signed_in.locator("#help[open]").count() == 0
    signed_in.keyboard.press("g")
    signed_in.keyboard.press("l")
    signed_in.wait_for_url("**/lag/**")


def test_times_are_in_utc_or_in_the_browsers_zone_and_the_choice_is_kept(browser: Any, site: Site) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    sign_in(page, site)
    page.goto(f"{site.url}{WINDOWS}?by=window&window_from=2013-01-01T07:00&window_to=2013-01-01T07:00")
    assert "2013-01-01 07:00:00" in page.inner_text("#entries")
    page.click("summary[aria-label=Account]")
    with page.expect_navigation():
        page.click("[data-zone-choice=local]")
    assert "2013-01-01 16:00:00" in page.inner_text("#entries")
    assert "Asia/Tokyo" in page.inner_text(".entries thead")
    assert page.input_value("[name=window_from]") == "2013-01-01T16:00:00"
    page.fill("[name=window_from]", "2013-01-01T17:00")
    page.fill("[name=window_to]", "2013-01-01T17:00")
    with page.expect_response(lambda answer: "window_from=2013-01-01T08%3A00" in answer.url):
        page.click("button:has-text('Look')")
    page.wait_for_selector("#entries:has-text('2013-01-01 17:00:00')")
    context.close()


def test_the_menu_says_which_theme_and_zone_were_chosen(signed_in: Any) -> None:
    def chosen() -> list[str]:
        return [each.strip() for each in signed_in.locator(".menu-panel [aria-pressed=true]").all_text_contents()]

    assert chosen() == ["As the system", "Times in UTC"]
    signed_in.click("summary[aria-label=Account]")
    signed_in.click("[data-theme-choice=dark]")
    assert chosen() == ["Dark", "Times in UTC"]
    signed_in.reload()
    assert chosen() == ["Dark", "Times in UTC"]


def test_on_a_phone_the_palette_has_a_button(signed_in: Any) -> None:
    assert not signed_in.is_visible("[data-palette]")
    signed_in.set_viewport_size({"width": 390, "height": 800})
    signed_in.click("[data-palette]")
    signed_in.wait_for_selector("#palette-list li:has-text('Schedules')")


def test_who_may_not_see_a_page_reads_as_whom_and_can_sign_out(page: Any, site: Site) -> None:
    # A session of its own: signing out ends it, and other tests go on with theirs.
    page.goto(f"{site.url}/sign-in/")
    page.fill("#id_username", "vic")
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("h1:has-text('Overview')")
    assert page.goto(f"{site.url}{STORE}schedule/").status == 403
    assert "it takes the role 'operator'" in page.inner_text("main")
    assert "signed in as vic" in page.inner_text("main")
    page.click("button:has-text('Sign out')")
    page.wait_for_url("**/sign-in/**")


def box(page: Any, selector: str) -> dict[str, float]:
    found = page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return dict(found)


def encloses(outer: dict[str, float], inner: dict[str, float]) -> bool:
    return (
        outer["x"] <= inner["x"]
        and outer["y"] <= inner["y"]
        and outer["x"] + outer["width"] >= inner["x"] + inner["width"]
        and outer["y"] + outer["height"] >= inner["y"] + inner["height"]
    )


def overlaps(one: dict[str, float], other: dict[str, float]) -> bool:
    def apart(axis: str, size: str) -> bool:
        return one[axis] + one[size] <= other[axis] or other[axis] + other[size] <= one[axis]

    return not (apart("x", "width") or apart("y", "height"))


TARGETS = (".strip", "[data-live=overview] .note", ".store-table th a", "nav.rail")


@pytest.mark.parametrize("width", [1440, 390])
def test_the_tour_is_offered_once_and_has_four_stops(signed_in: Any, width: int) -> None:
    signed_in.set_viewport_size({"width": width, "height": 800})
    signed_in.click("[data-tour-start]")
    assert not signed_in.is_visible("#tour-offer")
    for number, target in enumerate(TARGETS, 1):
        assert f"{number} of 4" in signed_in.inner_text("#tour")
        # The page is drawn again meanwhile; the ring stays around what is explained, and the card beside it.
        with signed_in.expect_response(lambda answer: answer.request.headers.get("x-statehouse-live") == "tick"):
            pass
        eventually(lambda at=target: encloses(box(signed_in, ".tour-ring"), box(signed_in, at)))
        card = box(signed_in, "#tour")
        assert not overlaps(card, box(signed_in, target))
        assert card["x"] >= 0
        assert card["x"] + card["width"] <= width
        assert card["y"] + card["height"] <= 800
        signed_in.click("#tour .button-main")
    assert signed_in.locator("#tour").count() == 0
    signed_in.reload()
    assert not signed_in.is_visible("#tour-offer")


def test_charts_follow_the_readers_zone(browser: Any, site: Site) -> None:
    context = browser.new_context(timezone_id="Asia/Kolkata")
    page = context.new_page()
    sign_in(page, site)
    for path in ("/lag/slow-lane/", "/applications/flights/stores/delay-by-hour/size/"):
        for zone, shown in (("utc", "time (UTC)"), ("local", "time (Asia/Calcutta)")):
            page.evaluate("zone => localStorage.setItem('zone', zone)", zone)
            page.goto(site.url + path)
            page.wait_for_selector(".u-legend .u-label")
            words = page.locator(".u-legend .u-label").first.inner_text()
            assert words.replace("Kolkata", "Calcutta") == shown, path
    context.close()
