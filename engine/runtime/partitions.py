"""How many partitions each topic of a topology has, and so which tasks there are.

User topics exist and are asked for; a repartition topic has the count it was given, or that of its co-partitioned
topics, or the most of what feeds it. A sub-topology has one task for each partition of its widest input. Pure functions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine import names
from engine.errors import TopologyError
from engine.topology.graph import SubTopology
from engine.topology.operations import Sink, Source
from engine.topology.topology import Topology


@dataclass(frozen=True)
class Shape:
    """Real topic names of one sub-topology: what it reads and which repartition topics it writes."""

    sub: SubTopology
    inputs: tuple[str, ...]
    repartitions: tuple[str, ...]


def shapes(topology: Topology, application_id: str) -> list[Shape]:
    """The inputs and repartition outputs of each sub-topology under their real names."""
    found = []
    for sub in topology.sub_topologies:
        inputs: set[str] = set()
        written: set[str] = set()
        for node in topology.nodes_of(sub.id).values():
            operation = node.operation
            if isinstance(operation, Source):
                inputs.update(real_topics(operation, application_id))
            elif isinstance(operation, Sink) and operation.internal and isinstance(operation.topic, str):
                written.add(names.repartition_topic(application_id, operation.topic))
        found.append(Shape(sub, tuple(sorted(inputs)), tuple(sorted(written))))
    return found


def real_topics(source: Source, application_id: str) -> list[str]:
    """The topics of a source under their real names."""
    if not source.internal:
        return list(source.topics)
    return [names.repartition_topic(application_id, topic) for topic in source.topics]


def repartition_topics(topology: Topology, application_id: str) -> dict[str, int | None]:
    """Each repartition topic of the topology with the partition count that it was given, if any."""
    found = topology.repartition_topics()
    return {names.repartition_topic(application_id, topic): count for topic, count in found.items()}


def partition_counts(
    topology: Topology, found: Iterable[Shape], application_id: str, external: Mapping[str, int]
) -> dict[str, int]:
    """Partitions of every topic that is read; raises TopologyError where a topic is missing or counts do not fit."""
    every = list(found)
    known = dict(external)
    asked = repartition_topics(topology, application_id)
    groups = [(node, _topics_of(topology, topics, application_id)) for node, topics in topology.copartitioned]
    known.update({name: count for name, count in asked.items() if count})
    for shape in every:
        for topic in shape.inputs:
            if topic not in known and topic not in asked:
                raise TopologyError(f"input topic {topic} does not exist: create it, then start again")
    for _ in range(len(asked) + 1):
        open_topics = [name for name in asked if name not in known]
        if not open_topics:
            break
        for name in open_topics:
            count = _from_group(name, groups, external, asked) or _from_upstream(name, every, known)
            if count is not None:
                known[name] = count
        _widen(groups, known, {n for n, given in asked.items() if not given}, external)
    for name in asked:
        if name not in known:
            raise TopologyError(f"repartition topic {name} feeds itself: give it a number of partitions")
    _check(groups, known)
    return known


def task_counts(found: Iterable[Shape], known: Mapping[str, int]) -> dict[int, int]:
    """Tasks of each sub-topology that reads anything."""
    return {s.sub.id: max(known[t] for t in s.inputs) for s in found if s.inputs}


def _topics_of(topology: Topology, topics: Iterable[str], application_id: str) -> frozenset[str]:
    internal = topology.repartition_topics()
    return frozenset(names.repartition_topic(application_id, t) if t in internal else t for t in topics)


def _from_group(
    name: str,
    groups: list[tuple[str, frozenset[str]]],
    external: Mapping[str, int],
    asked: Mapping[str, int | None],
) -> int | None:
    """The count that a repartition topic takes over from the topics that it is joined with."""
    for _, group in groups:
        if name in group:
            fixed = [external[t] for t in group if t in external] + [c for t in group if (c := asked.get(t))]
            if fixed:
                return max(fixed)
    return None


def _from_upstream(name: str, every: list[Shape], known: Mapping[str, int]) -> int | None:
    writers = [s for s in every if name in s.repartitions]
    inputs = [t for s in writers for t in s.inputs if t != name]
    if not inputs or any(t not in known for t in inputs):
        return None
    return max(known[t] for t in inputs)


def _widen(
    groups: list[tuple[str, frozenset[str]]], known: dict[str, int], free: set[str], external: Mapping[str, int]
) -> None:
    """Repartition topics joined only with each other take the count of the widest."""
    for _, group in groups:
        if not any(t in external for t in group) and all(t in known for t in group):
            widest = max(known[t] for t in group)
            known.update({t: widest for t in group if t in free})


def _check(groups: list[tuple[str, frozenset[str]]], known: Mapping[str, int]) -> None:
    for node, group in groups:
        have = {t: known[t] for t in sorted(group) if t in known}
        if len(set(have.values())) > 1:
            listed = ", ".join(f"{topic} has {count}" for topic, count in have.items())
            raise TopologyError(
                f"node {node} joins topics that are not co-partitioned: {listed}. Give them the same number of "
                "partitions, or call repartition() on one of them first"
            )
