"""How a store partition is described: which copy counts, how far its restore is, and the strip. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.lag import verdicts

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from console.observe.board import State
    from engine.control.status import StoreStatus, TaskStatus

Table = dict[str, list[Any]]
_RESTORING = {"fetching", "applying", "verifying"}


def table(columns: list[str], rows: Iterable[list[Any]]) -> Table:
    """Make the compact form."""
    return {"columns": columns, "rows": list(rows)}


def rows(compact: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Unfold a table into dictionaries."""
    return [dict(zip(compact["columns"], row, strict=True)) for row in compact["rows"]]


def total(values: Iterable[int | None]) -> int | None:
    """Add up; one unknown part makes the sum unknown, and the sum of nothing is unknown."""
    found = list(values)
    return None if not found or None in found else sum(value for value in found if value is not None)


def primary(copies: Iterable[StoreStatus], unreachable: Iterable[str]) -> StoreStatus | None:
    """Return the copy that serves: active (or global), reachable before unreachable, the newest of equals."""
    serving = [copy for copy in copies if copy.role != "standby"]
    if len(serving) < 2:  # noqa: PLR2004 - by far the most common case, and there may be 10,000 of them
        return serving[0] if serving else None
    silent = set(unreachable)
    return max(serving, key=lambda copy: (copy.instance not in silent, copy.at), default=None)


def owner(copies: Iterable[TaskStatus], unreachable: Container[str]) -> TaskStatus | None:
    """Return the active copy of a task whose instance can be reached, the newest of equals."""
    active = [copy for copy in copies if copy.role != "standby" and copy.instance not in unreachable]
    return max(active, key=lambda copy: copy.at, default=None)


def percent(record: StoreStatus) -> float | None:
    """Return how much of the restore is done, in offset slots; 100 only when it is, None when it is not known."""
    if record.phase == "done":
        return 100.0
    if record.start is None or record.position is None or record.snapshot_end is None:
        return None
    slots = record.snapshot_end - record.start
    done = record.position - record.start
    if slots <= 0 or done >= slots:
        return 100.0
    return min(round(100 * max(done, 0) / slots, 1), 99.9)


def restore_eta(record: StoreStatus) -> verdicts.Eta:
    """Return the seconds until the restore reaches the end it set out for."""
    if record.phase == "done":
        return 0.0
    if record.position is None or record.snapshot_end is None or record.rate_per_second is None:
        return None
    left = max(record.snapshot_end - record.position, 0)
    if left == 0:
        return 0.0
    return round(left / record.rate_per_second, 1) if record.rate_per_second > 0 else "never"


def partition_state(record: StoreStatus | None, state: State) -> str:
    """Return ``running``, ``restoring``, ``queued``, ``suspended``, ``stalled`` or ``moving``."""
    if record is None or record.instance in state.unreachable:
        return "moving"
    if record.phase in _RESTORING:
        verdict = state.lag.get(("store", record.store, record.partition))
        return "stalled" if verdict and verdict[0] == "STALL" else "restoring"
    return "running" if record.phase == "done" else record.phase


def _strip(
    state: State, partitions: dict[int, list[StoreStatus]], serving: dict[int, StoreStatus | None]
) -> dict[str, Any]:
    """Return the row of cells: ``[partition, index of the owner, fill, state, standbys]``."""
    names = sorted(state.instances)
    index = {name: place for place, name in enumerate(names)}
    cells = []
    for partition, copies in sorted(partitions.items()):
        record = serving[partition]
        what = partition_state(record, state)
        standbys = sum(copy.role == "standby" for copy in copies)
        place = None if record is None or what == "moving" else index.get(record.instance)
        cells.append([partition, place, percent(record) if record else None, what, standbys])
    return {"instances": names, "cells": cells}


def all_partitions(state: State, store: str) -> dict[int, list[StoreStatus]]:
    """Return the copies of each partition, also of those that nobody has at the moment."""
    found = dict(state.stores.get(store, {}))
    for partition in expected_partitions(state, store):
        found.setdefault(partition, [])
    return found


def expected_partitions(state: State, store: str) -> set[int]:
    """Return the partitions that the topology, or what was seen before, says there are."""
    described = description(state, store)
    if described is None:
        return set()
    sub = described.get("sub_topology")
    count = next((each.get("partitions") for each in sub_topologies(state) if each.get("id") == sub), None)
    expected = set(range(count)) if isinstance(count, int) and 0 < count <= _PARTITIONS_MAX else set()
    prefix = f"{sub}_"
    return expected | {int(task[len(prefix) :]) for task in state.owners if task.startswith(prefix)}


# A description is not trusted: it must not make us draw a billion cells.
_PARTITIONS_MAX = 100_000


def sub_topologies(state: State) -> list[dict[str, Any]]:
    """Return the sub-topologies as far as the description is what it should be."""
    found = state.topology.description.get("sub_topologies") if state.topology else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def description(state: State, store: str) -> dict[str, Any] | None:
    """Return what the topology says about a store."""
    found = state.topology.description.get("stores") if state.topology else None
    return (
        next((each for each in found if isinstance(each, dict) and each.get("name") == store), None)
        if isinstance(found, list)
        else None
    )


def store_names(state: State) -> list[str]:
    """Return all stores, reported or described, by name."""
    found = state.topology.description.get("stores") if state.topology else None
    described = (
        {str(each.get("name")) for each in found if isinstance(each, dict)} if isinstance(found, list) else set()
    )
    return sorted(described | set(state.stores))


def summary(state: State, store: str) -> dict[str, Any]:
    """Return a store in short: what the overview shows of it. Made once for each state; callers must not change it."""
    found: dict[str, Any] | None = state.made.get(("summary", store))
    if found is None:
        found = state.made["summary", store] = _summary(state, store)
    return found


def _summary(state: State, store: str) -> dict[str, Any]:
    described = description(state, store) or {}
    partitions = all_partitions(state, store)
    serving = {partition: primary(copies, state.unreachable) for partition, copies in partitions.items()}
    known = [record for record in serving.values() if record is not None]
    restoring = [record for record in known if partition_state(record, state) in {"restoring", "queued", "stalled"}]
    first = known[0] if known else None
    slots = [found for record in restoring if (found := _slots(record)) is not None]
    whole = sum(size for _, size in slots)
    return {
        "name": store,
        "kind": first.store_kind if first else described.get("kind"),
        "backend": first.backend if first else described.get("backend"),
        "keys_estimate": total(record.keys_estimate if record else None for record in serving.values()),
        "bytes": total(record.bytes if record else None for record in serving.values()),
        "lag": total(record.lag if record else None for record in serving.values()),
        "partitions": len(partitions),
        "restoring": len(restoring),
        "percent": round(100 * sum(max(done, 0) for done, _ in slots) / whole, 1)
        if whole and len(slots) == len(restoring)
        else None,
        "eta": verdicts.slowest(restore_eta(record) for record in restoring) if restoring else 0.0,
        "strip": _strip(state, partitions, serving),
    }


def _slots(record: StoreStatus) -> tuple[int, int] | None:
    """Return how many offsets the restore has passed, and of how many."""
    if record.start is None or record.position is None or record.snapshot_end is None:
        return None
    return record.position - record.start, record.snapshot_end - record.start
