"""A store's compaction page: levels and what they mean, what did not answer, compactions before and after, the changelog."""

from typing import Any

import pytest

from tests.pages.conftest import Site, eventually, sign_in

pytestmark = pytest.mark.browser
WINDOWS = "/applications/flights/stores/delay-by-hour/"


def test_levels_and_what_stands_beside_them(signed_in: Any, site: Site) -> None:
    signed_in.goto(site.url + WINDOWS)
    signed_in.click(".tabs a:has-text('Compaction')")
    rows = signed_in.locator("[data-live=lying] tbody tr")
    assert rows.count() == 3
    second = rows.nth(1).inner_text()
    for part in ("engine-2", "L0", "18.6 MB", "L6", "65.0 MB", "3.0 times its live data", "18.4 MB", "2.1 MB", "6,528"):
        assert part in second, part
    assert "1 superseded file set" in rows.nth(2).inner_text()
    # The partition that restores is told, and is no row of zeros.
    assert "partition 3" in signed_in.inner_text("[data-live=lying] .card-note:has(.state)")
    assert "waiting to be compacted about 18.4 MB" in signed_in.inner_text("[data-live=lying] .facts")


def test_the_last_compactions_and_their_schedule(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{WINDOWS}compaction/")
    asked = signed_in.locator("[data-live=compactions]")
    assert "99.4 MB" in asked.inner_text()
    assert "61.2 MB" in asked.inner_text()
    asked.locator("summary").click()
    assert "7       21" in asked.locator("pre").first.inner_text()
    assert "Comes again: 30 2 * * mon" in asked.inner_text()
    asked.locator("a:has-text('Compact…')").click()
    signed_in.wait_for_selector("dialog[open] form[data-apply]")


def test_the_changelog_says_what_kafka_tells_and_what_it_does_not(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}{WINDOWS}compaction/")
    topic = signed_in.locator("[data-live=changelog]")
    words = topic.inner_text()
    for part in (
        "flights-delay-by-hour-changelog",
        "cleanup.policy",
        "min.cleanable.dirty.ratio",
        "Deletions are remembered for 1 day",
        "An estimate, as Kafka\N{RIGHT SINGLE QUOTATION MARK}s client does not tell how dirty a log is",
    ):
        assert part in words, part
    assert words.count("Kafka\N{RIGHT SINGLE QUOTATION MARK}s client does not tell") == 3
    first, third = topic.locator("tbody tr").nth(0).inner_text(), topic.locator("tbody tr").nth(2).inner_text()
    assert "51,472 · 89 %" in first
    assert third.split()[-1] == "empty"


def test_a_store_in_memory_says_so_with_its_bound(signed_in: Any, site: Site) -> None:
    signed_in.goto(f"{site.url}/applications/flights/stores/planes/compaction/")
    lying = signed_in.locator("[data-live=lying]")
    assert "nothing to compact" in lying.inner_text()
    assert "none" in lying.locator("tbody tr").nth(0).inner_text()
    assert "92.0 %" in lying.locator("tbody tr").nth(1).inner_text()
    assert signed_in.locator("[data-live=compactions] a:has-text('Compact…')").count() == 0


def test_engines_and_kafka_that_are_away_are_told_and_come_back_by_themselves(signed_in: Any, site: Site) -> None:
    site.steer("engines?are=restoring")
    signed_in.goto(f"{site.url}{WINDOWS}compaction/")
    assert "No instance of flights can be reached" in signed_in.inner_text("[data-live=lying]")
    assert "timed out after 5 s" in signed_in.inner_text("[data-live=changelog]")
    assert signed_in.locator("[data-live=changelog] tbody tr").count() == 0
    site.steer("engines?are=")
    eventually(lambda: signed_in.locator("[data-live=lying] tbody tr").count() == 3)


def test_caches_say_their_hit_rate_and_what_to_do(signed_in: Any, site: Site) -> None:
    for path in ("size/", "compaction/"):
        signed_in.goto(f"{site.url}{WINDOWS}{path}")
        rows = {row: signed_in.locator(f"[data-live=caches] tr[data-key='{row}']").inner_text() for row in
                ("engine-1 block cache", "engine-2 block cache", "engine-2 record cache", "engine-1 memtables")}  # fmt: skip
        assert "61.7 %" in rows["engine-1 block cache"]
        assert "raise block_cache_bytes" not in rows["engine-1 block cache"]
        assert "raise block_cache_bytes" in rows["engine-2 block cache"]
        assert "nothing was read" in rows["engine-2 record cache"]
        assert "9.0 MB" in rows["engine-1 memtables"]


def test_a_viewer_sees_it_and_may_not_compact(page: Any, site: Site) -> None:
    sign_in(page, site, "vic")
    page.goto(f"{site.url}{WINDOWS}compaction/")
    assert page.locator("[data-live=compactions] button:has-text('Compact…')").is_disabled()


def test_ten_thousand_partitions_come_in_pages(signed_in: Any, site: Site) -> None:
    site.steer("scene?name=wide")
    signed_in.goto(f"{site.url}/applications/flights/stores/wide/compaction/")
    assert signed_in.locator("[data-live=lying] tbody tr").count() == 50
    signed_in.click("a:has-text('Partitions from 50')")
    assert signed_in.inner_text("[data-live=lying] tbody tr >> nth=0").split()[0] == "50"
    signed_in.goto("about:blank")
