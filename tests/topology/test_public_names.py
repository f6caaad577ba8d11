"""The names of design §3, and nothing else."""

import subprocess
import sys

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


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Streams'"):
        _ = engine.Streams


def test_importing_the_package_loads_neither_rocksdb_nor_the_kafka_client():
    code = "import sys, engine; print(sorted({'rocksdict', 'confluent_kafka', 'django'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
