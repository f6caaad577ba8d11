"""Browsing: every way to ask, what failure looks like, and an entry in full."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.pages.conftest import Site, eventually

pytestmark = pytest.mark.browser
STORE = "/applications/flights/stores/departures-by-carrier/"
WINDOWS = "/applications/flights/stores/delay-by-hour/"


def ask(page: Any, way: str, **fields: str) -> None:
    page.check(f"[name=by][value={way}]", force=True)
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)
    with page.expect_response(lambda answer: "by=" in answer.url):
        page.click("button:has-text('Look')")
    page.wait_for_selector("#browse:not([aria-busy])")


def keys(page: Any) -> list[str]:
    return page.locator("#entries th").all_inner_texts()


def query_of(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_from_the_overview_to_one_keys_value_in_three_clicks(signed_in: Any) -> None:
    signed_in.click("th a:has-text('departures-by-carrier')")
    signed_in.click("#entries a:text-is('UA')")
    signed_in.wait_for_selector("dialog[open] .tree")
    assert signed_in.inner_text("dialog .tree") == "58665"
    assert "Partition\n3" in signed_in.inner_text("dialog .pairs")


def test_by_key(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    ask(signed_in, "key", key="UA")
    assert keys(signed_in) == ["UA"]
    assert "58,665" in signed_in.inner_text("#entries")
    assert query_of(signed_in) == {"by": ["key"], "key": ["UA"]}
    signed_in.reload()
    assert keys(signed_in) == ["UA"]


def test_by_range_and_by_prefix(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    ask(signed_in, "range", **{"from": "A", "to": "B"})
    assert sorted(keys(signed_in)) == ["AA", "AS"]
    ask(signed_in, "prefix", prefix="U")
    assert sorted(keys(signed_in)) == ["UA", "US"]
    assert "from" not in query_of(signed_in)


def test_a_window_store_is_asked_by_windows_and_shows_times(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + WINDOWS)
    assert signed_in.locator("[name=by]").evaluate_all("all => all.map(each => each.value)") == ["all", "key", "window"]
    ask(signed_in, "window", window_from="2013-01-01T07:00", window_to="2013-01-01T08:00")
    assert len(keys(signed_in)) == 6
    assert "2013-01-01 07:00:00" in signed_in.inner_text("#entries")
    ask(signed_in, "key", key="JFK", window_from="2013-01-01T07:00", window_to="2013-01-01T07:00")
    assert keys(signed_in) == ["JFK"]


def test_more_adds_the_next_page(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + WINDOWS)
    assert len(keys(signed_in)) == 50
    signed_in.click("#more")
    eventually(lambda: len(keys(signed_in)) == 90)
    assert signed_in.locator("#more").count() == 0
    assert "90 entries" in signed_in.inner_text(".card-foot")


def test_a_failed_query_keeps_the_last_result_and_says_why(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    ask(signed_in, "key", key="UA")
    signed_in.click(".options summary:has-text('Decode')")
    signed_in.select_option("[name=key_format]", "int64")
    ask(signed_in, "key", key="UA")
    assert "This query can" in signed_in.inner_text("[data-live=outcome]")
    assert "'UA' is not an int64." in signed_in.inner_text("[data-live=outcome]")
    assert keys(signed_in) == ["UA"]


def test_not_found_is_told_apart_from_not_ready(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    ask(signed_in, "key", key="ZZ")
    assert "There is no entry for this key" in signed_in.inner_text("[data-live=results]")
    site.steer("engines?are=restoring")
    ask(signed_in, "key", key="UA")
    assert "Not ready." in signed_in.inner_text("[data-live=outcome]")
    site.steer("engines?are=")
    signed_in.click("[data-again]")
    signed_in.wait_for_selector("#entries a:text-is('UA')")
    assert not signed_in.is_visible("[data-live=outcome] .note")


def test_a_partition_that_did_not_answer_is_shown(signed_in: Any, site: Site) -> None:
    site.steer("engines?are=partial")
    signed_in.goto(site.url + STORE)
    assert "1 of 4 partitions did not answer" in signed_in.inner_text("[data-live=outcome]")
    sources = signed_in.inner_text(".sources")
    assert "store-moving" in sources
    assert "Partition 3 is moving from engine-2 to engine-1." in sources


def test_the_drawer_shows_the_value_as_a_tree_and_markup_as_text(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{WINDOWS}?by=key&key=JFK")
    signed_in.click("#entries tr:first-child a")
    signed_in.wait_for_selector("dialog[open] .tree")
    tree = signed_in.inner_text("dialog .tree")
    assert "worst" in tree
    assert '"<b>not markup</b>"' in tree
    assert signed_in.locator("dialog .tree b").count() == 0
    signed_in.keyboard.press("Escape")
    assert signed_in.locator("dialog[open]").count() == 0


def test_copy_as_curl_names_the_query_and_hides_the_token(signed_in: Any, site: Site) -> None:
    signed_in.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    signed_in.goto(f"{site.url}{STORE}?by=key&key=UA")
    signed_in.click("[data-live=results] button:text-is('curl')")
    copied = signed_in.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('curl -H "Authorization: Bearer $STATEHOUSE_TOKEN"')
    assert "/api/v1/applications/flights/stores/departures-by-carrier/entries?limit=50&key=UA" in copied


def test_live_updates_leave_the_query_and_its_rows_alone(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    signed_in.wait_for_selector("#live[data-state=live]")
    signed_in.check("[name=by][value=key]", force=True)
    signed_in.fill("[name=key]", "half a k")
    site.steer("engines?are=restoring")
    signed_in.wait_for_timeout(1_500)
    assert signed_in.input_value("[name=key]") == "half a k"
    assert len(keys(signed_in)) == 16


def test_a_filter_shows_what_it_looked_at_and_points_at_its_own_mistake(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}?where=value+%3E+50000")
    assert sorted(keys(signed_in)) == ["EV", "UA"]
    assert "looked at 16" in signed_in.inner_text("#looked")
    signed_in.fill("[name=where]", "value > many")
    ask(signed_in, "all")
    assert "text stands in quotes: 'many', at character 9" in signed_in.inner_text("[data-live=outcome]")
    assert signed_in.inner_text("[data-live=outcome] mark") == "m"
    assert sorted(keys(signed_in)) == ["EV", "UA"]
    ask(signed_in, "all", where='key in ["UA", "DL"]')
    assert sorted(keys(signed_in)) == ["DL", "UA"]
    assert query_of(signed_in)["where"] == ['key in ["UA", "DL"]']


def test_an_open_entry_follows_its_key_and_says_when_updates_stop(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}?by=key&key=UA")
    signed_in.click("#entries a:text-is('UA')")
    signed_in.wait_for_selector("dialog [data-entry][data-state=live]")
    assert signed_in.inner_text("dialog .tree") == "58665"
    site.steer("bump")
    signed_in.wait_for_selector("dialog .tree:has-text('58666')")
    site.steer("engines?are=restoring")
    signed_in.wait_for_selector("dialog [data-entry][data-state=stale]")
    assert "58666" in signed_in.inner_text("dialog .tree")
    site.steer("engines?are=")
    signed_in.wait_for_selector("dialog [data-entry][data-state=live]")
    site.steer("age?ms=6000")
    signed_in.wait_for_selector("dialog [data-entry][data-state=stale]")


def test_an_entry_has_a_page_of_its_own_that_is_live_as_well(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}entry/?key=UA&partition=3")
    signed_in.wait_for_selector("[data-entry][data-state=live]")
    site.steer("bump")
    signed_in.wait_for_selector(".tree:has-text('58666')")


def test_avro_is_a_format_of_keys_and_of_values(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE)
    for each in ("f-format", "f-value-format"):
        assert "avro" in signed_in.locator(f"#{each} option").all_text_contents()


AVRO = "?by=all&key_format=avro&value_format=avro"


def test_keys_and_values_in_avro_are_read_and_filtered(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE + AVRO)
    rows = signed_in.locator("#entries tr")
    assert rows.count() == 6
    plane = rows.filter(has_text="N102UW")
    assert '{"tail": "N102UW"}' in plane.inner_text()
    assert '"seats": 182' in plane.inner_text()
    signed_in.goto(f'{site.url}{STORE}{AVRO}&where=value.seats+>+100+and+key.tail+!%3D+"N104UW"')
    assert signed_in.locator("#entries tr th").all_inner_texts() == ['{"tail": "N102UW"}', '{"tail": "N103US"}']
    assert "looked at 6" in signed_in.inner_text("[data-live=results]")
    signed_in.goto(f"{site.url}{STORE}?by=key&key_format=avro&value_format=avro&key=%7B%22tail%22%3A%22N102UW%22%7D")
    assert rows.count() == 1


def test_an_avro_entry_opens_as_a_tree_by_the_bytes_of_its_key(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE + AVRO)
    signed_in.click("#entries a:has-text('N102UW')")
    signed_in.wait_for_selector("dialog .tree")
    lines = signed_in.locator("dialog .tree p").all_inner_texts()
    assert any(line.startswith("seats") and line.endswith("182") for line in lines)
    assert any(line.startswith("kind") and "Turbo-fan" in line for line in lines)
    assert "N102UW" in signed_in.inner_text("dialog dl.pairs")
    signed_in.wait_for_selector("dialog [data-entry][data-state=live]")


def test_bytes_that_their_schema_does_not_fit_say_so_in_their_row(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + STORE + AVRO)
    assert signed_in.locator("#entries .state-warn").count() == 2
    row = signed_in.locator("#entries tr", has_text="N10575")
    assert "schema 99 not found" in (row.locator(".state-warn").get_attribute("title") or "")
    row.locator("a").first.click()
    note = signed_in.locator("dialog .note-warn")
    note.wait_for()
    assert "be read as avro" in note.inner_text()
    assert "base64" in signed_in.inner_text("dialog .tree")


def test_a_key_that_no_schema_fits_is_a_question_to_be_mended(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{STORE}?by=key&key_format=avro&key=%7B%22wing%22%3A2%7D")
    outcome = signed_in.locator("[data-live=outcome]")
    assert outcome.get_attribute("data-outcome") == "bad"
    assert "cannot be written by" in outcome.inner_text()
