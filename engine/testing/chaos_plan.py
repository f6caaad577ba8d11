"""What a chaos run does, and when: worked out from a seed before anything runs, so that a seed names a run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import ConfigError

# On an instance: killed (-9), paused (SIGSTOP, longer than the group waits), stopped cleanly and started again later.
INSTANCE_FAULTS = ("kill", "pause", "stop")
# On the broker, where the run owns it.
BROKER_FAULTS = ("broker-kill", "broker-stop")
KINDS = (*INSTANCE_FAULTS, *BROKER_FAULTS)
# An instance that was killed or stopped is away for at most so long.
AWAY_SECONDS_MAX = 4.0
# A pause lasts so many session timeouts: the group has given the member up by then.
PAUSE_SESSIONS = 1.5


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: `after` seconds after the one before, for `lasts` seconds. Instances count from 0."""

    after: float
    kind: str
    instance: int
    lasts: float


def plan(
    seed: int,
    count: int,
    kinds: Sequence[str],
    *,
    instances: int,
    session_timeout_ms: int,
    every: tuple[float, float] = (0.1, 10.0),
) -> list[Fault]:
    """The faults of a seed. `every` bounds the seconds between two of them; raises ConfigError for a kind that is none."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ConfigError(f"faults {', '.join(unknown) or 'none'} are not of {', '.join(KINDS)}")
    if not 0 <= every[0] <= every[1]:
        raise ConfigError(f"faults every {every[0]} to {every[1]} seconds: the first may not be above the second")
    chance = random.Random(seed)  # noqa: S311 - a seed is to name the run
    found = []
    for _ in range(count):
        kind = chance.choice(list(kinds))
        pause = PAUSE_SESSIONS * session_timeout_ms / 1000
        lasts = pause if kind == "pause" else chance.uniform(0, AWAY_SECONDS_MAX)
        found.append(Fault(chance.uniform(*every), kind, chance.randrange(instances), lasts))
    return found
