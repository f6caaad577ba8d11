"""Snapshots: the dictionaries that pages, sockets and the API are made of. Their shapes are in docs/snapshots.md.

Synchronous, read-only, callable from any thread; live values come from the board (Redis), history from the database.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from console.lag import history, verdicts
from console.models import Application
from console.observe import flow, problems, recorded, store_shapes, tables
from console.observe.board import State, reader
from console.observe.store_shapes import rows, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.observe.board import Board
    from engine.control.status import InstanceStatus

Snapshot = dict[str, Any]
__all__ = ["application", "job", "jobs", "lag", "lag_history", "overview", "restores", "rows", "store"]

# What a store's page shows of a diff; the diff has a page of its own.
_ROWS_SHOWN = 20
_RUNNING_JOBS = ("queued", "running", "cancelling")


def overview() -> Snapshot:
    """Return all applications in short."""
    board = reader.read()
    stale = board.observer["stale"]
    applications = []
    wrong: list[dict[str, Any]] = []
    for state in board.applications.values():
        found = problems.of_application(state)
        wrong += found
        applications.append(_card(state, problems.verdict(state, found, stale=stale), stale=stale))
    running = recorded.count_jobs("running") + recorded.count_jobs("cancelling")
    return _snapshot(
        board,
        totals={
            "applications": len(applications),
            "stores": sum(len(each["stores"]) for each in applications),
            "partitions": sum(each["partitions"] for each in applications),
            "instances": sum(each["instances"]["total"] for each in applications),
            "unreachable": sum(each["instances"]["unreachable"] for each in applications),
            "restoring": sum(store["restoring"] for each in applications for store in each["stores"]),
            "jobs_running": running,
        },
        problems=sorted(wrong, key=lambda problem: -verdicts.SEVERITY[problem["status"]]),
        applications=applications,
    )


def application(app: str) -> Snapshot | None:
    """Return one application: instances, tasks, stores, topology and what happened."""
    board = reader.read()
    state = _state(board, app)
    if state is None:
        return None
    stale = board.observer["stale"]
    found = problems.of_application(state)
    seen = Application.objects.filter(id=app).first()
    return _snapshot(
        board,
        id=app,
        first_seen=int(seen.first_seen.timestamp() * 1000) if seen else None,
        verdict=problems.verdict(state, found, stale=stale),
        problems=found,
        lag=_lag_total(state),
        rates=_rates(state),
        instances=[_instance(state, record, stale=stale) for _, record in sorted(state.instances.items())],
        tasks=tables.tasks(state),
        matrix=table(
            ["task", "instance", "role", "state"],
            (
                [copy.task, copy.instance, copy.role, "moving" if copy.instance in state.unreachable else copy.state]
                for _, copies in sorted(state.tasks.items(), key=lambda each: tables.task_order(each[0]))
                for copy in sorted(copies, key=lambda copy: copy.instance)
            ),
        ),
        stores=[store_shapes.summary(state, store) for store in store_shapes.store_names(state)],
        topology={"hash": state.topology.hash, "description": state.topology.description} if state.topology else None,
        flow=flow.of(state),
        topology_hashes=sorted({record.topology_hash for record in state.instances.values()}),
        rebalances=recorded.events(app, event="rebalance"),
        events=recorded.events(app),
        ownership=recorded.ownership(app),
    )


def store(app: str, store: str) -> Snapshot | None:
    """Return one store with each copy of each of its partitions."""
    board = reader.read()
    state = board.applications.get(app)
    if state is None or store not in store_shapes.store_names(state):
        return None
    described = store_shapes.description(state, store) or {}
    short = store_shapes.summary(state, store)
    findings = [
        (row[0], f"{partition}: {row[1]}")
        for (kind, name, partition), row in state.lag.items()
        if (kind, name) == ("store", store)
    ]
    if any(cell[3] == "moving" for cell in short["strip"]["cells"]):
        findings.append(("WARN", "Some partitions are moving to another instance."))
    verdict = verdicts.worst(findings)
    if board.observer["stale"]:
        verdict = {
            "status": "UNKNOWN",
            "reason": "Not observed at the moment: what is shown is the last that was known.",
        }
    elif verdict["status"] == "OK":
        verdict["reason"] = "All partitions keep up."
    return _snapshot(
        board,
        **short,
        application=app,
        store=store,
        verdict=verdict,
        **{
            key: described.get(key)
            for key in ("key_serde", "value_serde", "changelog", "caching", "window_ms", "retention_ms", "sub_topology")
        },
        positions=tables.positions(state, store),
        jobs=recorded.jobs(app, store=store, in_states=_RUNNING_JOBS),
        restores=recorded.restores(app, store=store, limit=20),
    )


def restores(app: str | None = None) -> Snapshot:
    """Return running restores (live) and ended ones (recorded)."""
    board = reader.read()
    running = [
        tables.running_restore(state, record)
        for state in board.applications.values()
        if app in {None, state.id}
        for partitions in state.stores.values()
        for copies in partitions.values()
        for record in copies
        if record.phase != "done" and record.instance not in state.unreachable
    ]
    running.sort(key=lambda each: (each["application"], each["store"], each["partition"], each["instance"]))
    return _snapshot(
        board,
        running=recorded.with_ids(running),
        history=[each for each in recorded.restores(app, limit=100) if each["outcome"] != "running"],
        jobs=recorded.jobs(app, kind="rebuild", in_states=_RUNNING_JOBS),
    )


def lag(app: str) -> Snapshot | None:
    """Return the lag of each input and store partition."""
    board = reader.read()
    state = _state(board, app)
    if state is None:
        return None
    found = problems.of_application(state)
    inputs, stores = tables.input_lag(state), tables.store_lag(state)
    return _snapshot(
        board,
        id=app,
        verdict=problems.verdict(state, found, stale=board.observer["stale"]),
        problems=found,
        lag=_lag_total(state),
        inputs=inputs,
        stores=stores,
        skew=tables.skew("input", inputs) + tables.skew("store", stores),
    )


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


def _card(state: State, verdict: dict[str, str], *, stale: bool) -> dict[str, Any]:
    stores = [store_shapes.summary(state, store) for store in store_shapes.store_names(state)]
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
        "tasks": len(tables.known_tasks(state)),
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
    made: dict[str, Any] | None = state.made.get(("lag", ""))
    if made is not None:
        return made
    inputs = [
        each for copies in state.tasks.values() for copy in copies if copy.role == "active" for each in copy.inputs
    ]
    findings = [row for (kind, _, _), row in state.lag.items() if kind == "input"]
    known_rates = [row[2] for row in findings if row[2] is not None]
    times = [(row[4], row[5]) for row in findings if row[4] is not None]
    longest = max(times, default=(None, None))
    made = state.made["lag", ""] = {
        "total": store_shapes.total(each.lag for each in inputs),
        "rate_per_second": round(sum(known_rates), 1) if known_rates else None,
        "eta": verdicts.slowest(row[3] for row in findings),  # type: ignore[misc]
        # One unknown part may be longer than the longest known one.
        "lag_ms": longest[0] if len(times) == len(findings) else None,
        "lag_ms_how": longest[1] if len(times) == len(findings) else None,
    }
    return made


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
        "standby_tasks": sorted(
            (
                task
                for task, copies in state.tasks.items()
                for copy in copies
                if copy.instance == record.instance and copy.role == "standby"
            ),
            key=tables.task_order,
        ),
    }
