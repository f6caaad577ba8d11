"""How a store partition is described: which copy counts, how far its restore is, and the strip. Pure functions."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from console.lag import verdicts
from console.observe.board import CAUGHT_UP
from console.observe.choice import Item, Items

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from console.observe.board import LagRow, State
    from engine.control.status import Input, StoreStatus, TaskStatus

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
    return None if not found or None in found else sum(found)  # type: ignore[arg-type]


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


def end_of(record: Input | StoreStatus) -> int | None:
    """Return the end as far as it is known: it is looked at less often than records are read, and these were there."""
    if record.end is None or record.position is None:
        return record.end
    return max(record.end, record.position)


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
        return "stalled" if (record.store, record.partition) in _stalled(state) else "restoring"
    return "running" if record.phase == "done" else record.phase


def all_partitions(state: State, store: str) -> dict[int, list[StoreStatus]]:
    """Return the copies of each partition, in order, also of those that nobody has at the moment. Not to be changed."""
    reported = state.stores.get(store, _NONE)

    def make() -> dict[int, list[StoreStatus]]:
        numbers = sorted(expected_partitions(state, store) | reported.keys())
        return {number: reported.get(number, _NOBODY) for number in numbers}

    return state.made.of("partitions", (reported, state.topology, state.owners), make, about=store)


# What stands for a store, or a partition, that nobody has reported: one object, so that it is the same each time.
_NONE: dict[int, list[StoreStatus]] = {}
_NOBODY: list[Any] = []


def task_copies(state: State, names: Iterable[str]) -> dict[str, list[TaskStatus]]:
    """Return the copies of each of these tasks, in their order, also of those that nobody has at the moment. Not to be changed."""
    return {name: state.tasks.get(name, _NOBODY) for name in names}


def readings(state: State) -> list[tuple[TaskStatus, Input]]:
    """Return every active copy of a task with each input partition that it reads. Not to be changed."""

    def read(_task: str, copies: list[TaskStatus]) -> list[tuple[TaskStatus, Input]]:
        return [(copy, each) for copy in copies if copy.role == "active" for each in copy.inputs]

    by_task = state.made.each("readings", (state.tasks,), read)
    return state.made.of("readings", (by_task,), lambda: list(itertools.chain.from_iterable(by_task.values())))


def expected_partitions(state: State, store: str) -> set[int]:
    """Return the partitions that the topology, or what was seen before, says there are. Not to be changed."""
    return state.made.of(
        "expected", (state.topology, state.owners), lambda: _expected_partitions(state, store), about=store
    )


def _expected_partitions(state: State, store: str) -> set[int]:
    described = description(state, store)
    if described is None:
        return set()
    sub = described.get("sub_topology")
    count = next((each.get("partitions") for each in sub_topologies(state) if each.get("id") == sub), None)
    expected = set(range(count)) if isinstance(count, int) and 0 < count <= _PARTITIONS_MAX else set()
    prefix = f"{sub}_"
    return expected | {int(task[len(prefix) :]) for task in state.owners if task.startswith(prefix)}


def serving(state: State, store: str) -> dict[int, StoreStatus | None]:
    """Return the copy of each partition that serves, in order. Not to be changed."""
    partitions = all_partitions(state, store)
    silent = state.unreachable

    def make(_partition: int, copies: list[StoreStatus]) -> StoreStatus | None:
        return primary(copies, silent)

    return state.made.each("serving", (partitions,), make, parts=(silent,), about=store)


def instance_names(state: State) -> tuple[str, ...]:
    """Return the instances by name."""
    return state.made.of("names", (state.instances,), lambda: tuple(sorted(state.instances)), settle=True)


def behind(state: State) -> dict[tuple[str, str, int], LagRow]:
    """Return the judged places that are not simply caught up, in order: few, as a rule."""
    lag = state.lag

    def make() -> dict[tuple[str, str, int], LagRow]:
        return {place: lag[place] for place in sorted([place for place, row in lag.items() if row is not CAUGHT_UP])}

    return state.made.of("behind", (lag,), make)


def judged(state: State) -> Mapping[tuple[str, str], int]:
    """Return how many partitions of each ``(kind, topic or store)`` have been judged."""
    return state.made.of("judged", (state.lag,), lambda: Counter((kind, name) for kind, name, _ in state.lag))


def _stalled(state: State) -> frozenset[tuple[str, int]]:
    """Return the store partitions that stand still."""

    def make() -> frozenset[tuple[str, int]]:
        found = behind(state).items()
        return frozenset((name, number) for (kind, name, number), row in found if kind == "store" and row[0] == "STALL")

    return state.made.of("stalled", (state.lag,), make, settle=True)


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
    """Return a store in short: what the overview shows of it. Callers must not change it."""
    chosen, cells = serving(state, store), _cells(state, store)
    strip = state.made.of("strip", (cells, instance_names(state)), lambda: _strip(state, cells), about=store)
    return state.made.of("summary", (chosen, strip), lambda: _summary(state, store, chosen, strip), about=store)


def _summary(state: State, store: str, chosen: dict[int, StoreStatus | None], strip: dict[str, Any]) -> dict[str, Any]:
    described = description(state, store) or {}
    known = [record for record in chosen.values() if record is not None]
    first = known[0] if known else None
    is_whole = bool(chosen) and len(known) == len(chosen)
    states = Counter([cell[3] for cell in strip["cells"]])
    restoring = [
        record
        for cell in strip["cells"]
        if cell[3] in {"restoring", "queued", "stalled"} and (record := chosen[cell[0]]) is not None
    ]
    slots = [found for record in restoring if (found := _slots(record)) is not None]
    whole = sum(size for _, size in slots)
    return {
        "name": store,
        "kind": first.store_kind if first else described.get("kind"),
        "backend": first.backend if first else described.get("backend"),
        "keys_estimate": total([record.keys_estimate for record in known]) if is_whole else None,
        "bytes": total([record.bytes for record in known]) if is_whole else None,
        "lag": total([record.lag for record in known]) if is_whole else None,
        "partitions": len(chosen),
        "states": dict(states.most_common()),
        "restoring": len(restoring),
        "percent": round(100 * sum(max(done, 0) for done, _ in slots) / whole, 1)
        if whole and len(slots) == len(restoring)
        else None,
        "eta": verdicts.slowest(restore_eta(record) for record in restoring) if restoring else 0.0,
        "strip": strip,
    }


def _strip(state: State, cells: dict[int, list[Any]]) -> dict[str, Any]:
    return {"instances": list(instance_names(state)), "cells": list(cells.values())}


def _cells(state: State, store: str) -> dict[int, list[Any]]:
    """Return the strip's cells by partition: ``[partition, index of the owner, fill, state, standbys]``. Not to be changed."""
    names = instance_names(state)
    index = {name: place for place, name in enumerate(names)}

    def make(partition: int, copies: list[StoreStatus], record: StoreStatus | None) -> list[Any]:
        what = partition_state(record, state)
        standbys = sum([copy.role == "standby" for copy in copies]) if len(copies) > 1 or record is None else 0
        place = None if record is None or what == "moving" else index.get(record.instance)
        return [partition, place, percent(record) if record else None, what, standbys]

    sources = (all_partitions(state, store), serving(state, store))
    return state.made.each("cells", sources, make, parts=(names, _stalled(state), state.unreachable), about=store)


