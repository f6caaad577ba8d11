"""The topology as a drawing: layers from source to sink, laid out here so that the page needs no script.

A node stands one layer right of the last of its predecessors; a repartition topic joins the sink of one sub-topology
to the source of the next as one node. Within a layer nodes stand near the middle of what feeds them.
"""

from __future__ import annotations

from typing import Any

from django.urls import reverse

WIDTH, HEIGHT = 172, 44
GAP_X, GAP_Y = 52, 22
STORE_HEIGHT = 24
MARGIN = 12
LABEL_MAX = 24
NODES_MAX = 400


def layout(description: dict[str, Any], app: str) -> dict[str, Any] | None:
    """Return boxes, lines and the size of the drawing in pixels; None when there is too much to draw."""
    nodes, edges = _graph(description)
    if len(nodes) > NODES_MAX:
        return None
    layers = _layers(nodes, edges)
    places = _places(nodes, edges, layers)
    boxes = [_box(key, nodes[key], places[key], app) for key in nodes]
    lines = [_line(places[start], places[end]) for start, end in edges]
    right = max((box["x"] for box in boxes), default=0) + WIDTH + MARGIN
    bottom = max((box["y"] + box["height"] for box in boxes), default=0) + MARGIN
    return {"boxes": boxes, "lines": lines, "width": right, "height": bottom, "box_width": WIDTH}


def _graph(description: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Return nodes by a unique key, and edges; a repartition topic's sink and source become one node."""
    fed = {node["topic"] for sub in description["sub_topologies"] for node in sub["nodes"] if node["type"] == "source"}
    written = {node["topic"] for sub in description["sub_topologies"] for node in sub["nodes"] if node["type"] == "sink"}
    nodes: dict[str, dict[str, Any]] = {}
    keys: dict[tuple[int, str], str] = {}
    for sub in description["sub_topologies"]:
        for node in sub["nodes"]:
            shared = node.get("topic") in fed & written if node.get("topic") else False
            key = f"topic {node['topic']}" if shared else f"{sub['id']} {node['name']}"
            keys[sub["id"], node["name"]] = key
            nodes.setdefault(key, node | {"sub": sub["id"], "type": "repartition" if shared else node["type"]})
    edges = [(keys[sub["id"], node["name"]], keys[sub["id"], to]) for sub in description["sub_topologies"] for node in sub["nodes"] for to in node["successors"] if (sub["id"], to) in keys]
    return nodes, list(dict.fromkeys(edges))


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


def _places(nodes: dict[str, Any], edges: list[tuple[str, str]], layer: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Return the top left corner of each node."""
    before: dict[str, list[str]] = {key: [] for key in nodes}
    for start, end in edges:
        before[end].append(start)
    places: dict[str, tuple[float, float]] = {}
    for level in range(max(layer.values(), default=0) + 1):
        members = [key for key in nodes if layer[key] == level]
        wish = {key: sum(places[each][1] for each in before[key]) / len(before[key]) if before[key] else -1.0 for key in members}
        next_free = float(MARGIN)
        for key in sorted(members, key=lambda each: wish[each]):
            y = max(next_free, wish[key])
            places[key] = (MARGIN + level * (WIDTH + GAP_X), y)
            next_free = y + _height(nodes[key]) + GAP_Y
    return places


def _height(node: dict[str, Any]) -> int:
    return HEIGHT + STORE_HEIGHT * len(node["stores"])


def _box(key: str, node: dict[str, Any], place: tuple[float, float], app: str) -> dict[str, Any]:
    x, y = place
    label = node["label"] or node["name"]
    stores = [
        {"name": name, "short": _short(name, LABEL_MAX), "y": y + HEIGHT + index * STORE_HEIGHT, "text_y": y + HEIGHT + index * STORE_HEIGHT + 16, "href": reverse("store", args=[app, name])}
        for index, name in enumerate(node["stores"])
    ]
    return {
        "key": key, "x": round(x), "y": round(y), "height": _height(node), "type": node["type"], "label": _short(label, LABEL_MAX), "title": f"{node['name']} ({node['type']}), sub-topology {node['sub']}",
        "topic": node.get("topic") or "", "text_x": round(x) + 12, "type_y": round(y) + 17, "label_y": round(y) + 34, "stores": stores, "sub": node["sub"],
    }  # fmt: skip


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT / 2, end[0], end[1] + HEIGHT / 2
    bend = max(24.0, (x2 - x1) / 2)
    return f"M{x1:.0f} {y1:.0f} C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
