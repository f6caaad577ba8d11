"""The tables of tasks: one row a task, or a task and the instance that reported it. Pure functions of an application's state.

What a table can be chosen from is made once for each state; the rows are made for what was chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.observe import lag_tables, store_shapes
from console.observe.choice import Item
from console.observe.store_shapes import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.observe.board import State
    from engine.control.status import TaskStatus


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
    names, gone = known_tasks(state), _gone(state)

    def make(name: str, copies: list[TaskStatus]) -> Item:
        owner = store_shapes.owner(copies, state.unreachable)
        number = (task_order(name) or (0,))[-1]
        return Item(name, number, owner.instance if owner else state.owners.get(name), owner.state if owner else gone)

    copies = state.made.of("known copies", (names, state.tasks), lambda: store_shapes.task_copies(state, names))
    made = state.made.each("task items", (copies,), make, parts=(names, state.owners, state.unreachable, gone))
    return state.made.of("task items", (made,), lambda: list(made.values()))


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
    times = [behind for each in last.inputs if (behind := lag_tables.time_lag(state, each)) is not None] if last else []
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
