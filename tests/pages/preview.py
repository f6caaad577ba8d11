"""Photographs every page in both themes and at three widths, to be looked at: ``uv run python -m tests.pages.preview [name …]``.

The pictures go to /tmp/shots, never into the repository.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from engine.embedded import browser_libraries
from tests import stack
from tests.pages.preview_states import STATES
from tests.pages.sample_jobs import EXPORTED, RUNNING
from tests.pages.sample_past import OF_WINDOWS, RESTORING, SNAPSHOT, VERIFIED
from tests.pages.site import PASSWORD, USER

SHOTS = Path("/tmp/shots")  # noqa: S108 (for a person's eyes, on a development machine)
PORT = 8123
WIDTHS = (1440, 390, 320)
BASE = f"http://127.0.0.1:{PORT}"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
STORE = "/applications/flights/stores/departures-by-carrier/"
WINDOWS = "/applications/flights/stores/delay-by-hour/"
PAGES = {
    "sign-in": "/sign-in/",
    "overview": "/",
    "stores": "/stores/",
    "application": "/applications/flights/",
    "browse": STORE,
    "browse-window": f"{WINDOWS}?by=key&key=JFK",
    "browse-nothing": f"{STORE}?by=key&key=ZZ",
    "browse-bad": f"{STORE}?by=key&key=UA&key_format=int64",
    "partitions": f"{WINDOWS}partitions/",
    "compare": f"{WINDOWS}compare/",
    "compare-never": f"{STORE}compare/",
    "settings": f"{WINDOWS}settings/",
    "entry": f"{WINDOWS}entry/?partition=1&key=JFK&window_from=1357020000000&window_to=1357020000000",
    "history": f"{WINDOWS}history/?partition=1&key=JFK&window_from=1357020000000&window_to=1357020000000",
    "rebuild": f"{WINDOWS}rebuild/?partition=3&partition=1&dry_run=1&why=checksum+warning",
    "export": f"{WINDOWS}export/?partition=3&partition=1&dry_run=1&format=csv",
    "job-export": f"/jobs/{EXPORTED}/",
    "job-verify": f"/jobs/{VERIFIED}/",
    "differences": f"/jobs/{VERIFIED}/differences/",
    "take-snapshot": f"{STORE}snapshot/?partition=1&dry_run=1&as_of_offset=58000",
    "snapshot": f"{STORE}snapshots/{SNAPSHOT}/",
    "snapshot-window": f"{WINDOWS}snapshots/{OF_WINDOWS}/?by=key&key=JFK",
    "snapshot-entry": f"{STORE}snapshots/{SNAPSHOT}/entry/?partition=0&key=B6",
    "restores": "/restores/",
    "restore": f"/restores/{RESTORING}/",
    "restore-ended": "/restores/10/",
    "schedules": "/schedules/",
    "new-schedule": f"{WINDOWS}schedule/?kind=compact&cron=30+2+*+*+mon",
    "lag": "/lag/slow-lane/",
    "lag-calm": "/lag/flights/",
    "compaction": f"{WINDOWS}compaction/",
    "compaction-memory": "/applications/flights/stores/planes/compaction/",
    "size": f"{WINDOWS}size/?largest=1",
    "audit": "/audit/",
    "health": "/health/?run=1",
    "browse-where": f"{STORE}?where=value+%3E+20000+and+key+%21%3D+%22UA%22",
    "browse-where-bad": f"{STORE}?where=value+%3E+many",
    "jobs": "/jobs/",
    "job": f"/jobs/{RUNNING}/",
    "ownership": "/applications/flights/ownership/",
    "alerts": "/alerts/",
    "alert-new": "/alerts/new/",
    "alert-rule": "/alerts/1/",
    "not-found": "/nothing/",
}


def main(wanted: list[str]) -> None:
    SHOTS.mkdir(exist_ok=True)
    browser_libraries.install()
    server = subprocess.Popen([sys.executable, "-m", "tests.pages.site", "--port", str(PORT)])
    try:
        _wait()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=stack.chromium(), args=ARGUMENTS)
            for width in WIDTHS:
                for theme in ("light", "dark"):
                    context = browser.new_context(
                        viewport={"width": width, "height": 900 if width > 500 else 844}, color_scheme=theme
                    )
                    _shoot(context.new_page(), wanted, f"{width}-{theme}")
                    context.close()
            browser.close()
    finally:
        server.terminate()


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def _wait() -> None:
    for _ in range(100):
        try:
            httpx.get(f"{BASE}/sign-in/", timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return


def _shoot(page: Page, wanted: list[str], suffix: str) -> None:
    page.on(
        "console",
        lambda message: (
            _say(suffix, message.type, message.text, page.url) if message.type in {"error", "warning"} else None
        ),
    )
    page.on("pageerror", lambda error: _say(suffix, "page error", error))
    page.on("response", lambda answer: _say(suffix, answer.status, answer.url) if answer.status >= 500 else None)
    signed_in = False
    for name, path in PAGES.items():
        if name != "sign-in" and not signed_in:
            page.goto(f"{BASE}/sign-in/")
            page.fill("#id_username", USER)
            page.fill("#id_password", PASSWORD)
            page.click("button[type=submit]")
            signed_in = True
        if not wanted or name in wanted:
            page.goto(BASE + path)
            _shot(page, name, suffix, whole=True)
    for name, (path, act) in STATES.items():
        if not wanted or name in wanted:
            page.goto(BASE + path)
            page.wait_for_load_state("load")
            act(page)
            _shot(page, name, suffix, whole=False)


def _shot(page: Page, name: str, suffix: str, *, whole: bool) -> None:
    page.wait_for_timeout(700)
    page.screenshot(path=str(SHOTS / f"{name}-{suffix}.png"), full_page=whole)
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if overflow > 0:
        _say(suffix, name, f"is {overflow} px wider than the window")


if __name__ == "__main__":
    main(sys.argv[1:])
