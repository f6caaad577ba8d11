"""The tables of snapshots: one row a task, a store partition, an input partition. Pure functions of an application's state.

What a table can be chosen from (``…_items``, ``…_places``) is made once for each state; the rows are made for what was chosen.
"""

from __future__ import annotations

import heapq
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from console.lag.verdicts import SEVERITY
from console.observe import store_shapes
from console.observe.board import NOT_JUDGED
from console.observe.choice import Item
from console.observe.store_shapes import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from console.observe.board import LagRow, State
    from engine.control.status import Input, StoreStatus, TaskStatus


# More lines than this can not be told apart in a chart; of a wider topic the partitions that are furthest behind are drawn.
LINES = 12


def known_tasks(state: State) -> list[str]:
    """Return all tasks, also those that nobody runs at the moment. Not to be changed."""
    reported = state.made.of("reported tasks", (state.tasks,), lambda: tuple(state.tasks), settle=True)
    return state.made.of("tasks", (reported, state.owners, state.topology), lambda: _known_tasks(state))


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


def task_items(state: State) -> list[Item]:
    """Return what tasks can be chosen by, in their order. Not to be changed."""
    names = known_tasks(state)

    def make() -> list[Item]:
        gone = _gone(state)
        found = []
        for name in names:
            owner = store_shapes.owner(state.tasks.get(name, ()), state.unreachable)
            number = task_order(name)[-1:] or (0,)
            found.append(
                Item(
                    name, number[0], owner.instance if owner else state.owners.get(name), owner.state if owner else gone
                )
            )
        return found

    return state.made.of("task items", (names, state.tasks, state.unreachable, _gone(state)), make)


def _gone(state: State) -> str:
    """Return the state of a task without owner: it moves as long as there is somebody to move to."""
    return "moving" if any(name not in state.unreachable for name in state.instances) else "unassigned"


