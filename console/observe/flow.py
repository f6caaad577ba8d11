"""What flows through a topology now: records a second by node, lag on what it reads, how busy each part is. Pure.

Lag is *local* where it waits (the topic that a sub-topology reads) and *inherited* by everything below: how far what
arrives there is behind the outside world, the slowest way in deciding. What is not reported is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.observe import store_shapes
from console.observe.store_shapes import behind, judged, sub_topologies, total

if TYPE_CHECKING:
    from console.observe.board import State

# Below this share of the loop's time a part counts as idle; above the other one it is what the loop is busy with.
_IDLE, _BUSY = 0.02, 0.5


def of(state: State) -> dict[str, Any]:
    """Return ``{"nodes": {name: per second}, "parts": {sub: {…}}, "topics": {topic: {lag, lag_ms, lag_ms_how, inherited_ms}}}``."""
    nodes: dict[str, float] = {}
    parts: dict[int, dict[str, Any]] = {}
    for name, record in state.instances.items():
        if name in state.unreachable:
            continue
        for work in record.work:
            for node, rate in work.nodes.items():
                nodes[node] = round(nodes.get(node, 0.0) + rate, 1)
            part = parts.setdefault(work.sub_topology, {"busy_ratio": None, "waiting": 0, "paused": 0})
            part["waiting"] += work.waiting
            part["paused"] += work.paused
            if work.busy_ratio is not None:
                # The busiest instance decides: its loop is the one that can be full.
                part["busy_ratio"] = max(part["busy_ratio"] or 0.0, work.busy_ratio)
    for part in parts.values():
        part["state"] = _state(part)
    return {"nodes": nodes, "parts": parts, "topics": _topics(state)}


def _state(part: dict[str, Any]) -> str | None:
    """Return ``backpressured`` (it does not keep up with what is fetched), ``busy``, ``working``, ``idle``, or None."""
    if part["paused"]:
        return "backpressured"
    busy = part["busy_ratio"]
    if busy is None:
        return None
    return "busy" if busy >= _BUSY else "idle" if busy < _IDLE else "working"


def _topics(state: State) -> dict[str, dict[str, Any]]:
    readings = store_shapes.readings(state)
    waiting = state.made.of("waiting", (readings, state.unreachable), lambda: _waiting(state))
    times: dict[str, list[tuple[int | None, str | None]]] = {}
    for (kind, name, _), row in behind(state).items():
        if kind == "input":
            times.setdefault(name, []).append((row[4], row[5]))
    counts = judged(state)
    found: dict[str, dict[str, Any]] = {}
    for topic, lag in waiting.items():
        measured = times.get(topic, [])
        known = [(ms, how or "") for ms, how in measured if ms is not None]
        if counts.get(("input", topic), 0) > len(measured):
            known.append((0, "caught-up"))
        longest = max(known) if known and not any(ms is None for ms, _ in measured) else (None, None)
        found[topic] = {"lag": lag, "lag_ms": longest[0], "lag_ms_how": longest[1]}
    _inherit(state, found)
    return found


def _waiting(state: State) -> dict[str, int | None]:
    """Return how many records wait in each topic."""
    lags: dict[str, list[int | None]] = {}
    for copy, each in store_shapes.readings(state):
        if copy.instance not in state.unreachable:
            lags.setdefault(each.topic, []).append(each.lag)
    return {topic: total(each) for topic, each in lags.items()}


def _inherit(state: State, topics: dict[str, dict[str, Any]]) -> None:
    """Add ``inherited_ms``: a topic's own lag and that of the slowest way to it. Bounded, whatever cycles are described."""
    writers: dict[str, list[dict[str, Any]]] = {}
    for sub in sub_topologies(state):
        for sink in sub.get("sinks") or ():
            writers.setdefault(real_name(state, str(sink), topics), []).append(sub)

    found: dict[str, int | None] = {}
    # Each topic is asked once, so that a description of many ways costs no more than its size; a way back counts nothing.
    asked: set[str] = set()

    def inherited(topic: str) -> int | None:
        if topic in asked:
            return found.get(topic, 0)
        asked.add(topic)
        own: int | None = topics[topic]["lag_ms"] if topic in topics else None
        sources = {
            real_name(state, str(each), topics) for sub in writers.get(topic, ()) for each in sub.get("sources") or ()
        }
        ways = [inherited(each) for each in sorted(sources - {topic})]
        found[topic] = None if own is None or None in ways else own + max((way or 0 for way in ways), default=0)
        return found[topic]

    for topic, facts in topics.items():
        facts["inherited_ms"] = inherited(topic)


def real_name(state: State, topic: str, known: dict[str, Any]) -> str:
    """Return a topic's name in the cluster: that of an internal one begins with the application."""
    if topic in known:
        return topic
    internal = f"{state.id}-{topic}-repartition"
    return internal if internal in known else topic
