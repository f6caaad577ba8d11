"""The windows of samples: one a partition, filled from status records. Owned by the observer's main thread.

What they say goes to Redis as one document an application (``document``); the samples themselves go to the database.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from console.lag import verdicts
from console.lag.verdicts import Sample
from engine.control.status import InstanceStatus, StoreStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.control.status import StatusRecord

# ("input" or "store", its topic or store, the partition)
Place = tuple[str, str, int]
_SAMPLES_MAX = 30
# A partition that nobody has reported for this long leaves the windows.
_FORGET_MS = 15 * 60_000


class Windows:
    """The windows of one application."""

    def __init__(self) -> None:
        self._windows: dict[Place, deque[Sample]] = {}
        self._owners: dict[Place, str] = {}
        self._busy: set[str] = set()
        self._bounds: dict[Place, tuple[int | None, int | None]] = {}

    def sample(self, records: Iterable[StatusRecord]) -> None:
        """Take one sample of each active task's inputs and each active store, where it was measured anew."""
        self._busy = set()
        for record in records:
            if isinstance(record, InstanceStatus):
                if record.rates.in_per_second > 0:
                    self._busy.add(record.instance)
            elif isinstance(record, TaskStatus) and record.role == "active":
                for each in record.inputs:
                    place = ("input", each.topic, each.partition)
                    self._owners[place] = record.instance
                    self._bounds[place] = (each.committed, each.begin)
                    self._add(place, Sample(record.at, each.position, each.end, each.lag))
            elif isinstance(record, StoreStatus) and record.role == "active":
                self._add(
                    ("store", record.store, record.partition),
                    Sample(record.at, record.position, record.end, record.lag),
                )

    def judge(self, now_ms: int, gone: set[Place] | None = None) -> dict[str, Any]:
        """Return the application's document: ``{"at", "rows", "caught_up"}``.

        Rows are ``[kind, name, partition, status, reason, lag_per_second, eta]``; what is simply caught up (most, as a
        rule) is only named: ``[[kind, name, [partitions]]]``.
        """
        for place in [place for place, window in self._windows.items() if now_ms - window[-1].at > _FORGET_MS]:
            del self._windows[place]
            self._bounds.pop(place, None)
            self._owners.pop(place, None)
        rows = []
        caught_up: dict[tuple[str, str], list[int]] = {}
        for place, window in sorted(self._windows.items()):
            committed, begin = self._bounds.get(place, (None, None))
            finding = verdicts.judge(
                window, now_ms, committed=committed, begin=begin, owner_is_busy=self._owners.get(place) in self._busy
            )
            if gone and place in gone and (window[-1].lag or 0) > 0:
                finding = verdicts.Finding(
                    "STOP", f"Its owner is gone and {window[-1].lag:,} records wait for the next one."
                )
            if finding.status == "OK" and finding.eta == 0.0:
                caught_up.setdefault(place[:2], []).append(place[2])
                continue
            rate = None if finding.lag_per_second is None else round(finding.lag_per_second, 1)
            rows.append([*place, finding.status, finding.reason, rate, finding.eta])
        return {
            "at": now_ms,
            "rows": rows,
            "caught_up": [[*name, partitions] for name, partitions in caught_up.items()],
        }

    def _add(self, place: Place, sample: Sample) -> None:
        window = self._windows.setdefault(place, deque(maxlen=_SAMPLES_MAX))
        if window and sample.at <= window[-1].at:
            return
        # A position that went back belongs to another life of the topic or the group: its trend starts anew.
        if window and sample.end is not None and window[-1].end is not None and sample.end < window[-1].end:
            window.clear()
        window.append(sample)
