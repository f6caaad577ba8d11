"""What is wrong with an application, in words, worst first: the lines at the top of a page. Pure functions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from console import limits
from console.lag import verdicts
from console.observe import store_shapes
from console.observe.store_shapes import behind

if TYPE_CHECKING:
    from console.observe.board import State
    from engine.control.status import InstanceStatus

Problem = dict[str, Any]


def of_application(state: State) -> list[Problem]:
    """Return every problem of the application. Made once for each state; callers must not change it."""
    late = state.made.of("late", (state.lag, state.tasks, state.unreachable), lambda: _lag(state))

    def make() -> list[Problem]:
        found = [*_instances(state), *late, *_topology(state), *_flapping(state)]
        return sorted(found, key=lambda problem: -verdicts.SEVERITY[problem["status"]])

    return state.made.of("problems", (state.instances, state.unreachable, state.flapping, late), make)


def verdict(state: State, problems: list[Problem], *, stale: bool) -> dict[str, str]:
    """Return the application's verdict: its worst problem, or that there is none. Nothing is OK while nobody observes."""
    if stale:
        return {"status": "UNKNOWN", "reason": "Not observed at the moment: what is shown is the last that was known."}
    if problems:
        return {"status": problems[0]["status"], "reason": problems[0]["words"]}
    measuring = sum(row[0] == "UNKNOWN" for row in behind(state).values())
    if not state.lag or measuring:
        return {"status": "UNKNOWN", "reason": "Measuring: a verdict needs about ten seconds of samples."}
    restoring = sum(_restoring(state, store) for store in state.stores)
    if restoring:
        of = sum(len(partitions) for partitions in state.stores.values())
        words = f"{restoring:,} of {of:,} store partitions {'is' if restoring == 1 else 'are'} restoring; the others keep up."
        return {"status": "OK", "reason": words}
    judged = Counter[str]()
    for (kind, _), count in store_shapes.judged(state).items():
        judged[kind] += count
    what = " and ".join(f"{judged[kind]:,} {kind}" for kind in ("input", "store") if judged[kind])
    return {"status": "OK", "reason": f"All {what} partitions keep up."}


def _restoring(state: State, store: str) -> int:
    """Return how many partitions' serving copies are not done restoring."""
    chosen = store_shapes.serving(state, store)
    return state.made.of(
        "restoring",
        (chosen,),
        lambda: sum(record is not None and record.phase != "done" for record in chosen.values()),
        about=store,
    )


def instance_verdict(  # noqa: PLR0911 - the first cause that holds decides
    state: State, record: InstanceStatus, *, stale: bool
) -> dict[str, str]:
    """Return the verdict on one instance."""
    if stale:
        return {"status": "UNKNOWN", "reason": "Not observed at the moment."}
    silent = state.unreachable.get(record.instance)
    if silent:
        return {"status": "STOP", "reason": f"Unreachable: {silent['reason']}."}
    if record.state == "failed":
        return {
            "status": "STOP",
            "reason": record.reason
            or (record.last_error.message if record.last_error else "It failed and gave no reason."),
        }
    if record.pressure:
        first = record.pressure[0]
        return {"status": "WARN", "reason": f"{first.what} is at {first.used:,} of {first.limit:,}: {first.advice}"}
    if record.state in {"starting", "rebalancing", "stopping"}:
        return {"status": "OK", "reason": record.reason or f"It is {record.state}."}
    if not record.tasks:
        return {"status": "OK", "reason": "It has no tasks: the others have them all."}
    found = _of_instances(state).get(record.instance)
    worst = verdicts.worst([found] if found else [])
    return worst if worst["status"] != "OK" else {"status": "OK", "reason": "Its tasks keep up."}


def _of_instances(state: State) -> dict[str, tuple[str, str]]:
    """Return the worst finding of each instance on what its active tasks read."""
    readings = store_shapes.readings(state)

    def make() -> dict[str, tuple[str, str]]:
        lag, severity = state.lag, verdicts.SEVERITY
        found: dict[str, tuple[str, str]] = {}
        for copy, each in readings:
            row = lag.get(("input", each.topic, each.partition))
            known = found.get(copy.instance)
            if row is not None and (known is None or severity[row[0]] > severity[known[0]]):
                found[copy.instance] = (row[0], f"{each.topic}/{each.partition}: {row[1]}")
        return found

    return state.made.of("findings of instances", (readings, state.lag), make)


