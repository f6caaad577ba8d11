"""Who has which store partition, as the application's instances last reported: the map that routing reads.

Owned by the composition root. One writer (`engine.control.view`, the status topic's reader) puts reports in; the
query service's threads read. Values are immutable and replaced whole, so readers need no lock. What stands here may
be half a second old: the instance that is asked decides whether it still owns the partition.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.query.limits import REPORT_SILENCE_MS


def _clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Replica:
    """A copy of a store partition at an instance, as it reported it with this incarnation and sequence."""

    instance: str
    task: str
    partition: int
    role: str
    phase: str
    lag: int | None
    position: int | None
    incarnation: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of the application. `seen_ms` is on this process's monotonic clock."""

    instance: str
    address: str | None
    state: str
    incarnation: int
    seen_ms: int
    tasks: tuple[str, ...] = ()  # those that the group has assigned to it


class Metadata:
    """The newest report of each instance and of each copy; thread-safe."""

    def __init__(self, clock_ms: Callable[[], int] = _clock_ms) -> None:
        self._clock_ms = clock_ms
        self._writing = threading.Lock()
        self._members: dict[str, Member] = {}
        self._copies: dict[tuple[str, int], tuple[Replica, ...]] = {}
        # Copies that refused a forwarded request: not asked again until they report anew.
        self._doubted: dict[tuple[str, int, str], tuple[int, int]] = {}

    def put_member(
        self,
        instance: str,
        address: str | None,
        state: str,
        incarnation: int,
        age_ms: int = 0,
        tasks: Sequence[str] = (),
    ) -> None:
        """Take an instance's report, made `age_ms` ago (more than 0 while old records are being read)."""
        with self._writing:
            seen_ms = self._clock_ms() - age_ms
            self._members[instance] = Member(instance, address, state, incarnation, seen_ms, tuple(tasks))

    def put_copy(self, store: str, replica: Replica) -> None:
        """Take a report of a store partition's copy."""
        with self._writing:
            place = (store, replica.partition)
            others = tuple(each for each in self._copies.get(place, ()) if each.instance != replica.instance)
            self._copies[place] = (*others, replica)

    def drop_member(self, instance: str) -> None:
        """Forget an instance that has ended."""
        with self._writing:
            self._members.pop(instance, None)

    def drop_copy(self, store: str, task: str, instance: str) -> None:
        """Forget a copy that its instance has let go."""
        with self._writing:
            for place, copies in list(self._copies.items()):
                if place[0] != store:
                    continue
                kept = tuple(each for each in copies if (each.task, each.instance) != (task, instance))
                if len(kept) != len(copies):
                    self._copies[place] = kept
                    self._doubted.pop((*place, instance), None)

    def doubt(self, store: str, replica: Replica) -> None:
        """Note that `replica`'s instance refused to answer for it; its next report clears the doubt."""
        with self._writing:
            self._doubted[(store, replica.partition, replica.instance)] = (replica.incarnation, replica.sequence)

    def member(self, instance: str) -> Member | None:
        """The newest report of an instance, however old."""
        return self._members.get(instance)

    def members(self) -> list[Member]:
        """All instances that have reported and not ended."""
        return list(self._members.values())

    def is_reachable(self, instance: str) -> bool:
        """Whether an instance has an address and has reported within the last three reports' time."""
        member = self._members.get(instance)
        return (
            member is not None
            and member.address is not None
            and member.state != "failed"
            and self._clock_ms() - member.seen_ms <= REPORT_SILENCE_MS
        )

    def is_heard(self, instance: str) -> bool:
        """Whether an instance, with or without an address, has reported within the last three reports' time."""
        member = self._members.get(instance)
        return member is not None and self._clock_ms() - member.seen_ms <= REPORT_SILENCE_MS

    def copies(self, store: str, partition: int) -> tuple[Replica, ...]:
        """All reported copies of a store partition, in no order; those of an instance's past life are left out."""
        return tuple(
            each
            for each in self._copies.get((store, partition), ())
            if (member := self._members.get(each.instance)) is not None and each.incarnation >= member.incarnation
        )

    def active(self, store: str, partition: int) -> Replica | None:
        """The copy to ask: active, not doubted; while two instances claim it, the one that reported last."""
        claims = [
            each
            for each in self.copies(store, partition)
            if each.role == "active"
            and self._doubted.get((store, partition, each.instance)) != (each.incarnation, each.sequence)
        ]
        return max(claims, key=self._recency, default=None)

    def standbys(self, store: str, partition: int) -> list[Replica]:
        """Standby copies, the most caught-up first; those of unknown lag last."""
        copies = [each for each in self.copies(store, partition) if each.role == "standby"]
        return sorted(copies, key=lambda each: (each.lag is None, each.lag or 0, each.instance))

    def _recency(self, replica: Replica) -> tuple[bool, int]:
        member = self._members.get(replica.instance)
        # An instance that has fallen silent does not outrank one that reports.
        return self.is_reachable(replica.instance), member.seen_ms if member is not None else 0
