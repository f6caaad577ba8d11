"""A whole Statehouse under test: `manage.py up` as a newcomer starts it, asked through its REST API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS = 150
STOP_SECONDS = 60


def wait_until(what: str, holds: Callable[[], Any], seconds: float, every: float = 0.25) -> Any:
    """Return the first true answer of `holds`; fail with `what` when none comes in time."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        last = holds()
        if last:
            return last
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what}; last answer {last!r}")


class Running:
    """One `up`; use it as a context manager. Its output goes to `log`."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        self._output = self.log.open("ab")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name
            not in {
                "KAFKA_BOOTSTRAP_SERVERS",
                "REDIS_URL",
                "DATABASE_URL",
                "STATEHOUSE_DATA_DIR",
                "DJANGO_SETTINGS_MODULE",
            }
        }
        command = [sys.executable, "manage.py", "up", "--data-dir", str(data), *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=self._output, stderr=subprocess.STDOUT, env=environment
        )

    def __enter__(self) -> Self:
        try:
            wait_until("up.json is written", self._ready, UP_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"up ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        return (self.data / "up.json").exists()

    def stop(self) -> None:
        """Stop as Ctrl-C does, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        self._output.close()

    @property
    def up(self) -> dict[str, Any]:
        """What `up.json` says now."""
        return json.loads((self.data / "up.json").read_text())

    def engines(self, application: str = "flights") -> list[dict[str, Any]]:
        """The engine processes of an application."""
        return [p for p in self.up["processes"] if p["role"].startswith("engine") and p["application"] == application]

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        """Ask the REST API."""
        up = self.up
        return httpx.get(
            f"{up['url'].rstrip('/')}{path}",
            params=parameters,
            headers={"Authorization": f"Bearer {up['token']}"},
            timeout=20,
        )

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send to the REST API."""
        up = self.up
        return httpx.post(
            f"{up['url'].rstrip('/')}{path}",
            json=body,
            headers={"Authorization": f"Bearer {up['token']}"},
            timeout=20,
        )

    def entries(self, store: str, application: str = "flights", **parameters: Any) -> list[dict[str, Any]]:
        """All entries of a store, page by page; empty while any partition cannot answer."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = {"limit": 1000, **parameters, **({"cursor": cursor} if cursor else {})}
            answer = self.get(f"/api/v1/applications/{application}/stores/{store}/entries", **query)
            if answer.status_code != httpx.codes.OK:
                return []
            page = answer.json()
            if any(source["error"] for source in page["sources"]):
                return []
            found += page["entries"]
            cursor = page["cursor"]
            if not cursor:
                return found

    def counts(self, store: str, application: str = "flights") -> dict[str, int]:
        """Keys and values of a store of counts."""
        return {entry["key"]: int(entry["value"]) for entry in self.entries(store, application)}
