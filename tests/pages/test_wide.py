"""Ten thousand partitions: the strip is a map with the same meanings, tables are paged and searched, answers stay small."""

from typing import Any

import pytest

from tests.pages.conftest import Site, eventually, sign_in
from tests.pages.test_accessibility import AXE, LEVELS, serious

pytestmark = pytest.mark.browser
WIDE = "/applications/flights/stores/wide/"
PARTITIONS = f"{WIDE}partitions/"
ROWS = "[aria-label=Partitions] tbody tr"
# Partition 0, 997, 1994 … of the sample stand still.
STALLED = 11


@pytest.fixture
def wide(signed_in: Any, site: Site) -> Any:
    site.steer("scene?name=wide")
    return signed_in


def drawn(page: Any) -> Any:
    """The map, when it has been drawn: that is after the first paint."""
    page.wait_for_selector(".strip-map canvas[aria-valuetext*='·']")
    return page.locator(".strip-map canvas")


def colours(canvas: Any, partition: int) -> list[int]:
    """The middle pixel of a cell, found as a reader would: 10,000 cells in rows as wide as the canvas."""
    return canvas.evaluate(
        """(canvas, partition) => {
            const ratio = canvas.width / canvas.clientWidth;
            for (const step of [11, 9, 7, 6, 5, 4, 3, 2]) {
                const columns = Math.round(canvas.clientWidth / step);
                if (columns * step !== canvas.clientWidth || Math.ceil(10000 / columns) * step !== canvas.clientHeight) continue;
                const x = (partition % columns) * step + 1, y = Math.floor(partition / columns) * step + 1;
                const copy = document.createElement("canvas");
                const pen = copy.getContext("2d", { willReadFrequently: true });
                pen.drawImage(canvas, Math.round(x * ratio), Math.round(y * ratio), 1, 1, 0, 0, 1, 1);
                return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
            }
            return [];
        }""",
        partition,
    )


def token(page: Any, name: str) -> list[int]:
    """A colour of tokens.css in numbers."""
    value = page.evaluate("name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()", name)
    return [int(value[place : place + 2], 16) for place in (1, 3, 5)]


def test_the_map_has_the_colours_of_owners_and_of_trouble(wide: Any, site: Site) -> None:
    wide.goto(site.url + PARTITIONS)
    canvas = drawn(wide)
    legend = wide.locator(".legend span", has_text="engine-2").locator(".swatch").first
    hue = next(each for each in legend.get_attribute("class").split() if each.startswith("hue-"))
    assert colours(canvas, 3) == token(wide, f"--{hue}")
    assert colours(canvas, 4) != colours(canvas, 3)
    assert colours(canvas, 997) == token(wide, "--bad")
    wide.click("#theme")
    assert colours(canvas, 997) == token(wide, "--bad")


def test_the_map_says_in_words_what_it_shows_and_each_number_leads_to_its_partitions(wide: Any, site: Site) -> None:
    wide.goto(f"{site.url}/stores/?q=wide")
    label = wide.locator(".strip-map canvas").get_attribute("aria-label")
    assert label.startswith("wide, 10,000 partitions: 9,989 running, 11 stalled")
    wide.click(".map-line a:has-text('stalled')")
    wide.wait_for_url(f"**{PARTITIONS}?state=stalled")
    assert wide.locator(ROWS).count() == STALLED
    assert "11 partitions that match, of 10,000" in wide.inner_text(".pager")


def test_a_click_on_the_map_leads_to_the_partition(wide: Any, site: Site) -> None:
    wide.goto(site.url + PARTITIONS)
    canvas = drawn(wide)
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 2, "y": box["height"] / 2})
    said = wide.inner_text(".map-at")
    number = int(said.split("·")[0].removeprefix("Partition ").replace(",", ""))
    assert "engine-" in said
    canvas.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    wide.wait_for_url(f"**{PARTITIONS}?at={number}#partition-{number}")
    row = wide.locator(f"#partition-{number}")
    assert row.locator("td").first.inner_text() == str(number)
    seen = "row => { const at = row.getBoundingClientRect(); return at.top >= 0 && at.top < innerHeight; }"
    eventually(lambda: row.evaluate(seen))


