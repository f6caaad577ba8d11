"""Fixtures on real parts, each started once per session and only when a test asks for it.

- ``kafka``: an embedded Kafka (:class:`tests.stack.KafkaUnderTest`: ``.bootstrap_servers``, ``.topic()``, ``.unique()``)
- ``redis_url``: an embedded Redis; every test that asks for it starts with it empty
- ``browser``: a Chromium through Playwright's sync API; ``page`` is a new page in a context of its own

Tests whose part this machine lacks are left out, and one summary line says so; with ``CI=true`` that is a failure.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import stack
from tests.longest_first import LONGEST_FIRST

stack.keep_scratch_in_memory()
stack.keep_to_own_ports()
SCRATCH = Path(tempfile.mkdtemp(prefix="statehouse-tests-"))
REDIS_PORT = stack.free_port()
REDIS_PASSWORD = secrets.token_urlsafe(16)

# Django's settings read these when they are imported, which is in pytest_configure below: after this module, before any
# test. Nothing runs at these addresses until a test asks for the part.
os.environ.update(
    {
        "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{REDIS_PORT}/0",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{stack.free_port()}",
        "DATABASE_URL": f"sqlite:///{SCRATCH}/console.sqlite3",
        "STATEHOUSE_DATA_DIR": str(SCRATCH),
        # A broker of a test lives for minutes at most: what Java's second compiler gains it, it does not live to see.
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    },
)

_left_out: Counter[str] = Counter()
_playwright_loop: asyncio.AbstractEventLoop | None = None


SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"


def pytest_configure() -> None:
    """Set Django up here and not through the ini file: pytest-django would import the settings before this module."""
    from django.conf import settings

    if settings.configured:
        raise pytest.UsageError(
            f"Django's settings were read before the tests had said where Redis and Kafka will be: unset {SETTINGS_MODULE}"
        )
    os.environ[SETTINGS_MODULE] = "console.settings"
    assert os.environ["REDIS_URL"] == settings.REDIS_URL


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each process of a divided run set Django up itself.

    They inherit the environment; with this name in it pytest-django would import the settings there before this module,
    and every part would be looked for at the addresses of the process that divides the run, where none ever starts.
    """
    os.environ.pop(SETTINGS_MODULE, None)


def pytest_unconfigure() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in several processes, each with parts of its own; what is named runs in one."""
    whole = config.args == config.getini("testpaths") and not config.getoption("lf")
    return stack.processes() if whole else 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(_left_out)


def pytest_testnodedown(node: Any) -> None:
    """Take over what a process of a divided run left out: all of them collect everything, so each says the same."""
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}) if not _left_out else {})


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests by the fixtures they use, and leave out those whose part is missing here. Soaks run only when named."""
    if "soak" not in config.option.markexpr:
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    for item in items:
        for fixture, marker in stack.FIXTURES.items():
            if fixture in getattr(item, "fixturenames", ()) and not item.get_closest_marker(marker):
                item.add_marker(marker)
    # -m and -k choose here, by these marks; only what is left after them is looked for.
    yield
    if hasattr(config, "workerinput"):
        # A divided run hands out files in this order: one that takes minutes must not begin when the others are done.
        places = {name: place for place, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))
    for marker, lacks in stack.LACKS.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        reason = lacks() if marked else None
        if not reason:
            continue
        if os.environ.get("CI", "").lower() == "true":
            raise pytest.UsageError(f"CI=true and the {marker} tests can't run: {reason}. Install what is missing.")
        _left_out[f"{marker} ({reason})"] += len(marked)
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        parts = ", ".join(f"{count} {what}" for what, count in _left_out.items())
        terminalreporter.write_line(f"left out on this machine: {parts}", yellow=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[stack.KafkaUnderTest]:
    from engine.embedded.kafka import RunningKafka

    with RunningKafka(SCRATCH / "kafka") as running:
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = running.bootstrap_servers
        yield stack.KafkaUnderTest(running.bootstrap_servers, running.pid)


@pytest.fixture(scope="session")
def _redis() -> Iterator[str]:
    from engine.embedded.redis import RunningRedis

    with RunningRedis(SCRATCH / "redis", REDIS_PORT, REDIS_PASSWORD) as running:
        yield running.redis.url


@pytest.fixture
def redis_url(_redis: str) -> str:
    import redis

    with redis.Redis.from_url(_redis) as client:
        client.flushall()
    return _redis


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    global _playwright_loop  # noqa: PLW0603 (the hook below needs it, and hooks have no fixtures)
    from playwright.sync_api import sync_playwright

    manager = sync_playwright()
    playwright = manager.start()
    _playwright_loop = manager._loop
    chromium = playwright.chromium.launch(
        executable_path=stack.chromium(),
        headless=True,
        args=["--headless", "--no-sandbox", "--disable-gpu"],
    )
    yield chromium
    asyncio._set_running_loop(_playwright_loop)
    chromium.close()
    playwright.stop()
    _playwright_loop = None
    asyncio._set_running_loop(None)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let Playwright's sync API and the rest share the main thread.

    Playwright's loop counts as running in this thread from its first call on, so pytest-asyncio could start none and
    Django's ORM would refuse to work. It is declared running only around the tests that use the browser.
    """
    uses_browser = "browser" in getattr(item, "fixturenames", ())
    if not uses_browser:
        return (yield)
    unsafe = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    asyncio._set_running_loop(_playwright_loop)
    try:
        return (yield)
    finally:
        asyncio._set_running_loop(None)
        if unsafe is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
