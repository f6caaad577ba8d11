"""Measures the console at scale: ``uv run python -m tests.pages.measure [--partitions 10000] [--keys 0]``.

A synthetic application of so many partitions is reported to a real observer on a real Redis and database, and served by
the real ASGI application. Printed: server time of each page, first paint in Chromium, and the time from a report to the
page that shows it. With ``--keys 10000000`` also a RocksDB store of so many keys and the time of one page of its
entries (minutes to build; the machine decides). Medians of several tries; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PASSWORD = "a quiet lake"  # noqa: S105 - of a throw-away account
APP, STORE = "wide", "counts"
INSTANCES = 4
_BATCH = 50_000


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=0)
    options = parser.parse_args()
    if options.keys:
        measure_browse(options.keys)
    measure_pages(options.partitions)


def records(partitions: int, sequence: int) -> list[Any]:
    """Every status record of the application."""
    from engine.control import status
    from tests.console import reports

    names = [f"engine-{number}" for number in range(INSTANCES)]
    tasks: dict[str, list[str]] = {name: [] for name in names}
    found: list[Any] = [reports.topology(APP, partitions, (STORE,))]
    for number in range(partitions):
        name, task = names[number % INSTANCES], f"0_{number}"
        tasks[name].append(task)
        lag = 50 if number % 97 == 0 else 0
        found.append(reports.task(task, name, APP, sequence=sequence, lag=lag))
        found.append(reports.store(STORE, task, name, APP, sequence=sequence, keys_estimate=1_000))
    found += [reports.instance(name, APP, sequence=sequence, tasks=tasks[name], rates=status.Rates(in_per_second=100.0)) for name in names]  # fmt: skip
    return found


def measure_pages(partitions: int) -> None:
    from engine.embedded.redis import RunningRedis
    from tests import stack

    with tempfile.TemporaryDirectory(prefix="statehouse-measure-") as scratch:
        port, redis_port = stack.free_port(), stack.free_port()
        redis = RunningRedis(Path(scratch) / "redis", redis_port, "measuring")
        redis.__enter__()
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "console.settings",
                "STATEHOUSE_DATA_DIR": scratch,
                "DATABASE_URL": f"sqlite:///{scratch}/console.db",
                "STATEHOUSE_SECRET_KEY": "only-for-measuring-the-pages-" + "x" * 30,
                "STATEHOUSE_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
                "STATEHOUSE_LOG_LEVEL": "ERROR",
                "REDIS_URL": f"redis://:measuring@127.0.0.1:{redis_port}/0",
            }
        )
        server = None
        stop = threading.Event()
        try:
            observer = _observer(redis_port)
            began = time.monotonic()
            for record in records(partitions, 1):
                observer.take(record.key.encode(), _encoded(record), _now())
            say(f"observer takes {2 * partitions:,} records: {_ms(began)} ms")
            thread = threading.Thread(target=_observe, args=(observer, stop), daemon=True)
            thread.start()
            server = subprocess.Popen([sys.executable, "-m", "uvicorn", "console.asgi:application", "--lifespan", "off", "--port", str(port), "--log-level", "error"])  # fmt: skip
            _measure(port, partitions, observer)
        finally:
            stop.set()
            if server is not None:
                server.terminate()
                server.wait()
            redis.__exit__(None, None, None)


def _encoded(record: Any) -> bytes:
    from engine.control import status

    return status.encode(record)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))


def _observer(redis_port: int) -> Any:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from console.access.roles import ensure_account
    from console.live.pings import Pinger
    from console.observe import keys
    from console.observe.lateness import Lateness
    from console.observe.observer import Observer

    ensure_account("ada", "operator", PASSWORD)
    del redis_port
    observer = Observer(keys.client(), Pinger(), lateness=Lateness(lambda _address: None))
    # There is no Kafka here: records are given by hand, and all of them have been read.
    observer._is_absent = observer._was_loaded = True
    return observer


_lock = threading.Lock()


def _observe(observer: Any, stop: threading.Event) -> None:
    while not stop.wait(0.05):
        with _lock:
            now = _now()
            observer.lateness.excuse_all(now)
            observer._sample(now)
            observer._beat_and_publish(now)


PAGES = {
    "overview": "/",
    "application": f"/applications/{APP}/",
    "partitions of the store": f"/applications/{APP}/stores/{STORE}/partitions/",
    "browse form": f"/applications/{APP}/stores/{STORE}/",
    "lag": f"/lag/{APP}/",
    "ownership": f"/applications/{APP}/ownership/",
    "alerts": "/alerts/",
}


def _measure(port: int, partitions: int, observer: Any) -> None:
    from playwright.sync_api import sync_playwright

    from tests.pages.preview import ARGUMENTS

    base = f"http://127.0.0.1:{port}"
    _wait(base)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(f"{base}/sign-in/")
        page.fill("#id_username", "ada")
        page.fill("#id_password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("h1:has-text('Overview')")
        say(f"{partitions:,} partitions; ms: server (median of 5), first contentful paint (median of 3), kB")
        for name, path in PAGES.items():
            served = [_served(page, base + path) for _ in range(5)]
            painted = [_painted(page, base + path) for _ in range(3)]
            took, size = statistics.median(each[0] for each in served), served[-1][1]
            say(f"  {name:24} {took:7.0f} {statistics.median(painted):7.0f} {size / 1000:7.0f}")
        page.goto(base + "/")
        page.wait_for_selector("#live[data-state=live]")
        updates = [_update(page, observer, number) for number in range(5)]
        say(f"  report to browser: median {statistics.median(updates):.0f} ms, worst {max(updates):.0f} ms")
        browser.close()


def _wait(base: str) -> None:
    import httpx

    for _ in range(150):
        try:
            httpx.get(f"{base}/healthz", timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return


def _served(page: Any, url: str) -> tuple[float, int]:
    began = time.monotonic()
    answer = page.request.get(url)
    body = answer.body()
    assert answer.status == 200, (url, answer.status)
    return 1000 * (time.monotonic() - began), len(body)


def _painted(page: Any, url: str) -> float:
    page.goto(url, wait_until="load")
    page.wait_for_timeout(200)
    entries = page.evaluate("performance.getEntriesByName('first-contentful-paint').map(each => each.startTime)")
    return float(entries[0])


def _update(page: Any, observer: Any, number: int) -> float:
    """Report another rate and wait for the overview to show it."""
    from engine.control import status
    from tests.console import reports

    rate = 7_000.0 + number
    began = time.monotonic()
    with _lock:
        for index in range(INSTANCES):
            fields = {"in_per_second": rate if index == 0 else 0.0}
            record = reports.instance(f"engine-{index}", APP, sequence=100 + number, rates=status.Rates(**fields))
            observer.take(record.key.encode(), _encoded(record), _now())
    words = f"{rate:,.0f}/s"
    while words not in page.inner_text(".app-card .foot-rate"):
        time.sleep(0.01)
        assert time.monotonic() - began < 30, "the page never showed it"
    return 1000 * (time.monotonic() - began)


def measure_browse(keys: int) -> None:
    """Build a store of so many keys and take pages out of it, as the query service reads them."""
    from engine import serdes
    from engine.stores import open_store
    from engine.topology.stores import StoreSpec
    from tests.stores.vectors import Context

    with tempfile.TemporaryDirectory(prefix="statehouse-store-") as scratch:
        spec = StoreSpec("s", "key-value", "rocksdb", serdes.string, serdes.int64, timestamped=True, caching=False)
        store = open_store(spec, Path(scratch), Context())
        began = time.monotonic()
        for first in range(0, keys, _BATCH):
            names = [b"key-%010d" % number for number in range(first, min(first + _BATCH, keys))]
            store.write_columns(names, list(range(len(names))), [first] * len(names))
            store.drain_changelog()
            store.commit(first)
        say(f"{keys:,} keys in RocksDB: {_ms(began) / 1000:.0f} s")
        committed = store.committed()
        taken = []
        for part in range(1, 20):
            began = time.monotonic()
            rows = committed.range(b"key-%010d" % (keys * part // 20), None, limit=100)
            assert len(list(rows)) == 100
            taken.append(1000 * (time.monotonic() - began))
        say(f"  a page of 100 entries: median {statistics.median(taken):.1f} ms, worst {max(taken):.1f} ms")
        store.close()


if __name__ == "__main__":
    main()
