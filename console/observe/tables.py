"""The tables of snapshots: one row a task, a store partition, an input partition. Pure functions of an application's state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console.observe import store_shapes
from console.observe.board import NOT_JUDGED
from console.observe.store_shapes import rows, table

if TYPE_CHECKING:
    from console.observe.board import State
    from engine.control.status import Input, StoreStatus


def known_tasks(state: State) -> list[str]:
    """Return all tasks, also those that nobody runs at the moment. Made once for each state."""
    found: list[str] | None = state.made.get(("tasks", ""))
    if found is None:
        found = state.made["tasks", ""] = _known_tasks(state)
    return found


def _known_tasks(state: State) -> list[str]:
    known = set(state.tasks) | set(state.owners)
    for sub in store_shapes.sub_topologies(state):
        count = sub.get("partitions")
        if isinstance(count, int) and 0 < count <= 100_000:  # noqa: PLR2004 - the bound of store_shapes, for the same reason
            known |= {f"{sub.get('id')}_{partition}" for partition in range(count)}
    return sorted(known, key=task_order)


def task_order(task: str) -> tuple[int, ...]:
    """Order tasks as people count: 0_2 before 0_10."""
    return tuple(int(part) for part in task.split("_") if part.isdecimal())


def tasks(state: State) -> dict[str, list[Any]]:
    """Return one row a task, also of those that nobody runs at the moment."""
    columns = [
        "task",
        "sub_topology",
        "partition",
        "instance",
        "last_instance",
        "state",
        "reason",
        "lag",
        "lag_ms",
        "rate_per_second",
        "stream_time",
        "standbys",
    ]
    anyone = any(name not in state.unreachable for name in state.instances)
    return table(columns, (_task(state, task, "moving" if anyone else "unassigned") for task in known_tasks(state)))


def _task(state: State, task: str, gone: str) -> list[Any]:
    copies = state.tasks.get(task, [])
    owner = store_shapes.owner(copies, state.unreachable)
    last = owner or max((copy for copy in copies if copy.role != "standby"), key=lambda copy: copy.at, default=None)
    sub, _, partition = task.partition("_")
    times = [behind for each in last.inputs if (behind := time_lag(state, each)) is not None] if last else []
    rates = [each.rate_per_second for each in owner.inputs if each.rate_per_second is not None] if owner else []
    return [
        task,
        int(sub) if sub.isdecimal() else None,
        int(partition) if partition.isdecimal() else None,
        owner.instance if owner else None,
        last.instance if last else state.owners.get(task),
        owner.state if owner else gone,
        owner.reason if owner else None,
        store_shapes.total(each.lag for each in last.inputs) if last else None,
        max(times) if times else None,
        round(sum(rates), 1) if rates else None,
        last.stream_time if last else None,
        [[copy.instance, copy.state] for copy in copies if copy.role == "standby"],
    ]


def time_lag(state: State, each: Input) -> int | None:
    """Return how far behind in time an input partition is, as the observer measured it."""
    return state.lag.get(("input", each.topic, each.partition), NOT_JUDGED)[4]


def positions(state: State, store: str) -> dict[str, list[Any]]:
    """Return one row a copy of a store partition, the serving one first."""
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
    for partition, copies in sorted(store_shapes.all_partitions(state, store).items()):
        serving = store_shapes.primary(copies, state.unreachable)
        finding = state.lag.get(("store", store, partition), NOT_JUDGED)
        if serving is None:
            # A row for what is on its way: rows never vanish.
            task = f"{sub}_{partition}" if sub is not None else None
            found.append([partition, task, None, "active", "moving", *[None] * 18, *finding[:2]])
        ordered = sorted(copies, key=lambda copy: (copy is not serving, copy.role, copy.instance))
        found += [
            _position(state, record, finding if record is serving else _beside(state, record)) for record in ordered
        ]
    return table(columns, found)


def _beside(state: State, record: StoreStatus) -> tuple[str, str]:
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
            f"Still being built: {record.lag:,} records behind. A take-over now would have to read these first.",
        )
    if record.lag == 0:
        return "OK", "Caught up."
    return "OK", f"{record.lag:,} records behind, and following."


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
        record.end,
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
                "end",
            )
        },
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


def input_lag(state: State) -> dict[str, list[Any]]:
    """Return one row an input partition."""
    columns = [
        "topic",
        "partition",
        "task",
        "instance",
        "position",
        "committed",
        "begin",
        "end",
        "lag",
        "lag_ms",
        "lag_ms_how",
        "rate_per_second",
        "lag_per_second",
        "eta",
        "verdict",
        "reason",
    ]
    found = []
    for copies in state.tasks.values():
        active = [copy for copy in copies if copy.role == "active"]
        copy = store_shapes.owner(active, state.unreachable) or max(active, key=lambda each: each.at, default=None)
        for each in copy.inputs if copy else ():
            verdict, reason, rate, eta, behind_ms, how = state.lag.get(
                ("input", each.topic, each.partition), NOT_JUDGED
            )
            measured = [
                each.position,
                each.committed,
                each.begin,
                each.end,
                each.lag,
                behind_ms,
                how,
                each.rate_per_second,
            ]
            found.append([each.topic, each.partition, copy.task, copy.instance, *measured, rate, eta, verdict, reason])  # type: ignore[union-attr]
    return table(columns, sorted(found, key=lambda row: (row[0], row[1])))


def store_lag(state: State) -> dict[str, list[Any]]:
    """Return one row a copy of a store partition: how far it is behind its changelog."""
    columns = [
        "store",
        "partition",
        "task",
        "instance",
        "role",
        "position",
        "end",
        "lag",
        "lag_ms",
        "lag_ms_how",
        "lag_per_second",
        "eta",
        "verdict",
        "reason",
    ]
    found = []
    for name in sorted(state.stores):
        for partition, copies in sorted(state.stores[name].items()):
            serving = store_shapes.primary(copies, state.unreachable)
            for copy in sorted(copies, key=lambda each: (each is not serving, each.instance)):
                verdict, reason, rate, eta, behind_ms, how = (
                    state.lag.get(("store", name, partition), NOT_JUDGED)
                    if copy is serving
                    else (*_beside(state, copy), None, None, None, None)
                )
                found.append(
                    [
                        name,
                        partition,
                        copy.task,
                        copy.instance,
                        copy.role,
                        copy.position,
                        copy.end,
                        copy.lag,
                        behind_ms,
                        how,
                        rate,
                        eta,
                        verdict,
                        reason,
                    ]
                )
    return table(columns, found)


def skew(kind: str, compact: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return, for each topic or store, how far its slowest partition is behind the middle one."""
    lags: dict[str, list[tuple[int, int]]] = {}
    for row in rows(compact):
        if row["lag"] is not None and row.get("role", "active") != "standby":
            lags.setdefault(row["topic" if kind == "input" else "store"], []).append((row["lag"], row["partition"]))
    found = []
    for name, each in sorted(lags.items()):
        each.sort()
        found.append(
            {
                "kind": kind,
                "name": name,
                "slowest": each[-1][1],
                "lag": each[-1][0],
                "median_lag": each[len(each) // 2][0],
            }
        )
    return found