def _instances(state: State) -> list[Problem]:
    found = []
    running = [name for name in state.instances if name not in state.unreachable]
    for name, silent in sorted(state.unreachable.items()):
        tasks = len(state.instances[name].tasks) if name in state.instances else 0
        moving = f"; {tasks} tasks move to another instance" if tasks and running else ""
        found.append(
            _problem(
                state,
                "STOP",
                f"{state.id}: {name} is unreachable: {silent['reason']}{moving}",
                "application",
                instance=name,
            )
        )
    for name, record in sorted(state.instances.items()):
        if name in state.unreachable:
            continue
        if record.state == "failed":
            words = record.reason or (record.last_error.message if record.last_error else "no reason was given")
            found.append(
                _problem(state, "STOP", f"{state.id}: {name} has failed: {words}", "application", instance=name)
            )
        for each in record.pressure:
            words = f"{state.id}: {each.what} of {name} is at {each.used:,} of {each.limit:,}: {each.advice}"
            found.append(_problem(state, "WARN", words, "application", instance=name))
    if not running:
        found.append(_problem(state, "STOP", f"{state.id}: no instance is running", "application"))
    return found


def _lag(state: State) -> list[Problem]:
    """Return one problem for each topic or store, not one for each of its partitions."""
    places: dict[tuple[str, str], list[tuple[int, tuple[Any, ...]]]] = {}
    for (kind, name, partition), row in behind(state).items():
        if row[0] in {"WARN", "STALL", "STOP"}:
            places.setdefault((kind, name), []).append((partition, row))
    found = []
    for (kind, name), rows in sorted(places.items()):
        status, reason = max(((row[0], row[1]) for _, row in rows), key=lambda each: verdicts.SEVERITY[each[0]])
        if kind == "input" and status == "WARN":
            words = f"{state.id} is falling behind on topic {name}: {_falling(state, name)}"
        else:
            where = f"{name}/{rows[0][0]}" if len(rows) == 1 else f"{len(rows)} partitions of {name}"
            words = f"{state.id}, {where}: {reason[0].lower()}{reason[1:].rstrip('.')}"
        found.append(_problem(state, status, words, "lag", store=name if kind == "store" else None))
    return found


def _falling(state: State, topic: str) -> str:
    """Say how far the whole topic is behind: a reader asks about it, not about the partitions that are worst."""
    lag = sum(
        each.lag or 0
        for copy, each in store_shapes.readings(state)
        if each.topic == topic and copy.instance not in state.unreachable
    )
    rate = sum(row[2] or 0.0 for (kind, name, _), row in behind(state).items() if (kind, name) == ("input", topic))
    if rate > 0:
        return f"{verdicts.records(lag)}, {rate:+,.0f}/s, never at this rate"
    return f"{verdicts.records(lag)}, {rate:+,.0f}/s, but not in every partition"


def _topology(state: State) -> list[Problem]:
    hashes = {record.topology_hash for name, record in state.instances.items() if name not in state.unreachable}
    if len(hashes) < 2:  # noqa: PLR2004 - two opinions are a disagreement
        return []
    return [_problem(state, "WARN", f"{state.id}: its instances run {len(hashes)} different topologies", "application")]


def _flapping(state: State) -> list[Problem]:
    if not state.flapping:
        return []
    often = max(state.flapping.values())
    tasks = ", ".join(list(state.flapping)[:3]) + (" and others" if len(state.flapping) > 3 else "")  # noqa: PLR2004 - a line has room for three
    words = f"{state.id}: flapping, up to {often} moves in {limits.FLAPPING_MS // 60_000} minutes: {tasks}"
    return [_problem(state, "WARN", words, "ownership")]


def _problem(
    state: State, status: str, words: str, page: str, *, instance: str | None = None, store: str | None = None
) -> Problem:
    return {
        "status": status,
        "application": state.id,
        "instance": instance,
        "store": store,
        "words": words,
        "page": page,
    }
