"""The flights demo through kills of everything it stands on: every flight of the year is counted exactly once."""

import os
import random
import signal
import time
from collections import Counter

import httpx
import pytest

from tests.acceptance.departures import ALL, BY_CARRIER, WITH_TAIL_NUMBER
from tests.acceptance.running import Running, wait_until
from tests.faults.lengths import SEED, SOAK_SECONDS_MAX, of_soak
from tests.runtime.harness import read
from tests.stack import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.soak, pytest.mark.timeout(SOAK_SECONDS_MAX)]
# One of each at least; the rest as chance has it.
ROLES = ("engine-1", "engine-2", "worker", "redis", "kafka")
KILLS = 20
# Each kill meets a demo that counts again, but every fifth comes at once. A kill and a return take some 15 s: departures
# arrive for longer than all of them.
AT_ONCE = 5
SECONDS_PER_KILL = 20
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


def counts_on(running):
    """Whether more departures are counted now than when this was first asked."""
    seen = []

    def more():
        seen.append(sum(departures(running).values()))
        return seen[-1] == ALL or 0 < min(filter(None, seen), default=0) < seen[-1]

    return more


def test_the_year_is_counted_exactly_through_twenty_kills(tmp_path):
    chance = random.Random(SEED)
    kills = of_soak(KILLS)
    fed_seconds = kills * SECONDS_PER_KILL
    roles = [*ROLES, *chance.choices(ROLES, k=max(0, kills - len(ROLES)))][:kills]
    chance.shuffle(roles)
    speed = 365 * 86_400 / fed_seconds
    with Running(tmp_path / "data", "--demo", "once", "--speed", str(speed)) as running:
        wait_until("the load has begun", lambda: sum(departures(running).values()) > 0, BACK_SECONDS)
        began = time.monotonic()
        under_load = 0
        before = sum(departures(running).values())
        for number, role in enumerate(roles, 1):
            if number % AT_ONCE:
                wait_until("departures are counted", counts_on(running), BACK_SECONDS)
            under_load += time.monotonic() - began < fed_seconds and sum(departures(running).values()) < ALL
            kill(running, role)
            time.sleep(chance.uniform(0.1, 3.0))
        wait_until("the year is counted", lambda: sum(departures(running).values()) >= ALL, COUNTED_SECONDS, every=2)
        kafka = KafkaUnderTest(running.up["bootstrap_servers"], 0)
        assert len(read(kafka, "flights")) == ALL, "the feeder did not send the year once"
        wait_until("exact totals", lambda: departures(running) == BY_CARRIER, BACK_SECONDS, every=2)
        flown = running.counts("flights-by-aircraft")
        assert sum(flown.values()) == WITH_TAIL_NUMBER
        assert all(pid_of(running, role) for role in ROLES)
    assert under_load >= UNDER_LOAD * kills
    print(
        f"seed {SEED}: {dict(Counter(roles))}, {len(roles)} kills, {under_load} of them under load, {before:,} flights "
        f"counted before the first, {ALL:,} after the last, {time.monotonic() - began:.0f} s"
    )
