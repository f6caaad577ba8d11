"""The pages on sample data in a process of their own, and a signed-in browser page that remembers every complaint."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from engine.embedded import browser_libraries
from tests import stack
from tests.pages.site import USER


class Site:
    """Where the pages are, their sessions, and the switches of ``tests/pages/site.py``."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def session(self, user: str) -> dict[str, str]:
        """A session of its own for an account, as a cookie for a browser's context."""
        answer = httpx.get(f"{self.url}/__test__/session?user={user}", timeout=30).raise_for_status()
        return {"name": "statehouse_session", "value": answer.text, "url": self.url}

    def steer(self, command: str) -> None:
        assert httpx.get(f"{self.url}/__test__/{command}", timeout=10).status_code == 200


@pytest.fixture(scope="session")
def _site() -> Iterator[Site]:
    # As `manage.py up` does; a fresh clone has neither the chart's library nor the accessibility checker.
    browser_libraries.install()
    port = stack.free_port()
    with subprocess.Popen([sys.executable, "-m", "tests.pages.site", "--port", str(port)]) as server:
        site = Site(port)
        for _ in range(150):
            try:
                httpx.get(f"{site.url}/sign-in/", timeout=5)
                break
            except httpx.TransportError:
                assert server.poll() is None, "the site ended at its start"
                time.sleep(0.2)
        yield site
        server.terminate()


@pytest.fixture
def site(_site: Site) -> Site:
    _site.steer("reset")
    return _site


@pytest.fixture
def complaints(page: Any) -> list[str]:
    """Whatever the browser complains about: console errors, CSP violations, exceptions, answers of 500."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("response", lambda answer: found.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)
    return found


def eventually(holds: Callable[[], bool], seconds: float = 8.0) -> None:
    """Wait until it holds. Playwright's wait_for_function would need eval, which our policy forbids, as it should."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def sign_in(page: Any, site: Site, user: str = USER) -> None:
    """Show the overview to somebody who is signed in; `test_sign_in.py` has the form that leads there."""
    page.context.add_cookies([site.session(user)])
    page.goto(f"{site.url}/")
    page.wait_for_selector("h1:has-text('Overview')")


@pytest.fixture
def signed_in(page: Any, site: Site, complaints: list[str]) -> Iterator[Any]:
    """A page signed in as an operator; the test fails when the browser had anything to complain about."""
    sign_in(page, site)
    yield page
    assert complaints == []
