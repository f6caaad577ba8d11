"""The demo's topology, in the shape of ``Topology.to_json()``."""

from __future__ import annotations

from typing import Any


def node(
    name: str, kind: str, label: str, *successors: str, stores: tuple[str, ...] = (), topic: str | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "label": label,
        "stores": list(stores),
        "topic": topic,
        "successors": list(successors),
    }


def store(name: str, kind: str, serde: str, sub: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "backend": "rocksdb",
        "key_serde": "string",
        "value_serde": serde,
        "changelog": f"flights-{name}-changelog",
        "caching": True,
        "window_ms": None,
        "retention_ms": None,
        "sub_topology": sub,
    }


TOPOLOGY: dict[str, Any] = {
    "hash": "6f1cbb02",
    "sub_topologies": [
        {"id": 0, "partitions": 4, "sources": ["flights", "planes"], "sinks": ["flights-by-carrier-repartition", "flights-by-hour-repartition", "flights-by-dest-repartition"], "stores": ["planes"], "nodes": [
            node("source-flights", "source", "flights", "join-planes", "by-carrier", "by-hour", topic="flights"),
            node("source-planes", "source", "planes", "table-planes", topic="planes"),
            node("table-planes", "table", "planes", "join-planes", stores=("planes",)),
            node("join-planes", "join", "with plane", "by-dest", stores=("planes",)),
            node("by-carrier", "select-key", "by carrier", "sink-carrier"), node("by-hour", "select-key", "by origin", "sink-hour"), node("by-dest", "select-key", "by destination", "sink-dest"),
            node("sink-carrier", "sink", "by-carrier", topic="flights-by-carrier-repartition"), node("sink-hour", "sink", "by-hour", topic="flights-by-hour-repartition"), node("sink-dest", "sink", "by-dest", topic="flights-by-dest-repartition")]},
        {"id": 1, "partitions": 4, "sources": ["flights-by-carrier-repartition"], "sinks": [], "stores": ["departures-by-carrier"], "nodes": [
            node("source-carrier", "source", "by-carrier", "count", topic="flights-by-carrier-repartition"), node("count", "count", "count", stores=("departures-by-carrier",))]},
        {"id": 2, "partitions": 4, "sources": ["flights-by-hour-repartition"], "sinks": [], "stores": ["delay-by-hour"], "nodes": [
            node("source-hour", "source", "by-hour", "mean", topic="flights-by-hour-repartition"), node("mean", "aggregate", "mean delay, 1 h", stores=("delay-by-hour",))]},
        {"id": 3, "partitions": 4, "sources": ["flights-by-dest-repartition"], "sinks": ["seats"], "stores": ["seats-by-destination"], "nodes": [
            node("source-dest", "source", "by-dest", "sum", topic="flights-by-dest-repartition"), node("sum", "aggregate", "sum of seats", "to-seats", stores=("seats-by-destination",)), node("to-seats", "sink", "seats", topic="seats")]},
    ],
    "stores": [store("planes", "key-value", "json", 0), store("departures-by-carrier", "key-value", "int64", 1), store("delay-by-hour", "window", "json", 2), store("seats-by-destination", "key-value", "int64", 3)],
}  # fmt: skip
