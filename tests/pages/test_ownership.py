"""The timeline in the browser: who had it, who has it, why it moved; hatched where nothing was recorded."""

from typing import Any

import pytest

from tests.pages.conftest import Site

pytestmark = pytest.mark.browser


def test_who_owned_it_an_hour_ago_and_why_it_moved(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/applications/flights/")
    signed_in.click("text=who owned it when")
    row = signed_in.locator(".timeline tbody tr", has_text="1_3")
    assert row.locator("td").nth(0).inner_text() == "engine-2"
    assert row.locator("td").nth(1).inner_text() == "engine-1"
    assert "engine-1 → engine-2" in row.inner_text()
    assert "the instance fell silent" in row.inner_text()
    assert row.locator("rect.bar-gap").count() >= 1
    assert "engine-1 fell silent" in signed_in.inner_text("[aria-labelledby=h-rebalances]")
    signed_in.set_viewport_size({"width": 320, "height": 800})
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= 320
