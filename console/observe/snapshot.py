"""Snapshots: the dictionaries that pages, sockets and the API are made of. Their shapes are in docs/snapshots.md.

Synchronous, read-only, callable from any thread; live values come from the board (Redis), history from the database.
Whoever draws or sends them gives a ``Choice``: tables then hold the chosen rows, and strips of many cells are packed.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from console.lag import history, verdicts
from console.models import Application
from console.observe import choice as choices
from console.observe import copy_tables, flow, lag_tables, problems, recorded, store_shapes, task_tables
from console.observe.board import CAUGHT_UP, State, reader
from console.observe.store_shapes import rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from console.observe.board import Board
    from console.observe.choice import Choice
    from engine.control.status import InstanceStatus, StoreStatus

Snapshot = dict[str, Any]
__all__ = [
    "application",
    "exists",
    "job",
    "jobs",
    "lag",
    "lag_history",
    "overview",
    "rail",
    "restores",
    "rows",
    "store",
    "tasks",
]

# What a store's page shows of a diff; the diff has a page of its own.
_ROWS_SHOWN = 20
_RUNNING_JOBS = ("queued", "running", "cancelling")


def overview(*, bounded: bool = False) -> Snapshot:
    """Return all applications in short; ``bounded``: strips of many cells are packed."""
    board = reader.read()
    stale = board.observer["stale"]
    applications = []
    wrong: list[dict[str, Any]] = []
    for state in board.applications.values():
        found = problems.of_application(state)
        wrong += found
        applications.append(_card(state, problems.verdict(state, found, stale=stale), stale=stale, bounded=bounded))
    return _snapshot(
        board,
        totals={
            "applications": len(applications),
            "stores": sum(len(each["stores"]) for each in applications),
            "partitions": sum(each["partitions"] for each in applications),
            "instances": sum(each["instances"]["total"] for each in applications),
            "unreachable": sum(each["instances"]["unreachable"] for each in applications),
            "restoring": sum(store["restoring"] for each in applications for store in each["stores"]),
            "jobs_running": recorded.count_jobs("running", "cancelling"),
        },
        problems=sorted(wrong, key=lambda problem: -verdicts.SEVERITY[problem["status"]]),
        applications=applications,
    )


def rail() -> Snapshot:
    """Return the applications with their verdicts and no more: what every page shows."""
    board = reader.read()
    stale = board.observer["stale"]
    return _snapshot(
        board,
        applications=[
            {"id": state.id, "verdict": problems.verdict(state, problems.of_application(state), stale=stale)}
            for state in board.applications.values()
        ],
    )


def exists(app: str, store: str | None = None) -> bool:
    """Say whether there is such an application, or store, to make a snapshot of."""
    board = reader.read()
    if store is None:
        return _state(board, app) is not None
    state = board.applications.get(app)
    return state is not None and store in store_shapes.store_names(state)


def application(app: str, choice: Choice | None = None) -> Snapshot | None:
    """Return one application: instances, tasks, stores, topology and what happened."""
    board = reader.read()
    state = _state(board, app)
    if state is None:
        return None
    stale = board.observer["stale"]
    found = problems.of_application(state)
    seen = Application.objects.filter(id=app).first()
    items = task_tables.task_items(state)
    chosen = choices.pick(items, choice)
    names = None if choice is None else [items[place].name for place in chosen.places]
    return _snapshot(
        board,
        id=app,
        first_seen=int(seen.first_seen.timestamp() * 1000) if seen else None,
        verdict=problems.verdict(state, found, stale=stale),
        problems=found,
        lag=_lag_total(state),
        rates=_rates(state),
        instances=[_instance(state, record, stale=stale) for _, record in sorted(state.instances.items())],
        tasks=task_tables.tasks(state, names),
        task_states=state.made.of("task states", (items,), lambda: _counts(each.state for each in items)),
        matrix=task_tables.matrix(state, names),
        chosen=chosen.as_facts(),
        stores=_stores(state, bounded=choice is not None),
        topology={"hash": state.topology.hash, "description": state.topology.description} if state.topology else None,
        flow=flow.of(state),
        topology_hashes=sorted({record.topology_hash for record in state.instances.values()}),
        rebalances=recorded.events(app, event="rebalance"),
        events=recorded.events(app),
        ownership=recorded.ownership(app),
    )


def tasks(app: str, choice: Choice, first: Collection[str] = ()) -> Snapshot | None:
    """Return the chosen tasks and no more, those of ``first`` before the others."""
    board = reader.read()
    state = _state(board, app)
    if state is None:
        return None
    items = task_tables.task_items(state)
    if first:
        items = sorted(items, key=lambda each: each.name not in first)
    chosen = choices.pick(items, choice)
    return _snapshot(
        board,
        id=app,
        instances=list(store_shapes.instance_names(state)),
        tasks=task_tables.tasks(state, [items[place].name for place in chosen.places]),
        chosen=chosen.as_facts(),
    )


def store(app: str, store: str, choice: Choice | None = None) -> Snapshot | None:
    """Return one store with each copy of each of its partitions, or of those chosen."""
    board = reader.read()
    state = board.applications.get(app)
    if state is None or store not in store_shapes.store_names(state):
        return None
    described = store_shapes.description(state, store) or {}
    short = store_shapes.summary(state, store) if choice is None else store_shapes.bounded(state, store)
    items = store_shapes.items(state, store)
    chosen = choices.pick(items, choice)
    numbers = None if choice is None else [items[place].number for place in chosen.places]
    return _snapshot(
        board,
        **short,
        application=app,
        store=store,
        verdict=_store_verdict(state, short, stale=board.observer["stale"]),
        **{
            key: described.get(key)
            for key in ("key_serde", "value_serde", "changelog", "caching", "window_ms", "retention_ms", "sub_topology")
        },
        positions=copy_tables.positions(state, store, numbers),
        holders=_holders(state, store),
        chosen=chosen.as_facts(),
        jobs=recorded.jobs(app, store=store, in_states=_RUNNING_JOBS),
        restores=recorded.restores(app, store=store, limit=20),
    )


def _store_verdict(state: State, short: dict[str, Any], *, stale: bool) -> dict[str, str]:
    if stale:
        return {"status": "UNKNOWN", "reason": "Not observed at the moment: what is shown is the last that was known."}
    name = short["name"]
    findings = [
        (row[0], f"{partition}: {row[1]}")
        for (kind, store, partition), row in store_shapes.behind(state).items()
        if (kind, store) == ("store", name)
    ]
    if store_shapes.judged(state).get(("store", name), 0) > len(findings):
        findings.append(("OK", ""))
    if "moving" in short["states"]:
        findings.append(("WARN", "Some partitions are moving to another instance."))
    verdict = verdicts.worst(findings)
    return {"status": "OK", "reason": "All partitions keep up."} if verdict["status"] == "OK" else verdict


def _holders(state: State, store: str) -> list[str]:
    """Return the instances that have a copy of the store, by name."""
    partitions = store_shapes.all_partitions(state, store)
    return state.made.of(
        "holders",
        (partitions,),
        lambda: sorted({copy.instance for copies in partitions.values() for copy in copies}),
        about=store,
    )


def restores(app: str | None = None, choice: Choice | None = None) -> Snapshot:
    """Return running restores (live), all or those chosen, and ended ones (recorded)."""
    board = reader.read()
    running = [
        (state, record)
        for state in board.applications.values()
        if app in {None, state.id}
        for partitions in state.stores.values()
        for copies in partitions.values()
        for record in copies
        if record.phase != "done" and record.instance not in state.unreachable
    ]
    running.sort(key=lambda each: (each[0].id, each[1].store, each[1].partition, each[1].instance))
    chosen = choices.pick(choices.Items(len(running), lambda place: _restore_item(running[place][1])), choice)
    return _snapshot(
        board,
        running=recorded.with_ids([copy_tables.running_restore(*running[place]) for place in chosen.places]),
        chosen=chosen.as_facts(),
        slowest=_slowest([record for _, record in running]),
        history=[each for each in recorded.restores(app, limit=100) if each["outcome"] != "running"],
        jobs=recorded.jobs(app, kind="rebuild", in_states=_RUNNING_JOBS),
    )


def _restore_item(record: StoreStatus) -> choices.Item:
    return choices.Item(f"{record.store}/{record.partition}", record.partition, record.instance, record.phase)


def _slowest(running: list[StoreStatus]) -> dict[str, Any] | None:
    """Return the restore that decides when all are done: one that never ends, else the one with the most time left."""
    if len(running) < 2:  # noqa: PLR2004 - a single one decides by itself
        return None
    left = [(store_shapes.restore_eta(record), record) for record in running]
    never = next((record for eta, record in left if eta == "never"), None)
    timed = [(eta, record) for eta, record in left if isinstance(eta, int | float)]
    found = never or max(timed, key=lambda each: each[0], default=(None, None))[1]
    if found is None:
        return None
    return {"store": found.store, "partition": found.partition, "eta": store_shapes.restore_eta(found)}


def lag(app: str, choice: Choice | None = None, pages: Mapping[str, int] | None = None) -> Snapshot | None:
    """Return the lag of each input and store partition, or of those chosen, the worst first.

    There are three tables to choose from, ``inputs``, ``changelogs`` and ``standbys``; ``pages`` says which page of each.
    """
    board = reader.read()
    state = _state(board, app)
    if state is None:
        return None
    found = problems.of_application(state)
    inputs, stores = lag_tables.input_lags(state), lag_tables.store_lags(state)
    names: tuple[Literal["inputs", "changelogs", "standbys"], ...] = ("inputs", "changelogs", "standbys")
    chosen = {name: _worst(state, name, choice and replace(choice, page=(pages or {}).get(name, 0))) for name in names}
    in_stores = chosen["changelogs"].places + chosen["standbys"].places
    return _snapshot(
        board,
        id=app,
        verdict=problems.verdict(state, found, stale=board.observer["stale"]),
        problems=found,
        lag=_lag_total(state),
        inputs=lag_tables.input_lag(state, chosen["inputs"].places if choice else None),
        stores=lag_tables.store_lag(state, in_stores if choice else None),
        chosen={name: each.as_facts() for name, each in chosen.items()},
        skew=state.made.of("skew", (inputs, stores), lambda: _skew(state)),
        furthest=state.made.of(
            "furthest",
            (inputs, stores),
            lambda: lag_tables.furthest("input", inputs.items()) + lag_tables.furthest("store", stores.items()),
        ),
    )


def _skew(state: State) -> list[dict[str, Any]]:
    stores = lag_tables.store_lags(state, with_global=True)
    return lag_tables.skew("input", lag_tables.input_lags(state).items()) + lag_tables.skew("store", stores.items())


def _worst(state: State, what: Literal["inputs", "changelogs", "standbys"], choice: Choice | None) -> choices.Chosen:
    """Choose among the partitions of one of the lag's tables, the worst first."""
    if what == "inputs":
        items, places = lag_tables.input_items(state), lag_tables.worst_inputs(state)
    else:
        items, places = lag_tables.store_items(state), lag_tables.worst_stores(state, what)
    chosen = choices.pick(choices.Items(len(places), lambda place: items[places[place]]), choice)
    return replace(chosen, places=[places[place] for place in chosen.places])


