"""The live topology: rates and lag in the drawing, the same as a table, a store by keyboard, and 320 px."""

from typing import Any

import pytest

from tests.pages.conftest import Site

pytestmark = pytest.mark.browser


def test_rates_lag_and_state_are_in_the_drawing_and_in_a_table(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/applications/flights/")
    source = signed_in.locator("g.node-source", has_text="flights").first
    assert "12,400/s" in source.text_content()
    waiting = signed_in.locator("g.node.flow-backpressured").first
    assert "backpressured" in signed_in.locator("g.node.flow-backpressured title").first.text_content()
    assert waiting.count() == 1
    lag = signed_in.locator("g.node-repartition .node-lag", has_text="41200")
    assert "in all 11 s" in lag.text_content()
    signed_in.click("text=The same as a table")
    row = signed_in.locator(".topology-table tbody tr", has_text="mean")
    assert "backpressured" in row.inner_text()
    assert "90 %" in row.inner_text()
    assert "\N{EN DASH}" in signed_in.locator(".topology-table tr", has_text="source-planes").inner_text()
    signed_in.set_viewport_size({"width": 320, "height": 800})
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_store_is_reached_by_keyboard(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/applications/flights/")
    link = signed_in.locator("g.node a", has_text="delay-by-hour")
    link.focus()
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url("**/stores/delay-by-hour/")
