"""Measures the console at scale: ``uv run python -m tests.pages.measure [--partitions 10000] [--keys 10000000]``.

A synthetic application of so many partitions is reported to a real observer on a real Redis and database, ``--busy`` of them
anew every half second, and served by the real ASGI application. With ``--keys`` a RocksDB store of so many keys stands
behind a real query service in a process of its own (minutes to build), and its pages are asked for over HTTP. What the
figures mean is in docs/testing.md. Run it on a quiet machine; on a busy one compare the processor times.
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
LARGE, ENTRIES = "large", "entries"
TOKEN = "the-token-of-the-measured-engine"  # noqa: S105 - of a throw-away service
_BATCH = 50_000
# A busy machine is slow; what it then measures is still to be seen.
_PATIENCE_MS = 180_000
_TICKS = os.sysconf("SC_CLK_TCK")


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=0)
    parser.add_argument("--busy", type=int, default=200, help="partitions that report anew every half second")
    parser.add_argument("--restoring", type=int, default=0, help="partitions whose copy is being restored")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.keys, options.serve)
    else:
        measure_pages(options.partitions, options.keys, options.busy, options.restoring)


def records(partitions: int, sequence: int, restoring: int = 0) -> list[Any]:
    """Every status record of the application; the last ``restoring`` partitions have no whole copy yet."""
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
        rest = {"phase": "applying", "start": 0, "position": 50, "snapshot_end": 100, "restore_started_at": _now()} if number >= partitions - restoring else {}  # fmt: skip
        found.append(reports.store(STORE, task, name, APP, sequence=sequence, keys_estimate=1_000, **rest))
    found += [reports.instance(name, APP, sequence=sequence, tasks=tasks[name], rates=status.Rates(in_per_second=100.0)) for name in names]  # fmt: skip
    return found


def large(keys: int, address: str) -> list[Any]:
    """The status records of an application with one store of so many keys, served at the address."""
    from tests.console import reports

    return [
        reports.topology(LARGE, 1, (ENTRIES,)),
        reports.instance("engine-0", LARGE, tasks=["0_0"], address=address),
        reports.task("0_0", "engine-0", LARGE),
        reports.store(ENTRIES, "0_0", "engine-0", LARGE, keys_estimate=keys),
    ]


def measure_pages(partitions: int, keys: int, busy: int, restoring: int) -> None:
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
                "ENGINE_TOKEN_FILE": str(Path(scratch) / "token"),
            }
        )
        (Path(scratch) / "token").write_text(TOKEN)
        server = engine = None
        stop = threading.Event()
        try:
            observer = _observer(redis_port)
            began = time.monotonic()
            for record in records(partitions, 1, restoring):
                observer.take(record.key.encode(), _encoded(record), _now())
            say(f"observer takes {2 * partitions:,} records: {_ms(began)} ms")
            if keys:
                engine, address = _engine(keys, Path(scratch))
                for record in large(keys, address):
                    observer.take(record.key.encode(), _encoded(record), _now())
            thread = threading.Thread(target=_observe, args=(observer, stop, min(busy, partitions)), daemon=True)
            thread.start()
            server = subprocess.Popen([sys.executable, "-m", "uvicorn", "console.asgi:application", "--lifespan", "off", "--port", str(port), "--log-level", "error"])  # fmt: skip
            _measure(port, partitions, observer, server.pid, keys)
        finally:
            stop.set()
            if engine is not None:
                engine.terminate()
                engine.wait()
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


def _observe(observer: Any, stop: threading.Event, busy: int) -> None:
    """Step the observer as its loop does, with so many partitions that move on every half second."""
    from tests.console import reports

    sequence, reported_at = 1, 0.0
    while not stop.wait(0.05):
        with _lock:
            now = _now()
            if time.monotonic() - reported_at >= 0.5:
                sequence, reported_at = sequence + 1, time.monotonic()
                for number in range(busy):
                    name, task = f"engine-{number % INSTANCES}", f"0_{number}"
                    fields = {"sequence": sequence, "position": 100 + sequence}
                    for record in (reports.task(task, name, APP, lag=number % 3, **fields), reports.store(STORE, task, name, APP, end=100 + sequence, **fields)):  # fmt: skip
                        observer.take(record.key.encode(), _encoded(record), now)
            observer.lateness.excuse_all(now)
            observer._judge(now)
            observer._beat_and_publish(now)
            observer._sample(now)


PAGES = {
    "overview": "/",
    "application": f"/applications/{APP}/",
    "partitions of the store": f"/applications/{APP}/stores/{STORE}/partitions/",
    "browse form": f"/applications/{APP}/stores/{STORE}/",
    "lag": f"/lag/{APP}/",
    "ownership": f"/applications/{APP}/ownership/",
    "alerts": "/alerts/",
    "job form": f"/applications/{APP}/stores/{STORE}/compact/",
    "restores": "/restores/",
}


_LARGE = f"/applications/{LARGE}/stores/{ENTRIES}/"


def large_pages(keys: int) -> dict[str, str]:
    """Pages of entries of the large store."""
    some = f"key-{keys // 3:010d}"
    return {
        "browse one key": f"{_LARGE}?by=key&key={some}",
        "browse the first 100": f"{_LARGE}?by=all",
        "browse a range": f"{_LARGE}?by=range&from={some}",
        "browse a prefix": f"{_LARGE}?by=prefix&prefix={some[:-2]}",
    }


def _measure(port: int, partitions: int, observer: Any, server: int, keys: int) -> None:
    from playwright.sync_api import sync_playwright

    from tests.pages.preview import ARGUMENTS

    base = f"http://127.0.0.1:{port}"
    _wait(base)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(f"{base}/sign-in/")
        page.fill("#id_username", "ada")
        page.fill("#id_password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("h1:has-text('Overview')")
        say(
            f"{partitions:,} partitions, load {os.getloadavg()[0]:.1f}; ms: answer (median of 7), processor time of it, first contentful paint (median of 5); kB"
        )
        for name, path in {**PAGES, **(large_pages(keys) if keys else {})}.items():
            _served(page, base + path)
            before = _cpu_ms(server)
            served = [_served(page, base + path) for _ in range(7)]
            spent = (_cpu_ms(server) - before) / len(served)
            painted = [_painted(page, base + path) for _ in range(5)]
            took, size = statistics.median(each[0] for each in served), served[-1][1]
            say(f"  {name:24} {took:7.0f} {spent:7.0f} {statistics.median(painted):7.0f} {size / 1000:7.0f}")
        if keys:
            asked = f"{base}/api/v1/applications/{LARGE}/stores/{ENTRIES}/entries?from=key-{keys // 2:010d}&limit=100"
            say(f"  {'entries over the API':24} {statistics.median(_served(page, asked)[0] for _ in range(7)):7.0f}")
        for name in ("overview", "partitions of the store"):
            page.goto(base + PAGES[name])
            page.wait_for_selector("#live[data-state=live]")
            frames = sorted(page.evaluate(_SCROLL))
            say(
                f"  scrolling {name}: {len(frames)} frames, 95 % within {frames[int(len(frames) * 0.95)]:.0f} ms, the longest {frames[-1]:.0f} ms"
            )
        page.goto(base + "/")
        page.wait_for_selector("#live[data-state=live]")
        updates = [_update(page, observer, number) for number in range(9)]
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


# Scrolls for three seconds while the page is live, and returns how long each frame took.
_SCROLL = """() => new Promise(done => {
    const frames = [], ends = performance.now() + 3000;
    let last = performance.now(), by = 60;
    const step = now => {
        frames.push(now - last);
        last = now;
        if (scrollY + innerHeight >= document.documentElement.scrollHeight - 1) by = -60;
        if (scrollY <= 0) by = 60;
        scrollBy({ top: by, behavior: "instant" });
        if (now < ends) requestAnimationFrame(step); else done(frames.slice(1));
    };
    requestAnimationFrame(step);
})"""


def _cpu_ms(pid: int) -> float:
    """How long a process has had a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / _TICKS


