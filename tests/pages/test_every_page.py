"""What holds for every page: both themes, both widths, no complaint, an honest empty state, keyboard."""

from typing import Any

import pytest

from tests.pages.conftest import Site
from tests.pages.preview import PAGES

pytestmark = pytest.mark.browser
SIGNED_IN = {name: path for name, path in PAGES.items() if name not in {"sign-in", "not-found"}}


def test_every_page_fits_a_narrow_and_a_wide_window_without_complaint(signed_in: Any, site: Site) -> None:
    for path in SIGNED_IN.values():
        signed_in.emulate_media(color_scheme="light")
        signed_in.set_viewport_size({"width": 1440, "height": 900})
        answer = signed_in.goto(site.url + path)
        assert answer.status == 200, path
        for theme, width in (("light", 1440), ("light", 320), ("dark", 320)):
            signed_in.emulate_media(color_scheme=theme)
            signed_in.wait_for_selector(f"html[data-theme={theme}]")
            signed_in.set_viewport_size({"width": width, "height": 900})
            assert signed_in.evaluate("document.documentElement.scrollWidth") <= width, (path, theme, width)


def test_a_page_begins_in_the_theme_that_the_system_wishes(signed_in: Any) -> None:
    for theme in ("dark", "light"):
        signed_in.emulate_media(color_scheme=theme)
        signed_in.reload()
        assert signed_in.get_attribute("html", "data-theme") == theme


def test_the_theme_is_kept_over_a_reload(signed_in: Any) -> None:
    before = signed_in.get_attribute("html", "data-theme")
    signed_in.click("#theme")
    after = signed_in.get_attribute("html", "data-theme")
    assert {before, after} == {"light", "dark"}
    signed_in.reload()
    assert signed_in.get_attribute("html", "data-theme") == after


def test_no_page_carries_inline_script_or_style(signed_in: Any, site: Site) -> None:
    for path in SIGNED_IN.values():
        source = signed_in.request.get(site.url + path).text()
        assert "<style" not in source, path
        assert " style=" not in source, path
        assert source.count("<script") == source.count("<script src") + source.count('<script type="module" src'), path


def test_empty_pages_say_what_would_appear_and_how(signed_in: Any, site: Site) -> None:
    site.steer("scene?name=empty")
    for path, words in {
        "/": "manage.py engine run",
        "/stores/": "Materialized",
        "/restores/": "Nothing is restoring",
        "/jobs/": "its dry run shows first",
        "/lag/": "its lag appears here",
    }.items():
        signed_in.goto(site.url + path)
        assert words in signed_in.inner_text(".empty"), path


def test_lag_is_drawn_with_a_line_a_partition_and_calm_at_zero(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/lag/slow-lane/")
    signed_in.wait_for_selector(".u-wrap canvas")
    # Each figure is drawn by itself, and its canvas is there before the lines that were asked for are.
    lines = signed_in.locator("figure >> nth=0").locator(".u-legend tr")
    lines.nth(4).wait_for(state="attached")
    assert lines.count() == 5
    assert "never, at this rate" in signed_in.inner_text("[data-live=lag-head]")
    signed_in.goto(f"{site.url}/lag/flights/")
    signed_in.wait_for_selector(".u-wrap canvas")
    assert "nothing is waiting" in signed_in.inner_text("[data-live=lag-head]")
    assert signed_in.inner_text(".chart-note >> nth=0") == "Lag was 0 all the time shown."


def test_what_is_stuck_says_why_and_what_to_do(signed_in: Any, site: Site) -> None:
    site.steer("scene?name=stuck")
    signed_in.goto(f"{site.url}/lag/slow-lane/")
    rows = signed_in.locator("[aria-labelledby=h-inputs] tbody tr")
    for at, parts in enumerate(
        (("No movement for", "last error"), ("below the beginning", "Lengthen the topic's retention"))
    ):
        words = rows.nth(at).inner_text()
        assert all(part in words for part in parts), words
    assert "never, at this rate" in rows.nth(0).inner_text()


def test_lag_in_time_says_how_it_was_got_and_is_drawn_in_time(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/lag/slow-lane/?span=24h")
    cells = signed_in.locator("[aria-labelledby=h-inputs] tbody tr").nth(3).locator("td.num >> nth=3")
    assert cells.inner_text().startswith("≥ ")
    assert "at least" in cells.locator("span").get_attribute("title")
    unknown = signed_in.locator("[aria-labelledby=h-inputs] tbody tr").nth(2).locator("td.num >> nth=3")
    assert unknown.inner_text() == "\N{EN DASH}"
    signed_in.click(".segments a:has-text('time')")
    signed_in.wait_for_selector(".u-wrap canvas")
    assert "span=24h" in signed_in.url
    assert "how long the next record has waited" in signed_in.inner_text("figure >> nth=0")


def test_unknown_names_are_a_404_in_the_products_own_words(signed_in: Any, site: Site, complaints: list[str]) -> None:
    for path in ("/applications/none/", "/applications/flights/stores/none/", "/lag/none/", "/nothing/"):
        answer = signed_in.goto(site.url + path)
        assert answer.status == 404
        assert signed_in.inner_text("h1") == "Nothing here"
    complaints[:] = [each for each in complaints if "404" not in each]


def test_the_keyboard_reaches_content_search_and_menus(signed_in: Any) -> None:
    signed_in.keyboard.press("Tab")
    assert signed_in.evaluate("document.activeElement.textContent") == "Skip to content"
    signed_in.keyboard.press("Enter")
    assert signed_in.evaluate("document.activeElement.id") == "main"
    signed_in.keyboard.press("/")
    assert signed_in.evaluate("document.activeElement.id") == "jump"
    signed_in.keyboard.type("delay")
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url("**/stores/?q=delay")
    assert signed_in.locator("tbody tr").count() == 1
