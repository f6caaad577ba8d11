"""The copies of a store partition: their order, a verdict on each, where each stands and how its restore goes. Pure functions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console.lag import verdicts
from console.observe import store_shapes
from console.observe.board import NOT_JUDGED
from console.observe.store_shapes import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.observe.board import State
    from engine.control.status import StoreStatus


def in_order(copies: list[StoreStatus], serving: StoreStatus | None) -> list[StoreStatus]:
    """Return the copies of one partition as every table lists them: the serving one, former owners, standbys; then by instance."""
    if len(copies) < 2:  # noqa: PLR2004 - by far the most common case, and there may be 10,000 of them
        return copies
    return sorted(copies, key=lambda copy: (copy is not serving, copy.role, copy.instance))


def positions(state: State, store: str, partitions: Sequence[int] | None = None) -> dict[str, list[Any]]:
    """Return one row a copy of a store partition (those of ``partitions``, by default all), the serving one first."""
    columns = [
        "partition",
        "task",
        "instance",
        "role",
        "state",
        "phase",
        "percent",
        "start",
        "position",
        "end",
        "snapshot_end",
        "lag",
        "rate_per_second",
        "eta",
        "keys_estimate",
        "bytes",
        "generation",
        "cause",
        "restored_records",
        "written_since_start",
        "restore_started_at",
        "restore_ended_at",
        "at",
        "verdict",
        "reason",
    ]
    sub = (store_shapes.description(state, store) or {}).get("sub_topology")
    found = []
    known, chosen = store_shapes.all_partitions(state, store), store_shapes.serving(state, store)
    for partition in known if partitions is None else partitions:
        copies, serving = known[partition], chosen[partition]
        finding = state.lag.get(("store", store, partition), NOT_JUDGED)
        if serving is None:
            # A row for what is on its way: rows never vanish.
            task = f"{sub}_{partition}" if sub is not None else None
            found.append([partition, task, None, "active", "moving", *[None] * 18, *finding[:2]])
        found += [
            _position(state, record, finding if record is serving else beside(state, record))
            for record in in_order(copies, serving)
        ]
    return table(columns, found)


def beside(state: State, record: StoreStatus) -> tuple[str, str]:
    """Return the verdict on a copy that does not serve, from its own report: no window of samples is kept of it."""
    if record.instance in state.unreachable:
        return "UNKNOWN", "Its instance cannot be reached, so how far behind the copy is, nobody can tell."
    if record.role != "standby":
        return "UNKNOWN", "Another instance serves this partition; this is what its former owner said last."
    if record.lag is None:
        return (
            "UNKNOWN",
            "Its instance does not know the changelog's end yet, so how far behind the copy is cannot be told.",
        )
    if record.phase != "done":
        return (
            "WARN",
            f"Still being built: {verdicts.records(record.lag)} behind. A take-over now would have to read these first.",
        )
    if record.lag == 0:
        return "OK", "Caught up."
    return "OK", f"{verdicts.records(record.lag)} behind, and following."


def _position(state: State, record: StoreStatus, finding: tuple[Any, ...]) -> list[Any]:
    return [
        record.partition,
        record.task,
        record.instance,
        record.role,
        store_shapes.partition_state(record, state),
        record.phase,
        store_shapes.percent(record),
        record.start,
        record.position,
        store_shapes.end_of(record),
        record.snapshot_end,
        record.lag,
        record.rate_per_second,
        store_shapes.restore_eta(record),
        record.keys_estimate,
        record.bytes,
        record.generation,
        record.cause,
        record.restored_records,
        record.written_since_start,
        record.restore_started_at,
        record.restore_ended_at,
        record.at,
        finding[0],
        finding[1],
    ]


def running_restore(state: State, record: StoreStatus) -> dict[str, Any]:
    """Return a restore as it stands now."""
    now_ms = time.time_ns() // 1_000_000
    return {
        "id": None,
        "application": state.id,
        **{
            key: getattr(record, key)
            for key in (
                "store",
                "task",
                "partition",
                "instance",
                "role",
                "cause",
                "phase",
                "start",
                "position",
                "snapshot_end",
            )
        },
        "end": store_shapes.end_of(record),
        "outcome": "running",
        "started_at": record.restore_started_at,
        "ended_at": None,
        "duration_ms": max(now_ms - record.restore_started_at, 0) if record.restore_started_at is not None else None,
        "percent": store_shapes.percent(record),
        "records": record.restored_records,
        "rate_per_second": record.rate_per_second,
        "eta": store_shapes.restore_eta(record),
        "written_since_start": record.written_since_start,
    }
