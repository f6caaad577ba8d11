"""The topology as a drawing: layers from source to sink, laid out here so that the page needs no script.

A node stands one layer right of the last of its predecessors; a repartition topic joins the sink of one sub-topology
to the source of the next as one node. Within a layer nodes stand near the middle of what feeds them. An edge that
crosses a layer gets a place of its own there (a bend), so that no line runs behind a box.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from console.pages import links

WIDTH, HEIGHT = 172, 44
GAP_X, GAP_Y = 52, 22
STORE_HEIGHT = 24
BEND_HEIGHT = 8
MARGIN = 12
LABEL_MAX = 24
NODES_MAX = 400
LAG_HEIGHT = 18
# What is read from has lag: its own line in the box.
READ = frozenset({"source", "repartition"})
_NO_FLOW: dict[str, Any] = {"nodes": {}, "parts": {}, "topics": {}}


def layout(description: dict[str, Any], app: str, flow: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return boxes, lines and the size of the drawing in pixels; None when there is too much to draw, or it is not a topology."""
    try:
        nodes, edges = _graph(description)
    except (AttributeError, KeyError, TypeError):
        return None  # an engine of another version wrote it, or a stranger did
    if len(nodes) > NODES_MAX:
        return None
    layers = _layers(nodes, edges)
    heights = {key: _height(node) for key, node in nodes.items()}
    ways = [_way(start, end, layers, heights) for start, end in edges]
    places = _places([step for way in ways for step in pairwise(way)], layers, heights)
    boxes = [_box(key, nodes[key], places[key], app, flow or _NO_FLOW) for key in nodes]
    lines = [_line([places[key] for key in way]) for way in ways]
    right = max((box["x"] for box in boxes), default=0) + WIDTH + MARGIN
    bottom = max((box["y"] + box["height"] for box in boxes), default=0) + MARGIN
    return {"boxes": boxes, "lines": lines, "width": right, "height": bottom, "box_width": WIDTH}


