"""The flights demo through kills of everything it stands on: every flight of the year is counted exactly once."""

import os
import random
import signal
import time
from collections import Counter

import httpx
import pytest

from tests.acceptance.departures import BY_CARRIER
from tests.acceptance.running import Running, wait_until
from tests.faults.lengths import SEED, SOAK_SECONDS_MAX, of_soak

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.soak, pytest.mark.timeout(SOAK_SECONDS_MAX)]
# One of each at least; the rest as chance has it.
ROLES = ("engine-1", "engine-2", "worker", "redis", "kafka")
KILLS = 20
# Departures arrive for 210 s at least: a kill and a return take some 9 s.
SPEED = 150_000
FED_SECONDS = 365 * 86_400 / SPEED
UNDER_LOAD = 0.75
BACK_SECONDS = 300
COUNTED_SECONDS = 1_200


def departures(running):
    try:
        return running.counts("departures-by-carrier")
    except httpx.HTTPError:
        return {}  # the web waits for a part that was killed


def pid_of(running, role):
    """The process of a part of the demo, None while it is on its way back."""
    found = [p for p in running.up["processes"] if p["role"] == role and p["application"] in (None, "flights")]
    return found[0]["pid"] if found else None


def kill(running, role):
    pid = wait_until(f"{role} runs", lambda: pid_of(running, role), BACK_SECONDS)
    os.kill(pid, signal.SIGKILL)
    wait_until(f"{role} is back", lambda: pid_of(running, role) not in (None, pid), BACK_SECONDS)


def test_the_year_is_counted_exactly_through_twenty_kills(tmp_path):
    chance = random.Random(SEED)
    kills = of_soak(KILLS)
    roles = [*ROLES, *chance.choices(ROLES, k=max(0, kills - len(ROLES)))][:kills]
    chance.shuffle(roles)
    began = time.monotonic()
    under_load = 0
    with Running(tmp_path / "data", "--demo", "once", "--speed", str(SPEED)) as running:
        wait_until("the load has begun", lambda: sum(departures(running).values()) > 0, BACK_SECONDS)
        before = sum(departures(running).values())
        for role in roles:
            under_load += time.monotonic() - began < FED_SECONDS
            kill(running, role)
            time.sleep(chance.uniform(0.1, 3.0))
        wait_until("the year is counted", lambda: departures(running) == BY_CARRIER, COUNTED_SECONDS, every=2)
        assert running.counts("flights-by-aircraft"), "the other stores are there too"
        assert all(pid_of(running, role) for role in ROLES)
    assert under_load >= UNDER_LOAD * kills
    print(
        f"seed {SEED}: {dict(Counter(roles))}, {len(roles)} kills, {under_load} of them under load, {before:,} flights "
        f"counted before the first, {sum(BY_CARRIER.values()):,} after the last, {time.monotonic() - began:.0f} s"
    )
