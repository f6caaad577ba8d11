"""The names of design §3, and nothing else."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import engine

NAMES = [
    "Branched", "BufferConfig", "Consumed", "EmitStrategy", "Engine", "EngineConfig", "Grouped", "JoinWindows", "Joined",
    "Materialized", "Named", "Processor", "ProcessorContext", "Produced", "PunctuationType", "Record", "Repartitioned",
    "SessionWindows", "SlidingWindows", "Stores", "StreamJoined", "StreamsBuilder", "Suppressed", "TableJoined",
    "TimeWindows", "TopologyTestDriver", "ValueAndTimestamp", "Windowed", "serdes",
]  # fmt: skip


def test_these_names_are_public():
    assert engine.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported_and_says_what_it_is(name):
    assert (getattr(engine, name).__doc__ or "").strip()


# What a user's program meets without importing it: what the builder, the driver and the stores hand out.
HANDED_OUT = {
    "engine.topology.stream": ("Stream",),
    "engine.topology.table": ("Table", "GlobalTable"),
    "engine.topology.grouped": ("GroupedStream", "GroupedTable"),
    "engine.topology.windowed": ("WindowedStream", "SessionWindowedStream"),
    "engine.topology.cogrouped": ("CogroupedStream", "WindowedCogroupedStream", "SessionWindowedCogroupedStream"),
    "engine.topology.branches": ("Branches",),
    "engine.topology.suppliers": ("StoreSupplier",),
    "engine.topology.topology": ("Topology",),
    "engine.stores.key_value": ("KeyValueStore",),
    "engine.stores.window": ("WindowStore",),
    "engine.stores.session": ("SessionStore",),
    "engine.stores.versioned": ("VersionedStore",),
    "engine.stores.iterators": ("StoreIterator",),
    "engine.testing.topics": ("TestInputTopic", "TestOutputTopic"),
}


def public_classes():
    named = [getattr(engine, name) for name in NAMES]
    handed_out = [getattr(import_module(module), name) for module, names in HANDED_OUT.items() for name in names]
    return [each for each in [*named, *handed_out] if inspect.isclass(each)]


@pytest.mark.parametrize("owner", public_classes(), ids=lambda owner: owner.__name__)
def test_each_public_method_says_what_it_does(owner):
    ours = [kind for kind in owner.__mro__ if kind.__module__.startswith("engine.")]
    members = {name: member for kind in reversed(ours) for name, member in vars(kind).items()}
    silent = [
        name
        for name, member in members.items()
        if not name.startswith("_")
        and (inspect.isroutine(member) or isinstance(member, (property, classmethod, staticmethod)))
        and not (inspect.getdoc(member) or "").strip()
    ]
    assert silent == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Streams'"):
        _ = engine.Streams


def test_importing_the_package_loads_neither_rocksdb_nor_the_kafka_client():
    code = "import sys, engine; print(sorted({'rocksdict', 'confluent_kafka', 'django'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
