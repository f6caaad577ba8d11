"""How large each store was: one sample a minute into the database, thinned as it ages, and back out for a chart.

A sample is the sum over a store's serving copies. A partition that is not known makes the sum unknown, and an unknown sum
is not recorded: a chart that fell to half during a rebalance would tell of a loss that never was.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from console import limits
from console.models import StoreSample
from console.observe import store_shapes
from engine.control.status import StoreStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from engine.control.status import StatusRecord


class Row(NamedTuple):
    """One store at one time."""

    application: str
    store: str
    at_ms: int
    keys: int | None
    bytes: int


def rows_of(application: str, records: Iterable[StatusRecord], silent: Collection[str], at_ms: int) -> list[Row]:
    """Return a row for each store whose every reported partition is known; ``silent`` instances are not believed."""
    stores: dict[str, dict[int, list[StoreStatus]]] = {}
    for record in records:
        if isinstance(record, StoreStatus):
            stores.setdefault(record.store, {}).setdefault(record.partition, []).append(record)
    rows = []
    for name, partitions in stores.items():
        serving = [store_shapes.primary(copies, silent) for copies in partitions.values()]
        # While one is restoring its size is that of what has been restored, not of the store.
        if any(copy is None or copy.instance in silent or copy.phase != "done" for copy in serving):
            continue
        size = store_shapes.total(copy.bytes if copy else None for copy in serving)
        keys = store_shapes.total(copy.keys_estimate if copy else None for copy in serving)
        if size is not None:
            rows.append(Row(application, name, at_ms, keys, size))
    return rows


def store(rows: list[Row]) -> None:
    """Write rows; their applications must exist."""
    StoreSample.objects.bulk_create(
        [
            StoreSample(
                application_id=row.application,
                store=row.store,
                at=datetime.fromtimestamp(row.at_ms / 1000, UTC),
                keys=row.keys,
                bytes=row.bytes,
            )
            for row in rows
        ],
        batch_size=1_000,
    )


def read(application: str, name: str, since_ms: int, until_ms: int, points: int) -> dict[str, list[Any]]:
    """Return ``{"at": [ms], "bytes": [n], "keys": [n|None]}``, oldest first, with at most ``points`` times.

    Times between are left out, never averaged; the newest is always among those kept.
    """
    since, until = datetime.fromtimestamp(since_ms / 1000, UTC), datetime.fromtimestamp(until_ms / 1000, UTC)
    found = list(
        StoreSample.objects.filter(application_id=application, store=name, at__gte=since, at__lte=until)
        .order_by("-at")
        .values_list("at", "bytes", "keys")
    )
    kept = found[:: max(-(-len(found) // max(points, 1)), 1)][::-1]
    return {
        "at": [int(at.timestamp() * 1000) for at, _, _ in kept],
        "bytes": [size for _, size, _ in kept],
        "keys": [keys for _, _, keys in kept],
    }


def thin(now: datetime) -> int:
    """Delete samples that their age no longer needs; return how many. After two days one in ten minutes is kept."""
    deleted, _ = StoreSample.objects.filter(at__lt=now - timedelta(milliseconds=limits.SIZE_KEEP_MS)).delete()
    old = StoreSample.objects.filter(at__lt=now - timedelta(milliseconds=limits.SIZE_FULL_MS)).order_by("at")
    slots: set[tuple[str, str, int]] = set()
    extra = []
    for key, application, name, at in old.values_list("id", "application_id", "store", "at").iterator():
        slot = (application, name, int(at.timestamp()) // 600)
        if slot in slots:
            extra.append(key)
        slots.add(slot)
    for first in range(0, len(extra), 500):
        deleted += StoreSample.objects.filter(id__in=extra[first : first + 500]).delete()[0]
    return deleted