def matrix(state: State, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """Return one row a task and instance that has reported it."""
    wanted = sorted(state.tasks, key=task_order) if names is None else [name for name in names if name in state.tasks]
    return table(
        ["task", "instance", "role", "state"],
        (
            [copy.task, copy.instance, copy.role, "moving" if copy.instance in state.unreachable else copy.state]
            for name in wanted
            for copy in sorted(state.tasks[name], key=lambda copy: copy.instance)
        ),
    )


def standby_tasks(state: State) -> dict[str, list[str]]:
    """Return each instance's standby tasks, in their order. Not to be changed."""

    def make() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for copies in state.tasks.values():
            for copy in copies:
                if copy.role == "standby":
                    found.setdefault(copy.instance, []).append(copy.task)
        return {name: sorted(tasks, key=task_order) for name, tasks in found.items()}

    return state.made.of("standby tasks", (state.tasks,), make)


def tasks(state: State, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """Return one row a task (those of ``names``, by default all), also of those that nobody runs at the moment."""
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
    gone = _gone(state)
    return table(columns, (_task(state, task, gone) for task in (known_tasks(state) if names is None else names)))


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


class InputPlace(NamedTuple):
    """An input partition and the task that reads it; where several claim it, the one that counts."""

    topic: str
    partition: int
    task: TaskStatus
    input: Input


def input_places(state: State) -> list[InputPlace]:
    """Return every input partition that has been reported, by topic and partition. Not to be changed."""

    def make() -> list[InputPlace]:
        found = []
        for copies in state.tasks.values():
            active = [copy for copy in copies if copy.role == "active"]
            copy = store_shapes.owner(active, state.unreachable) or max(active, key=lambda each: each.at, default=None)
            if copy is not None:
                found += [InputPlace(each.topic, each.partition, copy, each) for each in copy.inputs]
        found.sort(key=lambda place: place[:2])
        return found

    return state.made.of("input places", (state.tasks, state.unreachable), make)


def input_items(state: State) -> list[Item]:
    """Return what input partitions can be chosen by, their verdict as their state. Not to be changed."""
    places = input_places(state)

    def make() -> list[Item]:
        lag = state.lag
        return [
            Item(f"{topic}/{number}", number, task.instance, lag.get(("input", topic, number), NOT_JUDGED)[0], each.lag)
            for topic, number, task, each in places
        ]

    return state.made.of("input items", (places, state.lag), make)


def input_lag(state: State, chosen: Iterable[int] | None = None) -> dict[str, list[Any]]:
    """Return one row an input partition (those at the ``chosen`` places of ``input_places``, by default all)."""
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
    places = input_places(state)
    found = []
    for topic, partition, copy, each in places if chosen is None else [places[place] for place in chosen]:
        verdict, reason, rate, eta, behind_ms, how = state.lag.get(("input", topic, partition), NOT_JUDGED)
        measured = [each.position, each.committed, each.begin, each.end, each.lag, behind_ms, how, each.rate_per_second]
        found.append([topic, partition, copy.task, copy.instance, *measured, rate, eta, verdict, reason])
    return table(columns, found)


class StorePlace(NamedTuple):
    """A copy of a store partition, and whether it is the one that serves."""

    store: str
    partition: int
    copy: StoreStatus
    serves: bool


def store_places(state: State) -> list[StorePlace]:
    """Return every copy of a store partition that has been reported, the serving one first. Not to be changed."""

    def make() -> list[StorePlace]:
        found = []
        for name in sorted(state.stores):
            for partition, copies in sorted(state.stores[name].items()):
                serving = store_shapes.primary(copies, state.unreachable)
                ordered = copies if len(copies) == 1 else sorted(copies, key=lambda each: (each is not serving, each.instance))  # fmt: skip
                found += [StorePlace(name, partition, copy, copy is serving) for copy in ordered]
        return found

    return state.made.of("store places", (state.stores, state.unreachable), make)


def _finding(state: State, place: StorePlace) -> LagRow:
    """Return what is known of how far behind its changelog a copy is."""
    if place.serves:
        return state.lag.get(("store", place.store, place.partition), NOT_JUDGED)
    return (*_beside(state, place.copy), None, None, None, None)


def store_items(state: State) -> list[Item]:
    """Return what copies of store partitions can be chosen by, their verdict as their state. Not to be changed."""
    places = store_places(state)

    def make() -> list[Item]:
        return [
            Item(f"{each.store}/{each.partition}", each.partition, each.copy.instance, _finding(state, each)[0], each.copy.lag)
            for each in places
        ]  # fmt: skip

    return state.made.of("store items", (places, state.lag), make)


def store_lag(state: State, chosen: Iterable[int] | None = None) -> dict[str, list[Any]]:
    """Return one row a copy of a store partition (those at the ``chosen`` places of ``store_places``, by default all): how far it is behind its changelog."""
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
    places = store_places(state)
    found = []
    for place in places if chosen is None else [places[number] for number in chosen]:
        name, partition, copy, _ = place
        verdict, reason, rate, eta, behind_ms, how = _finding(state, place)
        where = [name, partition, copy.task, copy.instance, copy.role, copy.position, copy.end, copy.lag]
        found.append([*where, behind_ms, how, rate, eta, verdict, reason])
    return table(columns, found)


def worst_first(items: Sequence[Item], places: Iterable[int]) -> list[int]:
    """Return the places by verdict, then by lag, the worst first."""
    return sorted(places, key=lambda place: (-SEVERITY[items[place].state], -(items[place].lag or 0)))


Lag = tuple[int, int | None]


def skew(kind: str, lags: Iterable[tuple[str, Iterable[Lag]]]) -> list[dict[str, Any]]:
    """Return, for each topic or store with its ``(partition, lag)``, how far its slowest partition is behind the middle one."""
    found = []
    for name, each in lags:
        known = sorted((lag, partition) for partition, lag in each if lag is not None)
        if known:
            lag, slowest = known[-1]
            middle = known[len(known) // 2][0]
            found.append({"kind": kind, "name": name, "slowest": slowest, "lag": lag, "median_lag": middle})
    return found


def furthest(kind: str, lags: Iterable[tuple[str, Iterable[Lag]]]) -> list[dict[str, Any]]:
    """Return, for each topic or store with its ``(partition, lag)``, the partitions that a chart shows, and of how many."""
    found = []
    for name, each in lags:
        known = list(each)
        drawn = heapq.nsmallest(LINES, known, key=lambda one: (-(one[1] or 0), one[0]))
        is_behind = any(lag for _, lag in drawn)
        found.append({"kind": kind, "name": name, "partitions": sorted(number for number, _ in drawn), "total": len(known), "is_behind": is_behind})  # fmt: skip
    return found


def input_lags(state: State) -> dict[str, list[Lag]]:
    """Return ``(partition, lag)`` by topic, in order. Not to be changed."""
    places = input_places(state)

    def make() -> dict[str, list[Lag]]:
        found: dict[str, list[Lag]] = {}
        for topic, partition, _, each in places:
            found.setdefault(topic, []).append((partition, each.lag))
        return found

    return state.made.of("input lags", (places,), make)


def store_lags(state: State, *, with_global: bool = False) -> dict[str, list[Lag]]:
    """Return ``(partition, lag)`` of active copies by store, in order; ``with_global`` also of global ones. Not to be changed."""
    places = store_places(state)

    def make() -> dict[str, list[Lag]]:
        found: dict[str, list[Lag]] = {}
        for name, partition, copy, _ in places:
            if copy.role == "active" or (with_global and copy.role == "global"):
                found.setdefault(name, []).append((partition, copy.lag))
        return found

    return state.made.of("store lags", (places,), make, about="and global" if with_global else "")
