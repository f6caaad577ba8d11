"""The tables of lag: one row an input partition, or a copy of a store partition. Pure functions of an application's state.

What a table can be chosen from (``…_items``, ``…_places``) is made once for each state; the rows are made for what was chosen.
"""

from __future__ import annotations

import heapq
import itertools
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from console.lag.verdicts import SEVERITY
from console.observe import copy_tables, store_shapes
from console.observe.board import NOT_JUDGED
from console.observe.choice import Item, Items
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

    def places(_task: str, copies: list[TaskStatus]) -> list[InputPlace]:
        active = [copy for copy in copies if copy.role == "active"]
        copy = store_shapes.owner(active, state.unreachable) or max(active, key=lambda each: each.at, default=None)
        return [InputPlace(each.topic, each.partition, copy, each) for each in copy.inputs] if copy is not None else []

    by_task = state.made.each("input places", (state.tasks,), places, parts=(state.unreachable,))
    return state.made.of("input places", (by_task,), lambda: _in_order(by_task.values()))


def _in_order(found: Iterable[list[Any]]) -> list[Any]:
    """Return the places of all lists by the topic or store and the partition."""
    return sorted(itertools.chain.from_iterable(found), key=itemgetter(0, 1))


def input_findings(state: State) -> list[LagRow]:
    """Return what was judged of each of ``input_places``. Not to be changed."""
    places, lag = input_places(state), state.lag

    def make() -> list[LagRow]:
        return [lag.get(("input", topic, partition), NOT_JUDGED) for topic, partition, _, _ in places]

    return state.made.of("input findings", (places, lag), make)


def input_items(state: State) -> Sequence[Item]:
    """Return what input partitions can be chosen by, their verdict as their state."""
    places, findings = input_places(state), input_findings(state)

    def make(place: int) -> Item:
        topic, number, task, each = places[place]
        return Item(f"{topic}/{number}", number, task.instance, findings[place][0], each.lag)

    return Items(len(places), make)


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
    places, findings = input_places(state), input_findings(state)
    found = []
    for place in range(len(places)) if chosen is None else chosen:
        topic, partition, copy, each = places[place]
        verdict, reason, rate, eta, behind_ms, how = findings[place]
        measured = [
            each.position,
            each.committed,
            each.begin,
            store_shapes.end_of(each),
            each.lag,
            behind_ms,
            how,
            each.rate_per_second,
        ]
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
    by_store = [_places_of(state, name) for name in sorted(state.stores)]
    return state.made.of("store places", tuple(by_store), lambda: list(itertools.chain.from_iterable(by_store)))


def _places_of(state: State, store: str) -> list[StorePlace]:
    def places(partition: int, copies: list[StoreStatus]) -> list[StorePlace]:
        serving = store_shapes.primary(copies, state.unreachable)
        return [StorePlace(store, partition, copy, copy is serving) for copy in copy_tables.in_order(copies, serving)]

    by_partition = state.made.each(
        "store places", (state.stores[store],), places, parts=(state.unreachable,), about=store
    )
    return state.made.of("store places", (by_partition,), lambda: _in_order(by_partition.values()), about=store)


def store_findings(state: State) -> list[LagRow]:
    """Return what is known of how far behind its changelog each of ``store_places`` is. Not to be changed."""
    places, lag = store_places(state), state.lag

    def make() -> list[LagRow]:
        return [
            lag.get(("store", store, partition), NOT_JUDGED)
            if serves
            else (*copy_tables.beside(state, copy), None, None, None, None)
            for store, partition, copy, serves in places
        ]

    return state.made.of("store findings", (places, lag), make)


def store_items(state: State) -> Sequence[Item]:
    """Return what copies of store partitions can be chosen by, their verdict as their state."""
    places, findings = store_places(state), store_findings(state)

    def make(place: int) -> Item:
        store, number, copy, _ = places[place]
        return Item(f"{store}/{number}", number, copy.instance, findings[place][0], copy.lag)

    return Items(len(places), make)


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
    places, findings = store_places(state), store_findings(state)
    found = []
    for place in range(len(places)) if chosen is None else chosen:
        name, partition, copy, _ = places[place]
        verdict, reason, rate, eta, behind_ms, how = findings[place]
        where = [
            name,
            partition,
            copy.task,
            copy.instance,
            copy.role,
            copy.position,
            store_shapes.end_of(copy),
            copy.lag,
        ]
        found.append([*where, behind_ms, how, rate, eta, verdict, reason])
    return table(columns, found)


def worst_inputs(state: State) -> list[int]:
    """Return the places of ``input_places`` by verdict, then by lag, the worst first. Not to be changed."""
    places, findings = input_places(state), input_findings(state)

    def make() -> list[int]:
        return _worst_first(findings, [each.lag for _, _, _, each in places], range(len(places)))

    return state.made.of("worst inputs", (places, findings), make)


_ROLES = {"changelogs": {"active", "global"}, "standbys": {"standby"}}


def worst_stores(state: State, what: Literal["changelogs", "standbys"]) -> list[int]:
    """Return the places of ``store_places`` in the roles that are meant, by verdict, then by lag, the worst first. Not to be changed."""
    places, findings = store_places(state), store_findings(state)

    def make() -> list[int]:
        roles = _ROLES[what]
        chosen = [place for place, (_, _, copy, _) in enumerate(places) if copy.role in roles]
        return _worst_first(findings, [copy.lag for _, _, copy, _ in places], chosen)

    return state.made.of("worst stores", (places, findings), make, about=what)


def _worst_first(findings: Sequence[LagRow], lags: Sequence[int | None], places: Iterable[int]) -> list[int]:
    """Sort places; only those in some trouble need it, and of ten thousand they are few."""
    trouble: list[int] = []
    calm: list[int] = []
    for place in places:
        (trouble if lags[place] or SEVERITY[findings[place][0]] else calm).append(place)
    trouble.sort(key=lambda place: (-SEVERITY[findings[place][0]], -(lags[place] or 0)))
    return trouble + calm


Lag = tuple[int, int | None]


def skew(kind: str, lags: Iterable[tuple[str, Iterable[Lag]]]) -> list[dict[str, Any]]:
    """Return, for each topic or store with its ``(partition, lag)``, how far its slowest partition is behind the middle one."""
    found = []
    for name, each in lags:
        known = [(lag, partition) for partition, lag in each if lag is not None]
        if known:
            lag, slowest = max(known)
            middle = sorted([lag for lag, _ in known])[len(known) // 2]
            found.append({"kind": kind, "name": name, "slowest": slowest, "lag": lag, "median_lag": middle})
    return found


def furthest(kind: str, lags: Iterable[tuple[str, Iterable[Lag]]]) -> list[dict[str, Any]]:
    """Return, for each topic or store with its ``(partition, lag)``, the partitions that a chart shows, and of how many."""
    found = []
    for name, each in lags:
        known = list(each)
        waiting = [one for one in known if one[1]]
        drawn = heapq.nsmallest(LINES, waiting, key=lambda one: (-(one[1] or 0), one[0]))
        if len(drawn) < LINES:
            drawn += heapq.nsmallest(LINES - len(drawn), [one for one in known if not one[1]], key=itemgetter(0))
        found.append({"kind": kind, "name": name, "partitions": sorted(number for number, _ in drawn), "total": len(known), "is_behind": bool(waiting)})  # fmt: skip
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
