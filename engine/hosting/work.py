"""What an instance's loop spends its time on, by sub-topology and node. Called on the reporter's thread.

The loop counts records by batch and time by turn of a task; sums and rates are made here, twice a second.
"""

from collections.abc import Callable, Iterable
from typing import Any

from engine.control import status
from engine.runtime.active_task import ActiveTask

# With longer lists an instance's record would not fit a status record; the sub-topologies stay.
NODES_MAX = 300
NODE_NAME_MAX = 150


def share(busy_ms_per_second: float | None) -> float | None:
    """A share of 0 to 1 from milliseconds per second."""
    return None if busy_ms_per_second is None else round(min(busy_ms_per_second / 1000, 1.0), 3)


def of_tasks(
    tasks: Iterable[ActiveTask], rate: Callable[[Any, float, float], float | None], now: float
) -> list[status.Work]:
    """One entry for each sub-topology that the instance has tasks of."""
    by_sub: dict[int, list[ActiveTask]] = {}
    for task in tasks:
        by_sub.setdefault(task.sub_topology, []).append(task)
    named = sum(len(found[0].plan.steps) for found in by_sub.values()) <= NODES_MAX
    return [_of(sub, found, rate, now, named=named) for sub, found in sorted(by_sub.items())]


def _of(
    sub: int, tasks: list[ActiveTask], rate: Callable[[Any, float, float], float | None], now: float, *, named: bool
) -> status.Work:
    queues = [queue for task in tasks for queue in list(task.inputs.by_place.values())]
    nodes = {}
    for place, step in enumerate(tasks[0].plan.steps) if named else ():
        per_second = rate(("node", sub, place), sum(task.node_counts[place] for task in tasks), now)
        if per_second is not None and len(step.node.name) <= NODE_NAME_MAX:
            nodes[step.node.name] = per_second
    return status.Work(
        sub_topology=sub,
        busy_ratio=share(rate(("busy", sub), 1000 * sum(task.busy_seconds for task in tasks), now)),
        waiting=sum(queue.waiting for queue in queues),
        paused=sum(queue.paused for queue in queues),
        nodes=nodes,
    )
