"""Warm-up: an instance joins the group once the standbys that are placed at it have caught up.

From joining on the group may give it tasks at once; those that it has a copy of are promoted instead of restored, and
until then they run where they are. So it waits, though never at the price of a task that nobody runs: as soon as one has
no owner it joins, caught up or not. Owner: the loop; its thread only.
"""

import logging
import time
from collections.abc import Callable

from engine.runtime.placement import Peers, Placement

log = logging.getLogger(__name__)

# How long the status topic may take to tell who else is there.
PEERS_SECONDS = 5.0
# How long a task may be without an owner, as it is for a moment while it moves.
ORPHAN_SECONDS = 2.0


class WarmUp:
    """Decides when an instance joins. `reason` says what it waits for, None once it has joined."""

    def __init__(
        self,
        tasks: set[str],
        placement: Placement,
        peers: Peers,
        join: Callable[[], None],
        *,
        peers_known: Callable[[], bool],
        acceptable_lag: int,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = tasks
        self._placement = placement
        self._peers = peers
        self._join = join
        self._peers_known = peers_known
        self._acceptable_lag = acceptable_lag
        self._timeout = timeout_seconds
        self._clock = clock
        self._began = clock()
        self._all_owned_at = self._began
        self.reason: str | None = "looks who else is there"

    def skip(self) -> None:
        """Join at once."""
        self._join()
        self.reason = None

    def turn(self) -> None:
        """Join if it is time to; each turn of the loop until then."""
        if self.reason is None:
            return
        reason = self._wait()
        if reason is not None:
            self.reason = reason
            return
        # Brokers may not answer just now: then the next turn joins.
        self.reason = "joins its group"
        self._join()
        self.reason = None

    def _wait(self) -> str | None:
        """What there is to wait for."""
        now = self._clock()
        waited = now - self._began
        if not self._peers_known():
            return "looks who else is there" if waited < PEERS_SECONDS else None
        owned = self._peers.owners()
        if not owned:
            return None
        if self._tasks <= owned.keys():
            self._all_owned_at = now
        elif now - self._all_owned_at >= ORPHAN_SECONDS:
            log.info("some tasks have no owner: joining before all standbys have caught up")
            return None
        if waited >= self._timeout:
            log.warning("standbys have not caught up within %.0f s: joining all the same", self._timeout)
            return None
        self._placement.decide()
        behind = [lag for lag in self._placement.lags().values() if lag is None or lag > self._acceptable_lag]
        if not behind:
            return None
        known = [lag for lag in behind if lag is not None]
        far = f"{sum(known)} records behind" if len(known) == len(behind) else "how far is not known yet"
        return f"warms up {len(behind)} standbys before it joins: {far}"
