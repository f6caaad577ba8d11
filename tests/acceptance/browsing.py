"""What a person does in the browser on a running Statehouse."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from tests.acceptance.running import Running, wait_until

STORE = "/applications/flights/stores/departures-by-carrier/"
REBUILD_SECONDS = 90
PAGE_SECONDS = 20
ENDED = {"succeeded", "failed", "cancelled"}
# "Within 2 s" is the observer's promise; the page itself moves at most twice a second, on a machine that does other things.
UNREACHABLE_SECONDS = 4.0
# The page's 5 s count from the last update; beyond that it looks five times a second, beside whatever this machine does.
STALE_SECONDS = 6.0
CURRENT_SECONDS = 10.0


def sign_in(page: Any, running: Running) -> str:
    up = running.up
    page.goto(up["url"])
    page.fill("input[name=username]", up["user"])
    page.fill("input[name=password]", up["password"])
    page.click("button[type=submit]")
    page.wait_for_selector("text=flights")
    return up["url"].rstrip("/")


def sees_the_departures(page: Any, url: str) -> None:
    page.goto(url + STORE)
    page.wait_for_selector("text=58,665")
    page.goto(f"{url}{STORE}?mode=key&key=UA")
    page.wait_for_selector("text=58,665")


def rebuilds(page: Any, url: str, running: Running, partition: int) -> None:
    page.goto(url + STORE)
    page.click("a:has-text('Rebuild…')")
    page.check(f"dialog [name=partition][value='{partition}']")
    page.fill("dialog [name=why] >> nth=0", "acceptance, in the browser")
    page.click("dialog button:has-text('Dry run')")
    page.wait_for_selector("dialog .preview")
    page.fill("dialog [name=confirm]", "departures-by-carrier")
    page.click("dialog form[data-apply] button[type=submit]")
    page.wait_for_url("**/jobs/*/")
    job = page.url.rstrip("/").rsplit("/", 1)[-1]
    ended = wait_until(
        "the rebuild ends",
        lambda: (found := running.get(f"/api/v1/jobs/{job}").json())["state"] in ENDED and found,
        REBUILD_SECONDS,
    )
    assert ended["state"] == "succeeded", ended
    try:
        wait_until("the page says so", lambda: "succeeded" in page.inner_text("main"), PAGE_SECONDS)
    except AssertionError as error:
        raise AssertionError(page.inner_text("body")[:2500]) from error


def sees_an_instance_lost(page: Any, url: str, running: Running) -> None:
    """A killed instance keeps its row and says so; up starts it again and it comes back."""
    page.goto(f"{url}/applications/flights/")
    page.wait_for_selector("tr:has-text('engine-2'):has-text('running')", timeout=30_000)
    victim = next(p for p in running.engines() if p["role"] == "engine-2")
    os.kill(victim["pid"], signal.SIGKILL)
    killed = time.monotonic()
    page.wait_for_selector("tr:has-text('engine-2'):has-text('unreachable')", timeout=UNREACHABLE_SECONDS * 1000)
    assert time.monotonic() - killed < UNREACHABLE_SECONDS
    page.wait_for_selector("tr:has-text('engine-2'):has-text('running')", timeout=60_000)


def sees_stale_while_stopped(page: Any, url: str, running: Running, role: str) -> None:
    """With a part stopped the page says stale, and recovers by itself when it goes on."""
    page.goto(f"{url}/")
    page.wait_for_selector("html:not([data-stale])", timeout=30_000)
    pid = next(p["pid"] for p in running.up["processes"] if p["role"] == role)
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        page.wait_for_selector("html[data-stale]", timeout=STALE_SECONDS * 1000)
        stale_after = time.monotonic() - stopped
    finally:
        os.kill(pid, signal.SIGCONT)
    gone_on = time.monotonic()
    wait_until("the page is current", lambda: page.query_selector("html:not([data-stale])"), CURRENT_SECONDS)
    print(
        f"{role} stopped: stale after {stale_after:.1f} s, current {time.monotonic() - gone_on:.1f} s after its return"
    )
