"""Lag over time: samples into the database, thinned as they age, and back out as the columns that a chart takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from console import limits
from console.models import LagSample
from engine.control.status import StoreStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from console.lag.behind import Behind
    from console.lag.windows import Place
    from engine.control.status import StatusRecord

_ROWS_A_QUERY = 400_000
_LOOKS_MAX = 200_000
# An end offset, and when it was first and last seen (ms).
Look = tuple[int, int, int]


class Row(NamedTuple):
    """One measure of one partition."""

    application: str
    kind: str
    name: str
    partition: int
    at_ms: int
    position: int | None
    end: int | None
    lag: int | None
    lag_ms: int | None


def rows_of(records: Iterable[StatusRecord], at_ms: int, behind: Callable[[Place], Behind]) -> list[Row]:
    """Return the rows of one sampling: all get the same time, so that a chart's series share their axis.

    ``behind`` tells how far behind in time a place is; a mere lower bound is not drawn as a measure.
    """

    def ms(kind: str, name: str, partition: int) -> int | None:
        found = behind((kind, name, partition))
        return None if found.how == "at-least" else found.ms

    rows = []
    for record in records:
        if isinstance(record, TaskStatus) and record.role == "active":
            rows += [
                Row(
                    record.application,
                    LagSample.INPUT,
                    each.topic,
                    each.partition,
                    at_ms,
                    each.position,
                    each.end,
                    each.lag,
                    ms(LagSample.INPUT, each.topic, each.partition),
                )
                for each in record.inputs
            ]
        elif isinstance(record, StoreStatus) and record.role == "active":
            place = (record.application, LagSample.STORE, record.store, record.partition)
            rows.append(Row(*place, at_ms, record.position, record.end, record.lag, ms(*place[1:])))
    return rows


def looks(now_ms: int) -> dict[str, dict[Place, list[Look]]]:
    """Return, by application and place, when recent end offsets were first and last seen, oldest first.

    From the time that samples keep all detail, and from a bounded number of them: it is read once, when observation begins.
    """
    since = datetime.fromtimestamp((now_ms - limits.LAG_FULL_MS) / 1000, UTC)
    newest = (
        LagSample.objects.filter(at__gte=since, end__isnull=False)
        .order_by("-at")
        .values_list("application_id", "kind", "name", "partition", "end", "at")[:_LOOKS_MAX]
    )
    found: dict[str, dict[Place, list[Look]]] = {}
    for application, kind, name, partition, end, at in reversed(newest):
        kept = found.setdefault(application, {}).setdefault((kind, name, partition), [])
        at_ms = int(at.timestamp() * 1000)
        if kept and kept[-1][0] == end:
            kept[-1] = (end, kept[-1][1], at_ms)
        elif end is not None:
            kept.append((end, at_ms, at_ms))
    return found


def store(rows: list[Row]) -> None:
    """Write rows; their applications must exist."""
    LagSample.objects.bulk_create(
        [
            LagSample(
                application_id=row.application,
                kind=row.kind,
                name=row.name,
                partition=row.partition,
                at=datetime.fromtimestamp(row.at_ms / 1000, UTC),
                position=row.position,
                end=row.end,
                lag=row.lag,
                lag_ms=row.lag_ms,
            )
            for row in rows
        ],
        batch_size=1_000,
    )


def read(
    application: str,
    kind: str,
    name: str,
    since_ms: int,
    until_ms: int,
    points: int,
    partitions: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return ``{"at": […], "series": [{"partition", "lag", "lag_ms", "position", "end"}]}`` with at most ``points`` times.

    Times between are left out, never averaged: a peak that is drawn was measured. A partition without a sample at a time
    has None there. ``partitions``: only these (a chart of ten thousand lines is no chart).
    """
    since, until = datetime.fromtimestamp(since_ms / 1000, UTC), datetime.fromtimestamp(until_ms / 1000, UTC)
    wanted = LagSample.objects.filter(application_id=application, kind=kind, name=name, at__gte=since, at__lte=until)
    if partitions is not None:
        wanted = wanted.filter(partition__in=list(partitions))
    times = sorted(wanted.values_list("at", flat=True).distinct())
    step = max(-(-len(times) // max(points, 1)), 1)
    # The newest time is always among those kept.
    kept = times[::-1][::step][::-1]
    if step > 1:
        wanted = wanted.filter(at__in=kept) if len(kept) <= 500 else wanted  # noqa: PLR2004 - SQLite's bound on parameters is 999 where it is old
    index = {at: place for place, at in enumerate(kept)}
    series: dict[int, dict[str, Any]] = {}
    for partition, at, position, end, lag, lag_ms in wanted.values_list(
        "partition", "at", "position", "end", "lag", "lag_ms"
    )[:_ROWS_A_QUERY]:
        place = index.get(at)
        if place is None:
            continue
        columns = series.setdefault(
            partition,
            {"partition": partition} | {column: [None] * len(kept) for column in ("lag", "lag_ms", "position", "end")},
        )
        columns["lag"][place], columns["lag_ms"][place] = lag, lag_ms
        columns["position"][place], columns["end"][place] = position, end
    return {
        "at": [int(at.timestamp() * 1000) for at in kept],
        "series": [series[partition] for partition in sorted(series)],
    }


def thin(now: datetime) -> int:
    """Delete samples that their age no longer needs; return how many. Safe to run at any time, and twice."""
    deleted, _ = LagSample.objects.filter(at__lt=now - timedelta(milliseconds=limits.LAG_KEEP_MS)).delete()
    bands = (
        (now - timedelta(milliseconds=limits.LAG_MINUTE_MS), now - timedelta(milliseconds=limits.LAG_FULL_MS), 60),
        (now - timedelta(milliseconds=limits.LAG_KEEP_MS), now - timedelta(milliseconds=limits.LAG_MINUTE_MS), 600),
    )
    for since, until, seconds in bands:
        deleted += _keep_one_in(since, until, seconds)
    return deleted


def _keep_one_in(since: datetime, until: datetime, seconds: int) -> int:
    """Keep the first sampling of each slot: all partitions of one sampling share their time, so whole samplings go."""
    times = (
        LagSample.objects.filter(at__gte=since, at__lt=until)
        .order_by("at")
        .values_list("application_id", "at")
        .distinct()
    )
    slots: set[tuple[str, int]] = set()
    extra: dict[str, list[datetime]] = {}
    for application, at in times.iterator():
        slot = (application, int(at.timestamp()) // seconds)
        if slot in slots:
            extra.setdefault(application, []).append(at)
        slots.add(slot)
    deleted = 0
    for application, ats in extra.items():
        for first in range(0, len(ats), 500):
            deleted += LagSample.objects.filter(application_id=application, at__in=ats[first : first + 500]).delete()[0]
    return deleted
