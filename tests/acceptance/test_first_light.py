"""The whole product, started as a newcomer starts it: exact totals through kills, stops and rebuilds."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import browsing
from tests.acceptance.departures import ALL, BY_CARRIER
from tests.acceptance.running import Running, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.timeout(600)]
LOAD_SECONDS = 240


def departures(running: Running) -> dict[str, int]:
    return running.counts("departures-by-carrier")


def test_the_expected_figures_add_up():
    assert sum(BY_CARRIER.values()) == ALL


def test_a_year_is_counted_exactly_through_kills_rebuilds_and_a_restart(tmp_path: Path, page: Any):
    with Running(tmp_path / "data", "--demo", "once") as running:
        wait_until("the load has begun", lambda: sum(departures(running).values()) > 0, LOAD_SECONDS)
        victim = running.engines()[0]
        os.kill(victim["pid"], signal.SIGKILL)
        wait_until("the year is counted", lambda: departures(running) == BY_CARRIER, LOAD_SECONDS)
        replaced = wait_until(
            "the instance is started again",
            lambda: next(
                (p for p in running.engines() if p["role"] == victim["role"] and p["pid"] != victim["pid"]), None
            ),
            30,
        )
        assert replaced["address"]
        rebuild(running)
        assert departures(running) == BY_CARRIER

        url = browsing.sign_in(page, running)
        browsing.sees_the_departures(page, url)
        browsing.rebuilds(page, url, running, partition=1)
        browsing.sees_an_instance_lost(page, url, running)
        for role in ("observer", "redis", "web"):
            browsing.sees_stale_while_stopped(page, url, running, role)
        wait_until("every key is served after all that", lambda: departures(running) == BY_CARRIER, LOAD_SECONDS)

    with Running(tmp_path / "data", "--demo", "once") as running:
        wait_until("the totals are still there", lambda: departures(running) == BY_CARRIER, LOAD_SECONDS)


def rebuild(running: Running) -> None:
    wanted = {"kind": "rebuild", "application": "flights", "store": "departures-by-carrier", "partitions": [0]}
    dry = running.post("/api/v1/jobs", {**wanted, "dry_run": True})
    assert dry.status_code in {200, 201}, dry.text
    real = running.post("/api/v1/jobs", {**wanted, "dry_run": False, "why": "acceptance test"})
    assert real.status_code in {200, 201, 202}, real.text
    job = real.json()["job"]["id"]
    ended = wait_until(
        "the rebuild ends",
        lambda: (
            (found := running.get(f"/api/v1/jobs/{job}").json()["job"])["state"] in {"succeeded", "failed", "cancelled"}
            and found
        ),
        90,
    )
    assert ended["state"] == "succeeded", ended