def bounded(state: State, store: str) -> dict[str, Any]:
    """Return ``summary`` with a strip of many cells packed. Callers must not change it."""
    short = summary(state, store)
    strip = state.made.of("packed", (short["strip"],), lambda: pack(short["strip"]), about=store)
    return short | {"strip": strip}


# Above this a strip is a map: a row of cells would be taller than what it explains.
CELLS_MAX = 200
# One character a cell chooses among 64 kinds of cell; these need no escape in HTML, JSON or a URL.
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def pack(strip: dict[str, Any]) -> dict[str, Any]:
    """Return a strip of many cells in short; one of few as it is.

    ``{"instances", "count", "digits", "kinds": [[owner, fill, state, standbys, how many], …], "packed": text, "numbers": [partitions] | None}``:
    ``packed`` has ``digits`` characters a cell, the index of its kind, the highest digit first; ``numbers`` is None when the
    partitions are 0, 1, 2 … as they are unless some are not known. Fills are whole percents, rounded down: 100 is 100.
    """
    cells = strip["cells"]
    if len(cells) <= CELLS_MAX:
        return strip
    kinds: dict[tuple[int | None, int | None, str, int], int] = {}
    found = [
        kinds.setdefault((owner, None if fill is None else int(fill), state, standbys), len(kinds))
        for _, owner, fill, state, standbys in cells
    ]
    counts = Counter(found)
    digits = 1 if len(kinds) <= 64 else 2 if len(kinds) <= 64**2 else 3  # noqa: PLR2004 - what so many digits can say
    words = [
        "".join(_DIGITS[kind >> 6 * place & 63] for place in reversed(range(digits))) for kind in range(len(kinds))
    ]
    numbers = [cell[0] for cell in cells]
    return {
        "instances": strip["instances"],
        "count": len(cells),
        "digits": digits,
        "kinds": [[*kind, counts[index]] for kind, index in kinds.items()],
        "packed": "".join([words[kind] for kind in found]),
        "numbers": None if numbers == list(range(len(cells))) else numbers,
    }


def items(state: State, store: str) -> Sequence[Item]:
    """Return what partitions can be chosen by (``console.observe.choice``), in their order."""
    chosen, cells = serving(state, store), summary(state, store)["strip"]["cells"]

    def make(place: int) -> Item:
        number, _, _, what, _ = cells[place]
        record = chosen[number]
        if record is None:
            return Item(str(number), number, None, what)
        return Item(str(number), number, record.instance, what, record.lag, record.bytes)

    return Items(len(cells), make)


def _slots(record: StoreStatus) -> tuple[int, int] | None:
    """Return how many offsets the restore has passed, and of how many."""
    if record.start is None or record.position is None or record.snapshot_end is None:
        return None
    return record.position - record.start, record.snapshot_end - record.start