def _served(page: Any, url: str) -> tuple[float, int]:
    began = time.monotonic()
    answer = page.request.get(url, timeout=_PATIENCE_MS)
    body = answer.body()
    assert answer.status == 200, (url, answer.status)
    return 1000 * (time.monotonic() - began), len(body)


def _painted(page: Any, url: str) -> float:
    page.goto(url, wait_until="load")
    entries: list[float] = []
    while not entries:
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
            record = reports.instance(f"engine-{index}", APP, sequence=100_000 + number, rates=status.Rates(**fields))
            observer.take(record.key.encode(), _encoded(record), _now())
    words = f"{rate:,.0f}/s"
    while words not in " ".join(page.locator(".app-card .foot-rate").all_inner_texts()):
        time.sleep(0.01)
        assert time.monotonic() - began < 30, "the page never showed it"
    return 1000 * (time.monotonic() - began)


def _engine(keys: int, scratch: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the process that has the large store; return it and its address when it serves."""
    began = time.monotonic()
    told = scratch / "address"
    command = [sys.executable, "-m", "tests.pages.measure", "--keys", str(keys), "--serve", str(told)]
    process = subprocess.Popen(command)
    while not told.exists():
        assert process.poll() is None, "the store could not be built"
        time.sleep(0.2)
    say(f"{keys:,} keys in RocksDB: {_ms(began) / 1000:.0f} s")
    return process, told.read_text()


def serve(keys: int, told: Path) -> None:
    """Build a store of so many keys and serve it until terminated; write the address into ``told``."""
    from engine import serdes
    from engine.query.metadata import Metadata
    from engine.query.service import QueryService, listen
    from engine.stores import open_store
    from engine.topology.stores import StoreSpec
    from tests.query.fakes import FakeHandle, FakeInstance, NoContext

    spec = StoreSpec(ENTRIES, "key-value", "rocksdb", serdes.string, serdes.int64, timestamped=True, caching=False)
    store = open_store(spec, told.parent / "store", NoContext())
    for first in range(0, keys, _BATCH):
        names = [b"key-%010d" % number for number in range(first, min(first + _BATCH, keys))]
        store.write_columns(names, list(range(len(names))), [first] * len(names))
        store.drain_changelog()
        store.commit(first)
    instance = FakeInstance(application_id=LARGE)
    instance.hold(FakeHandle(spec, 0, store, keys_estimate=keys), partitions=1)
    service = QueryService(instance, Metadata(), TOKEN, listen("127.0.0.1", 0))
    service.start()
    told.with_suffix(".new").write_text(service.address)
    told.with_suffix(".new").rename(told)
    threading.Event().wait()


if __name__ == "__main__":
    main()
