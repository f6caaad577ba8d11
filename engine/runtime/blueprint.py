"""What an instance needs to know to make tasks: worked out once at start from the topology and the cluster's topics.

Immutable after `survey`; any thread may read it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from engine import names
from engine.changelog.settings import changelog_settings, repartition_settings, tasks_settings
from engine.changelog.topics import InternalTopic, Topics
from engine.config import EngineConfig
from engine.errors import TopologyError
from engine.runtime import partitions
from engine.runtime.plan import Plan, make_plan
from engine.runtime.record_queue import Place
from engine.topology.operations import GlobalSource, Sink
from engine.topology.stores import StoreSpec
from engine.topology.topology import Topology

# How long a topic may take from its creation until all brokers know it, before it counts as missing.
NEW_TOPIC_SECONDS = 3.0


@dataclass(frozen=True)
class TaskShape:
    """What one task of a sub-topology is: which sub-topology, which partition, what it reads."""

    id: str
    sub_topology: int
    partition: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Blueprint:
    """Topology, partition counts and tasks of an application."""

    topology: Topology
    application_id: str
    counts: Mapping[str, int]
    tasks: Mapping[str, TaskShape]
    task_counts: Mapping[int, int]
    plans: Mapping[int, Plan]
    resets: Mapping[str, str]
    repartitions: frozenset[str]
    global_topics: Mapping[str, str]  # store -> topic
    caching: bool = True

    def specs(self, sub_topology: int) -> dict[str, StoreSpec]:
        """The stores of one sub-topology by name; without a record cache every put is logged, whatever they ask for."""
        found = {name: self.topology.stores[name] for name in self.topology.sub_topologies[sub_topology].stores}
        return found if self.caching else {name: spec.with_(caching=False) for name, spec in found.items()}

    def changelog(self, spec: StoreSpec) -> str | None:
        """The topic that a store is restored from; None when it has none."""
        if spec.source_topic is not None:
            return spec.source_topic
        return names.changelog_topic(self.application_id, spec.name) if spec.logging else None

    def input_places(self) -> list[Place]:
        """Every input partition of every task."""
        return [place for task in self.tasks.values() for place in task.places]


def survey(topology: Topology, config: EngineConfig, topics: Topics) -> Blueprint:
    """Look at the topics and work out the tasks; raises TopologyError where they do not fit the topology."""
    application = config.application_id
    shapes = partitions.shapes(topology, application)
    global_topics = {
        node.operation.store: node.operation.topic
        for node in topology.global_nodes().values()
        if isinstance(node.operation, GlobalSource)
    }
    outputs = _outputs(topology, config)
    inputs = [*topology.input_topics(), *global_topics.values()]
    external = _counts(topics, [*inputs, *outputs])
    there = set(external)
    external = {topic: count for topic, count in external.items() if topic not in set(outputs) - set(inputs)}
    for topic in global_topics.values():
        if topic not in external:
            raise TopologyError(f"topic {topic} of a global table does not exist: create it, then start again")
    counts = partitions.partition_counts(topology, shapes, application, external)
    for topic in outputs:
        if topic not in there:
            raise TopologyError(f"output topic {topic} does not exist: create it, then start again")
    task_counts = partitions.task_counts(shapes, counts)
    tasks = {}
    for shape in shapes:
        for partition in range(task_counts.get(shape.sub.id, 0)):
            places = tuple((t, partition) for t in shape.inputs if partition < counts[t])
            name = f"{shape.sub.id}_{partition}"
            tasks[name] = TaskShape(name, shape.sub.id, partition, places)
    resets = {
        topic: source.offset_reset or config.offset_reset
        for sub in topology.sub_topologies
        for source in topology.sources_of(sub.id)
        for topic in partitions.real_topics(source, application)
    }
    repartitions = frozenset(partitions.repartition_topics(topology, application))
    # What is written into a repartition topic before its reader starts is not to be missed.
    resets.update(dict.fromkeys(repartitions, "earliest"))
    return Blueprint(
        topology,
        application,
        counts,
        tasks,
        task_counts,
        {sub.id: make_plan(topology.nodes_of(sub.id)) for sub in topology.sub_topologies},
        resets,
        repartitions,
        global_topics,
        config.caching,
    )


def _counts(topics: Topics, asked: list[str]) -> dict[str, int]:
    """Partitions of those topics that exist; one that was made a moment ago is not known to every broker yet."""
    deadline = time.monotonic() + NEW_TOPIC_SECONDS
    while True:
        found = topics.partition_counts(asked)
        if len(found) == len(set(asked)) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def written_topics(blueprint: Blueprint, config: EngineConfig) -> set[str]:
    """Every topic that is known at start to be written to: outputs, dead letters, repartitions, changelogs."""
    own = {topic.name for topic in internal_topics(blueprint, config)} - {names.tasks_topic(config.application_id)}
    return own | set(_outputs(blueprint.topology, config))


def _outputs(topology: Topology, config: EngineConfig) -> list[str]:
    """The user's topics that are written to; those that a function of the user's names are not known at start."""
    found = [] if config.dead_letter_topic is None else [config.dead_letter_topic]
    for sub in topology.sub_topologies:
        for node in topology.nodes_of(sub.id).values():
            operation = node.operation
            if isinstance(operation, Sink) and not operation.internal and isinstance(operation.topic, str):
                found.append(operation.topic)
    return found


def internal_topics(blueprint: Blueprint, config: EngineConfig) -> list[InternalTopic]:
    """Every topic that the engine makes for this application, the tasks topic first."""
    common = config.topic_settings
    found = [
        InternalTopic(
            names.tasks_topic(config.application_id), max(len(blueprint.tasks), 1), tasks_settings(), grows=True
        )
    ]
    found += [
        InternalTopic(t, blueprint.counts[t], repartition_settings(common)) for t in sorted(blueprint.repartitions)
    ]
    for sub in blueprint.topology.sub_topologies:
        for name in sub.stores:
            spec = blueprint.topology.stores[name]
            if spec.logging and spec.source_topic is None:
                topic = names.changelog_topic(config.application_id, name)
                found.append(
                    InternalTopic(topic, blueprint.task_counts.get(sub.id, 1), changelog_settings(spec, common))
                )
    return found