def lag_history(
    app: str,
    kind: str,
    name: str,
    since_ms: int,
    until_ms: int,
    points: int = 300,
    partitions: Sequence[int] | None = None,
) -> Snapshot:
    """Return the recorded lag of a topic (``kind="input"``) or store (``"store"``) as columns for a chart."""
    return history.read(app, kind, name, since_ms, until_ms, points, partitions)


def jobs(app: str | None = None) -> Snapshot:
    """Return the newest jobs."""
    return _snapshot(reader.read(), jobs=recorded.jobs(app), counts=recorded.job_counts(app))


def job(job_id: str) -> Snapshot | None:
    """Return one job."""
    found = recorded.job(job_id)
    return None if found is None else _snapshot(reader.read(), **found)


def verifications(app: str, store: str) -> dict[str, Any]:
    """Return a store's newest verify that has succeeded, its first rows, and the newest of all: it may have failed."""
    newest = recorded.jobs(app, store=store, kind="verify", limit=1)
    latest = recorded.latest_ended(app, store, "verify")
    rows = recorded.differences(latest["id"], limit=_ROWS_SHOWN) if latest else []
    return {"latest": latest, "rows": rows, "newest": newest[0] if newest else None}


def _snapshot(board: Board, **data: Any) -> Snapshot:
    return {"at": time.time_ns() // 1_000_000, "observer": board.observer, **data}


def _state(board: Board, app: str) -> State | None:
    """Return the application's state; an empty one where only history knows it (it ended, or Redis is away)."""
    known = board.applications.get(app)
    if known is not None:
        return known
    return State(app) if Application.objects.filter(id=app).exists() else None


def _stores(state: State, *, bounded: bool) -> list[dict[str, Any]]:
    short = store_shapes.bounded if bounded else store_shapes.summary
    return [short(state, store) for store in store_shapes.store_names(state)]


def _counts(states: Iterable[str]) -> dict[str, int]:
    """Return how many are in each state, most first."""
    return dict(Counter(states).most_common())


def _card(state: State, verdict: dict[str, str], *, stale: bool, bounded: bool) -> dict[str, Any]:
    stores = _stores(state, bounded=bounded)
    running = [record for name, record in state.instances.items() if name not in state.unreachable]
    return {
        "id": state.id,
        "verdict": verdict,
        "verdicts": [
            {"instance": name} | problems.instance_verdict(state, record, stale=stale)
            for name, record in sorted(state.instances.items())
        ],
        "instances": {
            "total": len(state.instances),
            "running": sum(record.state == "running" for record in running),
            "unreachable": len(state.instances) - len(running),
        },
        "tasks": len(task_tables.known_tasks(state)),
        "partitions": sum(store["partitions"] for store in stores),
        "rates": _rates(state),
        "lag": _lag_total(state),
        "pressure": [
            {"instance": record.instance, **msgspec.to_builtins(each)} for record in running for each in record.pressure
        ],
        "stores": stores,
    }


def _rates(state: State) -> dict[str, Any]:
    running = [record.rates for name, record in state.instances.items() if name not in state.unreachable]
    return {
        "in_per_second": round(sum(rates.in_per_second for rates in running), 1) if running else None,
        "commit_ms_p99": max(
            (rates.commit_ms_p99 for rates in running if rates.commit_ms_p99 is not None), default=None
        ),
        "busy_ratio": max((rates.busy_ratio for rates in running if rates.busy_ratio is not None), default=None),
        "history": state.rates,
    }


def _lag_total(state: State) -> dict[str, Any]:
    """Return the application's input lag: the sum, how fast it changes, and when the slowest partition is done."""
    readings = store_shapes.readings(state)
    return state.made.of("lag total", (readings, state.lag), lambda: _make_lag_total(state))


def _make_lag_total(state: State) -> dict[str, Any]:
    inputs = [each.lag for _, each in store_shapes.readings(state)]
    late = [row for (kind, _, _), row in store_shapes.behind(state).items() if kind == "input"]
    # What is caught up neither changes nor waits; so many rows alike count as one.
    judged = sum(count for (kind, _), count in store_shapes.judged(state).items() if kind == "input")
    findings = [*late, CAUGHT_UP] if judged > len(late) else late
    known_rates = [row[2] for row in findings if row[2] is not None]
    times = [(row[4], row[5]) for row in findings if row[4] is not None]
    longest = max(times, default=(None, None))
    return {
        "total": store_shapes.total(inputs),
        "rate_per_second": round(sum(known_rates), 1) if known_rates else None,
        "eta": verdicts.slowest(row[3] for row in findings),  # type: ignore[misc]
        # One unknown part may be longer than the longest known one.
        "lag_ms": longest[0] if len(times) == len(findings) else None,
        "lag_ms_how": longest[1] if len(times) == len(findings) else None,
    }


def _instance(state: State, record: InstanceStatus, *, stale: bool) -> dict[str, Any]:
    silent = state.unreachable.get(record.instance)
    found: dict[str, Any] = msgspec.to_builtins(record)
    for key in ("kind", "v", "application", "sequence"):
        found.pop(key, None)
    return {
        **found,
        "name": record.instance,
        "state": "unreachable" if silent else record.state,
        "reason": silent["reason"] if silent else record.reason,
        "unreachable_since": silent["since"] if silent else None,
        "age_ms": max(time.time_ns() // 1_000_000 - record.at, 0),
        "verdict": problems.instance_verdict(state, record, stale=stale),
        "standby_tasks": task_tables.standby_tasks(state).get(record.instance, []),
    }
