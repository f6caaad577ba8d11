"""The topology under chaos: a user's own, over topics that nobody else uses.

`engine run engine.testing.chaos_topology:build` builds what `STATEHOUSE_CHAOS` names and gives its topics other names: a
chaos run on a cluster that has real topics reads and writes none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import ConfigError
from engine.topology.builder import StreamsBuilder
from engine.topology.graph import Graph
from engine.topology.loading import load_build
from engine.topology.operations import GlobalSource, Sink, Source

VARIABLE = "STATEHOUSE_CHAOS"


@dataclass(frozen=True)
class Scratch:
    """Whose topology it is, and what stands before the names of its topics."""

    build: str
    inputs: str
    outputs: str

    def environment(self) -> dict[str, str]:
        """What a process needs to build it."""
        return {VARIABLE: json.dumps({"build": self.build, "inputs": self.inputs, "outputs": self.outputs})}

    def fill(self, builder: StreamsBuilder) -> None:
        """Let the user's function fill the builder, then rename what it reads and writes."""
        load_build(self.build)(builder)
        rename(builder.graph, self.inputs, self.outputs)


def build(builder: StreamsBuilder) -> None:
    """What the instances of a chaos run are started with."""
    told = os.environ.get(VARIABLE)
    if told is None:
        raise ConfigError(f"{VARIABLE} is not set: this topology is made by `manage.py engine chaos`")
    Scratch(**json.loads(told)).fill(builder)


def rename(graph: Graph, inputs: str, outputs: str) -> None:
    """Put `inputs` before the topics that the graph reads and `outputs` before those that it writes.

    A topic that it writes and reads is an output. Internal topics have the application's name in front of theirs already.
    Raises ConfigError for a sink whose records choose their topic.
    """
    written = {o.topic for o in _operations(graph) if isinstance(o, Sink) and isinstance(o.topic, str)}

    def read(topic: str) -> str:
        return f"{outputs if topic in written else inputs}{topic}"

    for name, node in list(graph.nodes.items()):
        operation: Any = node.operation
        if isinstance(operation, Source) and not operation.internal:
            graph.replace_operation(name, replace(operation, topics=tuple(map(read, operation.topics))))
        elif isinstance(operation, GlobalSource):
            graph.replace_operation(name, replace(operation, topic=read(operation.topic)))
        elif isinstance(operation, Sink) and not operation.internal:
            graph.replace_operation(name, replace(operation, topic=_prefixed(operation.topic, outputs)))
    for name, spec in list(graph.stores.items()):
        if spec.source_topic is not None:
            graph.stores[name] = spec.with_(source_topic=read(spec.source_topic))
    internal = {t for o in _operations(graph) if isinstance(o, Source) and o.internal for t in o.topics}
    graph.copartitioned = [
        (node, frozenset(topic if topic in internal else read(topic) for topic in topics))
        for node, topics in graph.copartitioned
    ]


def _operations(graph: Graph) -> list[Any]:
    return [node.operation for node in graph.nodes.values()]


def _prefixed(topic: str | Callable[[Any, Any], str], prefix: str) -> str:
    if isinstance(topic, str):
        return f"{prefix}{topic}"
    # Nobody could say which topics to make, and to compare.
    raise ConfigError("a sink chooses its topic record by record: give it one topic for a run under chaos")
