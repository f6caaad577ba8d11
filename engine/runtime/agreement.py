"""What an instance settles with the cluster before anything of it starts: which tasks there are, its topics, the mapping.

Owner: the composition root, at its start. Done again it gives the same, so that a cluster may take its time.
"""

import logging
import threading
from dataclasses import dataclass

from engine.changelog.topics import Topics
from engine.config import EngineConfig
from engine.errors import Retry
from engine.runtime.blueprint import Blueprint, internal_topics, survey
from engine.runtime.mapping import MappingTopic, TaskMapping
from engine.topology.topology import Topology

log = logging.getLogger(__name__)

# How long brokers have to say anything, before they are asked again: a stop is heard between two questions.
REACH_SECONDS = 3.0
RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Agreement:
    """What was settled. `mapping_topic` tells later whether another topology was started meanwhile."""

    blueprint: Blueprint
    mapping: TaskMapping
    mapping_topic: MappingTopic


def agree(topology: Topology, config: EngineConfig, topics: Topics, stop: threading.Event) -> Agreement | None:
    """Settle it, however long the cluster takes to answer; None when told to stop meanwhile.

    Raises TopologyError and Fatal, as what is called here does.
    """
    while not stop.is_set():
        try:
            topics.reach(REACH_SECONDS)
            return _agree(topology, config, topics)
        except Retry as error:
            log.warning("not started yet: %s; trying again", error)
            stop.wait(RETRY_SECONDS)
    return None


def _agree(topology: Topology, config: EngineConfig, topics: Topics) -> Agreement:
    blueprint = survey(topology, config, topics)
    internal = internal_topics(blueprint, config)
    topics.ensure(internal)
    mapping_topic = MappingTopic(topics, topics.client, config.application_id)
    owned = {topic.name for topic in internal} - {mapping_topic.topic}
    return Agreement(blueprint, mapping_topic.agree(topology, list(blueprint.tasks), owned), mapping_topic)