def test_the_keyboard_chooses_a_partition_and_opens_it(wide: Any, site: Site) -> None:
    wide.goto(site.url + PARTITIONS)
    canvas = drawn(wide)
    canvas.focus()
    wide.keyboard.press("ArrowRight")
    assert canvas.get_attribute("aria-valuenow") == "1"
    assert canvas.get_attribute("aria-valuetext") == "Partition 1 · engine-2 · running"
    wide.keyboard.press("End")
    assert wide.inner_text(".map-at") == "Partition 9,999 · engine-2 · running"
    wide.keyboard.press("Home")
    for _ in range(3):
        wide.keyboard.press("ArrowRight")
    wide.wait_for_timeout(1_200)  # two updates come and go, and what was chosen stays
    assert canvas.get_attribute("aria-valuenow") == "3"
    wide.keyboard.press("Enter")
    wide.wait_for_url("**?at=3#partition-3")


def test_partitions_are_paged_searched_and_ordered(wide: Any, site: Site) -> None:
    wide.goto(site.url + PARTITIONS)

    def first() -> str:
        return wide.locator(f"{ROWS} td:first-child").first.inner_text()

    assert wide.locator(ROWS).count() == 50
    assert "of 10,000 partitions" in wide.inner_text(".pager")
    wide.click(".pager a[rel=next]")
    wide.wait_for_url("**?page=2")
    assert first() == "50"
    wide.fill(".chooser [name=q]", "4990-5003")
    wide.keyboard.press("Enter")
    wide.wait_for_url("**q=4990-5003**")
    assert wide.locator(ROWS).count() == 14
    wide.select_option(".chooser [name=order]", "size")
    wide.click(".chooser button")
    wide.wait_for_url("**order=size**")
    assert first() == "5003"
    wide.fill(".chooser [name=q]", "nobody")
    wide.keyboard.press("Enter")
    wide.wait_for_selector("text=No partition matches")
    assert "10000 partitions are known" in wide.inner_text(".empty")


def test_a_job_names_its_partitions_in_a_line(wide: Any, site: Site) -> None:
    wide.goto(f"{site.url}{WIDE}compact/?partition=3")
    assert wide.locator("[name=partition]").count() == 0
    assert wide.input_value("#p-partitions") == "3"
    wide.fill("#p-partitions", "3, 5-x")
    wide.click("button:has-text('Dry run')")
    assert "neither a partition nor a range" in wide.inner_text("[role=alert]")
    wide.fill("#p-partitions", "0-1, 3")
    wide.click("button:has-text('Dry run')")
    wide.wait_for_selector(".preview")
    assert wide.get_attribute("form[data-apply] [name=partitions]", "value") == "0-1, 3"
    assert wide.is_enabled("form[data-apply] button[type=submit]")
    wide.fill("#p-partitions", "0-2")
    wide.press("#p-partitions", "Tab")
    assert wide.is_disabled("form[data-apply] button[type=submit]")


def test_running_restores_are_paged(wide: Any, site: Site) -> None:
    wide.goto(f"{site.url}/restores/")
    assert wide.locator("section.restore").count() == 50
    assert "120 running" in wide.inner_text("[data-live=restores-facts]")
    assert "1–50 of 120 restores" in wide.inner_text(".pager")  # noqa: RUF001 - as people write ranges
    wide.click(".pager a[rel=next]")
    wide.wait_for_url("**?running-page=2#running")
    assert "delay-by-hour / 50" in wide.locator("section.restore h2").first.inner_text()


def test_what_is_being_typed_survives_updates(wide: Any, site: Site) -> None:
    wide.goto(site.url + PARTITIONS)
    wide.wait_for_selector("#live[data-state=live]")
    wide.locator(".chooser [name=q]").press_sequentially("100-2")
    wide.wait_for_timeout(1_200)
    assert wide.input_value(".chooser [name=q]") == "100-2"
    assert wide.evaluate("document.activeElement.name") == "q"


@pytest.mark.parametrize("path", ["/", "/applications/flights/", WIDE, PARTITIONS])
def test_a_page_of_ten_thousand_partitions_stays_small(wide: Any, site: Site, path: str) -> None:
    answer = wide.request.get(site.url + path)
    assert answer.status == 200
    assert len(answer.body()) < 200_000


@pytest.mark.parametrize("width", [1440, 320])
def test_the_map_fits_and_is_accessible(browser: Any, site: Site, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, bypass_csp=True)
    context.add_init_script(path=AXE)
    page = context.new_page()
    sign_in(page, site)
    site.steer("scene?name=wide")
    for path in ("/", PARTITIONS):
        page.goto(site.url + path)
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page, LEVELS) == []
    context.close()
