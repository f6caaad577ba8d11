"""Which instances hold the standbys of a task: by rendezvous hashing, so that all of them come to the same answer.

Each instance decides for itself from what all of them report, and holds or drops its own standbys. An instance that comes
or goes moves only the standbys that it gets or had. Owner: the loop; its thread only.
"""

import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Protocol

from engine.runtime.blueprint import Blueprint
from engine.runtime.standby import Standbys
from engine.runtime.tasks import Tasks

TURN_SECONDS = 0.5


class Peers(Protocol):
    """The application's other instances, as they last reported."""

    def live(self) -> set[str]:
        """Those that report and run."""

    def owners(self) -> dict[str, str]:
        """Which of them the group has assigned each task to."""

    def lag(self, task: str, instance: str) -> int | None:
        """How many records behind an instance's standby of a task is; None when it has none or does not know."""


def standby_instances(task: str, instances: Iterable[str], replicas: int) -> list[str]:
    """The `replicas` instances with the highest score for the task, best first (rendezvous hashing).

    Removing an instance moves only what it had; adding one moves only what it gets.
    """
    return sorted(instances, key=lambda instance: _score(task, instance), reverse=True)[:replicas]


def _score(task: str, instance: str) -> bytes:
    return blake2b(f"{task}|{instance}".encode(), digest_size=8).digest()


class Placement:
    """Keeps this instance's standbys where they belong."""

    def __init__(
        self,
        blueprint: Blueprint,
        tasks: Tasks,
        standbys: Standbys,
        peers: Peers,
        instance_id: str,
        *,
        replicas: int,
        acceptable_lag: int,
        grace_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blueprint = blueprint
        self._tasks = tasks
        self._standbys = standbys
        self._peers = peers
        self._instance_id = instance_id
        self._replicas = replicas
        self._acceptable_lag = acceptable_lag
        # An instance that restarts within this keeps its standbys: moving them would copy whole stores for nothing.
        self._grace = grace_seconds
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._turned_at = float("-inf")
        self._chosen: set[str] = set()

    def lags(self) -> dict[str, int | None]:
        """How far each standby that belongs here is behind; None while that is not known."""
        found = {}
        for task in self._chosen:
            standby = self._standbys.get(task)
            found[task] = standby.lag if standby is not None else None
        return found

    def turn(self) -> None:
        """Decide now and then: reports come twice a second."""
        now = self._clock()
        if now - self._turned_at >= TURN_SECONDS and not self._tasks.leaving:
            self.decide()

    def decide(self) -> None:
        """Hold what belongs here and drop what belongs elsewhere by now."""
        self._turned_at = now = self._clock()
        live = self._live(now)
        self._chosen.clear()
        owners = self._peers.owners()
        for task in self._blueprint.tasks:
            self._place(task, owners.get(task), live)

    def _live(self, now: float) -> set[str]:
        self._seen.update(dict.fromkeys(self._peers.live(), now))
        self._seen = {name: at for name, at in self._seen.items() if now - at <= self._grace}
        return {*self._seen, self._instance_id}

    def _place(self, task: str, owner: str | None, live: set[str]) -> None:
        # While nobody is known to own it, it moves: who holds a copy keeps it.
        if task in self._tasks.by_id or owner is None or owner == self._instance_id:
            return
        chosen = standby_instances(task, live - {owner}, self._replicas)
        held = self._standbys.get(task) is not None
        if self._instance_id in chosen and self._tasks.can_stand_by(task):
            self._chosen.add(task)
            if not held:
                self._tasks.stand_by(task)
        elif held and all(self._is_caught_up(task, instance) for instance in chosen):
            self._standbys.drop(task)

    def _is_caught_up(self, task: str, instance: str) -> bool:
        lag = self._peers.lag(task, instance)
        return lag is not None and lag <= self._acceptable_lag
