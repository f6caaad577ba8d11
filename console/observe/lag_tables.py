"""The tables of lag: one row an input partition, or a copy of a store partition. Pure functions of an application's state.

What a table can be chosen from (``…_items``, ``…_places``) is made once for each state; the rows are made for what was chosen.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

from console.lag.verdicts import SEVERITY
from console.observe import copy_tables, store_shapes
from console.observe.board import NOT_JUDGED
from console.observe.choice import Item
from console.observe.store_shapes import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from console.observe.board import LagRow, State
    from engine.control.status import Input, StoreStatus, TaskStatus


# More lines than this can not be told apart in a chart; of a wider topic the partitions that are furthest behind are drawn.
LINES = 12


def time_lag(state: State, each: Input) -> int | None:
    """Return how far behind in time an input partition is, as the observer measured it."""
    return state.lag.get(("input", each.topic, each.partition), NOT_JUDGED)[4]


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
                found += [
                    StorePlace(name, partition, copy, copy is serving) for copy in copy_tables.in_order(copies, serving)
                ]
        return found

    return state.made.of("store places", (state.stores, state.unreachable), make)


def _finding(state: State, place: StorePlace) -> LagRow:
    """Return what is known of how far behind its changelog a copy is."""
    if place.serves:
        return state.lag.get(("store", place.store, place.partition), NOT_JUDGED)
    return (*copy_tables.beside(state, place.copy), None, None, None, None)


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
