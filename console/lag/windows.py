"""The windows of samples: one a partition, filled from status records. Owned by the observer's main thread.

What they say goes to Redis as one document an application (``judge``); the samples themselves go to the database. A turn
costs what was reported and what is behind: of a partition that is caught up nothing changes until it is reported again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from console.lag import behind, verdicts
from console.lag.behind import Behind, Ends
from console.lag.verdicts import Sample
from engine.control.status import StoreStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from engine.control.status import StatusRecord

# ("input" or "store", its topic or store, the partition)
Place = tuple[str, str, int]
_SAMPLES_MAX = 30
# A partition that nobody has reported for this long leaves the windows.
_FORGET_MS = 15 * 60_000
_SWEEP_MS = 60_000


class Windows:
    """The windows of one application."""

    def __init__(self) -> None:
        self._windows: dict[Place, deque[Sample]] = {}
        # The places whose window is not simply caught up, and (kind, name) -> the partitions of those whose window is.
        self._behind: set[Place] = set()
        self._calm: dict[tuple[str, str], set[int]] = {}
        self._calm_sorted: dict[tuple[str, str], list[int]] = {}
        self._swept_ms = 0
        self._owners: dict[Place, str] = {}
        self._bounds: dict[Place, tuple[int | None, int | None]] = {}
        self._ends: dict[Place, Ends] = {}
        # Recorded looks at ends, for places that have not been reported in this run yet.
        self._recorded: dict[Place, Sequence[tuple[int, int, int]]] = {}

    def sample(self, records: Iterable[StatusRecord], now_ms: int) -> None:
        """Take one sample of each active task's inputs and each active store, where it was measured anew.

        Only what has been reported since the last call need be given.
        """
        for record in records:
            if isinstance(record, TaskStatus) and record.role == "active":
                for each in record.inputs:
                    place = ("input", each.topic, each.partition)
                    self._owners[place] = record.instance
                    self._bounds[place] = (each.committed, each.begin)
                    self._add(place, Sample(record.at, each.position, each.end, each.lag), now_ms)
            elif isinstance(record, StoreStatus) and record.role == "active":
                self._add(
                    ("store", record.store, record.partition),
                    Sample(record.at, record.position, record.end, record.lag),
                    now_ms,
                )

    def remember(self, looks: Mapping[Place, Sequence[tuple[int, int, int]]]) -> None:
        """Take what was recorded before this run: for each place (end, first seen, last seen), oldest first."""
        for place, each in looks.items():
            known = self._ends.get(place)
            if known is None:
                self._recorded[place] = each
            else:
                known.older(each)

    def behind(self, place: Place, now_ms: int) -> Behind:
        """Return how far behind in time a place is."""
        window, ends = self._windows.get(place), self._ends.get(place)
        if not window or ends is None or window[-1].lag is None or window[-1].position is None:
            return behind.UNKNOWN
        if window[-1].lag == 0:
            return behind.CAUGHT_UP
        begin = self._bounds.get(place, (None, None))[1]
        # What lies before the beginning was deleted: the oldest record that can still be read is the one that waits.
        return ends.behind(max(window[-1].position, begin or 0), now_ms)

    def judge(
        self, now_ms: int, gone: Container[Place] = frozenset(), busy: Container[str] = frozenset()
    ) -> dict[str, Any]:
        """Return the application's document: ``{"at", "rows", "caught_up"}``.

        ``gone`` are the places whose owner is, ``busy`` the instances that do process records.

        Rows are ``[kind, name, partition, status, reason, lag_per_second, eta, lag_ms, how]``; what is simply caught up (most, as a
        rule) is only named: ``[[kind, name, [partitions]]]``.
        """
        if now_ms - self._swept_ms > _SWEEP_MS:
            self._swept_ms = now_ms
            self._forget(now_ms)
        rows = []
        beside: dict[tuple[str, str], list[int]] = {}
        for place in sorted(self._behind):
            window = self._windows[place]
            committed, begin = self._bounds.get(place, (None, None))
            finding = verdicts.judge(
                window, now_ms, committed=committed, begin=begin, owner_is_busy=self._owners.get(place, "") in busy
            )
            left = window[-1].lag
            if place in gone and left:
                finding = verdicts.Finding(
                    "STOP",
                    f"Its owner is gone and {verdicts.waiting(left)} for the next one. Start an instance if none is left.",
                )
            if finding.status == "OK" and finding.eta == 0.0:
                beside.setdefault(place[:2], []).append(place[2])
                continue
            rate = None if finding.lag_per_second is None else round(finding.lag_per_second, 1)
            rows.append([*place, finding.status, finding.reason, rate, finding.eta, *self.behind(place, now_ms)])
        return {
            "at": now_ms,
            "rows": rows,
            "caught_up": [
                [*name, partitions]
                for name in sorted({*self._calm, *beside})
                if (partitions := self._caught_up(name, beside.get(name, [])))
            ],
        }

    def _caught_up(self, name: tuple[str, str], beside: list[int]) -> list[int]:
        """Return the partitions that are caught up, ``beside`` among them, in order."""
        if name not in self._calm_sorted:
            self._calm_sorted[name] = sorted(self._calm.get(name, ()))
        return sorted(self._calm_sorted[name] + beside) if beside else self._calm_sorted[name]

    def _forget(self, now_ms: int) -> None:
        """Let those places go that nobody has reported for long."""
        for place in [place for place, window in self._windows.items() if now_ms - window[-1].at > _FORGET_MS]:
            self._sort(place, None)
            del self._windows[place]
            self._bounds.pop(place, None)
            self._owners.pop(place, None)
            self._ends.pop(place, None)

    def _sort(self, place: Place, last: Sample | None) -> None:
        """Note whether a place is simply caught up by its last sample; None: it is no place any more."""
        name, partition = place[:2], place[2]
        committed, begin = self._bounds.get(place, (None, None))
        is_cut = committed is not None and begin is not None and committed < begin
        is_calm = last is not None and last.lag == 0 and not is_cut
        if last is None or is_calm:
            self._behind.discard(place)
        else:
            self._behind.add(place)
        calm = self._calm.setdefault(name, set())
        if is_calm != (partition in calm):
            self._calm_sorted.pop(name, None)
            (calm.add if is_calm else calm.discard)(partition)

    def _add(self, place: Place, sample: Sample, now_ms: int) -> None:
        window = self._windows.setdefault(place, deque(maxlen=_SAMPLES_MAX))
        if window and sample.at <= window[-1].at:
            # Its bounds may be new nevertheless.
            self._sort(place, window[-1])
            return
        # A position that went back belongs to another life of the topic or the group: its trend starts anew.
        if window and sample.end is not None and window[-1].end is not None and sample.end < window[-1].end:
            window.clear()
        window.append(sample)
        self._sort(place, sample)
        if sample.end is None:
            return
        ends = self._ends.get(place)
        if ends is None:
            ends = self._ends[place] = Ends()
            ends.older(self._recorded.pop(place, ()))
        # On this machine's clock, so that skewed clocks of engine hosts do no harm.
        ends.note(sample.end, now_ms)
        # Of a partition that keeps up one or two looks are enough: ten thousand of them must fit into memory.
        floor = self._bounds.get(place, (None, None))[0]
        if sample.position is not None:
            ends.passed(sample.position if floor is None else min(sample.position, floor))
