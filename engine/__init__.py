"""Statehouse's engine: stateful processors over Kafka topics, with Kafka Streams' own answers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine import serdes
    from engine.config import EngineConfig
    from engine.instance import Engine
    from engine.records import Record, ValueAndTimestamp, Windowed
    from engine.testing import TopologyTestDriver
    from engine.topology.branches import Branched
    from engine.topology.builder import StreamsBuilder
    from engine.topology.options import (
        Consumed,
        Grouped,
        Joined,
        Materialized,
        Named,
        Produced,
        Repartitioned,
        StreamJoined,
        TableJoined,
    )
    from engine.topology.processors import Processor, ProcessorContext, PunctuationType
    from engine.topology.suppliers import Stores
    from engine.topology.suppressed import BufferConfig, Suppressed
    from engine.topology.windows import EmitStrategy, JoinWindows, SessionWindows, SlidingWindows, TimeWindows

# Each public name and the module it comes from. Imported when first asked for: `import engine.names` in a Celery worker or in
# the console must not load RocksDB and the Kafka client.
_MODULES = {
    "Branched": "engine.topology.branches",
    "BufferConfig": "engine.topology.suppressed",
    "Consumed": "engine.topology.options",
    "EmitStrategy": "engine.topology.windows",
    "Engine": "engine.instance",
    "EngineConfig": "engine.config",
    "Grouped": "engine.topology.options",
    "JoinWindows": "engine.topology.windows",
    "Joined": "engine.topology.options",
    "Materialized": "engine.topology.options",
    "Named": "engine.topology.options",
    "Processor": "engine.topology.processors",
    "ProcessorContext": "engine.topology.processors",
    "Produced": "engine.topology.options",
    "PunctuationType": "engine.topology.processors",
    "Record": "engine.records",
    "Repartitioned": "engine.topology.options",
    "SessionWindows": "engine.topology.windows",
    "SlidingWindows": "engine.topology.windows",
    "Stores": "engine.topology.suppliers",
    "StreamJoined": "engine.topology.options",
    "StreamsBuilder": "engine.topology.builder",
    "Suppressed": "engine.topology.suppressed",
    "TableJoined": "engine.topology.options",
    "TimeWindows": "engine.topology.windows",
    "TopologyTestDriver": "engine.testing",
    "ValueAndTimestamp": "engine.records",
    "Windowed": "engine.records",
}

__all__ = [
    "Branched",
    "BufferConfig",
    "Consumed",
    "EmitStrategy",
    "Engine",
    "EngineConfig",
    "Grouped",
    "JoinWindows",
    "Joined",
    "Materialized",
    "Named",
    "Processor",
    "ProcessorContext",
    "Produced",
    "PunctuationType",
    "Record",
    "Repartitioned",
    "SessionWindows",
    "SlidingWindows",
    "Stores",
    "StreamJoined",
    "StreamsBuilder",
    "Suppressed",
    "TableJoined",
    "TimeWindows",
    "TopologyTestDriver",
    "ValueAndTimestamp",
    "Windowed",
    "serdes",
]


def __getattr__(name: str) -> Any:
    if name == "serdes":
        return import_module("engine.serdes")
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module 'engine' has no attribute {name!r}") from None
    return getattr(import_module(module), name)