def _graph(description: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Return nodes by a unique key, and edges; a repartition topic's sink and source become one node."""
    fed = {node["topic"] for sub in description["sub_topologies"] for node in sub["nodes"] if node["type"] == "source"}
    written = {
        node["topic"] for sub in description["sub_topologies"] for node in sub["nodes"] if node["type"] == "sink"
    }
    nodes: dict[str, dict[str, Any]] = {}
    keys: dict[tuple[int, str], str] = {}
    for sub in description["sub_topologies"]:
        for node in sub["nodes"]:
            shared = node.get("topic") in fed & written if node.get("topic") else False
            key = f"topic {node['topic']}" if shared else f"{sub['id']} {node['name']}"
            keys[sub["id"], node["name"]] = key
            nodes.setdefault(key, _node(node, sub["id"], "repartition" if shared else str(node["type"])))
    edges = [
        (keys[sub["id"], node["name"]], keys[sub["id"], to])
        for sub in description["sub_topologies"]
        for node in sub["nodes"]
        for to in node["successors"]
        if (sub["id"], to) in keys
    ]
    return nodes, list(dict.fromkeys(edges))


def _node(node: dict[str, Any], sub: int, kind: str) -> dict[str, Any]:
    """Return the parts of a node that are drawn, as text."""
    return {
        "sub": sub,
        "type": kind,
        "name": str(node["name"]),
        "label": str(node["label"] or ""),
        "topic": str(node.get("topic") or ""),
        "stores": [str(name) for name in node["stores"]],
    }


def _layers(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Return each node's layer: the longest way from a source. Rounds are bounded, so a cycle cannot hang the page."""
    layer = dict.fromkeys(nodes, 0)
    for _ in range(len(nodes)):
        moved = False
        for start, end in edges:
            if layer[end] <= layer[start] < len(nodes):
                layer[end] = layer[start] + 1
                moved = True
        if not moved:
            break
    return layer


def _way(start: str, end: str, layer: dict[str, int], heights: dict[str, int]) -> list[str]:
    """Return the keys that an edge runs through: a bend in each layer between its ends. Adds the bends to both tables."""
    way = [start]
    for level in range(layer[start] + 1, layer[end]):
        bend = f"{start} > {end} @ {level}"
        layer[bend], heights[bend] = level, BEND_HEIGHT
        way.append(bend)
    return [*way, end]


def _places(
    steps: list[tuple[str, str]], layer: dict[str, int], heights: dict[str, int]
) -> dict[str, tuple[float, float]]:
    """Return the top left corner of each node and bend."""
    before: dict[str, list[str]] = {key: [] for key in layer}
    for start, end in steps:
        before[end].append(start)
    places: dict[str, tuple[float, float]] = {}
    for level in range(max(layer.values(), default=0) + 1):
        members = [key for key in layer if layer[key] == level]
        wish = {
            key: sum(places[each][1] for each in before[key]) / len(before[key]) if before[key] else -1.0
            for key in members
        }
        next_free = float(MARGIN)
        for key in sorted(members, key=lambda each: wish[each]):
            y = max(next_free, wish[key])
            places[key] = (MARGIN + level * (WIDTH + GAP_X), y)
            next_free = y + heights[key] + GAP_Y
    return places


def _height(node: dict[str, Any]) -> int:
    return HEIGHT + STORE_HEIGHT * len(node["stores"]) + (LAG_HEIGHT if node["type"] in READ else 0)


def _box(key: str, node: dict[str, Any], place: tuple[float, float], app: str, flow: dict[str, Any]) -> dict[str, Any]:
    x, y = place
    label = node["label"] or node["name"]
    stores = [
        {
            "name": name,
            "short": _short(name, LABEL_MAX),
            "y": y + HEIGHT + index * STORE_HEIGHT,
            "text_y": y + HEIGHT + index * STORE_HEIGHT + 16,
            "href": links.to("store", app, name),
        }
        for index, name in enumerate(node["stores"])
    ]
    return {
        "key": key, "x": round(x), "y": round(y), "height": _height(node), "type": node["type"], "label": _short(label, LABEL_MAX), "title": f"{node['name']} ({node['type']}), sub-topology {node['sub']}",
        "text_x": round(x) + 12, "type_y": round(y) + 17, "label_y": round(y) + 34, "stores": stores, "sub": node["sub"],
        "rate_x": round(x) + WIDTH - 12, "lag_y": round(y) + _height(node) - 8, "node": node["name"], **_flow(node, app, flow),
    }  # fmt: skip


def _flow(node: dict[str, Any], app: str, flow: dict[str, Any]) -> dict[str, Any]:
    """Return what flows through a node now: its rate, its part's state, and the lag of the topic that it reads."""
    part = flow["parts"].get(node["sub"]) or {}
    topic = node["topic"]
    lag = flow["topics"].get(topic) or flow["topics"].get(f"{app}-{topic}-repartition")
    return {
        "rate": flow["nodes"].get(node["name"]),
        "part": part,
        "look": part.get("state") or "unknown",
        "topic": topic,
        "lag": lag if node["type"] in READ else None,
    }


def _line(points: list[tuple[float, float]]) -> str:
    """Return the path of an edge from the right side of its first place through its bends to the left side of its last."""
    x, y = points[0][0] + WIDTH, points[0][1] + HEIGHT / 2
    path = f"M{x:.0f} {y:.0f}"
    for index, (left, top) in enumerate(points[1:], start=1):
        last = index == len(points) - 1
        entry = top + (HEIGHT if last else BEND_HEIGHT) / 2
        half = max(24.0, (left - x) / 2)
        path += f" C{x + half:.0f} {y:.0f} {left - half:.0f} {entry:.0f} {left:.0f} {entry:.0f}"
        x, y = left, entry
        if not last:
            x = left + WIDTH
            path += f" H{x:.0f}"
    return path


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
