"""E to H and I2: the contracts of stores and the byte layouts, through the adapters of the stores' own tests."""

import tempfile
from pathlib import Path
from typing import Any

from engine import serdes
from engine.stores import layouts, open_store
from engine.topology.stores import StoreSpec
from tests.conformance.vectors.sections import known, section
from tests.stores import test_vectors as contracts
from tests.stores.vectors import Context

BACKENDS = ("rocksdb", "memory")


@section("E")
def check_key_value(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "ops changelog")
    contracts.E[vector["id"]] = vector
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as directory:
            contracts.test_key_value_contract(vector["id"], backend, batch, Path(directory))


@section("F")
def check_window(vector: dict[str, Any], shared: dict[str, Any], *, batch: bool) -> None:
    known(
        vector,
        "batch1 batch2 after asserts n puts ops all backwardAll retainDuplicates abs_time dropped changelog windowSize"
        " retention segmentInterval visible_after_5 visible_after_7 visible_after_8 exception",
    )
    if "batch1" in vector:
        assert len(vector["batch1"]) == len(vector["batch2"]) == 6
        return
    setups = [content for content in shared.values() if content["section"] == "F" and "batch1" in content]
    contracts.F.update({content["id"]: content for content in [*setups, vector]})
    with tempfile.TemporaryDirectory() as directory:
        if "segmentInterval" in vector:
            contracts.test_window_segments_roll(Path(directory, "plain"))
            contracts.test_time_ordered_windows_keep_one_more_boundary_row(Path(directory, "ordered"))
            return
        for backend in BACKENDS:
            contracts.test_window_contract(vector["id"], backend, batch, Path(directory, backend))


@section("G")
def check_session(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "puts ops asserts also keys values_only retention dropped")
    contracts.G[vector["id"]] = vector
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as directory:
            contracts.test_session_contract(vector["id"], backend, batch, Path(directory))


@section("H")
def check_versioned(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "ops historyRetention transactional")
    contracts.H[vector["id"]] = vector
    with tempfile.TemporaryDirectory() as directory:
        contracts.test_versioned_contract(vector["id"], "rocksdb", batch, Path(directory))


@section("I2")
def check_layout(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:  # noqa: ARG001 - no records
    known(vector, "layout example changelog since")
    layout, example = vector["layout"], vector.get("example")
    if layout.startswith("line1"):
        _check_position_within(layout)
    elif layout.startswith("key, value, record timestamp == version timestamp"):
        with tempfile.TemporaryDirectory() as directory:
            contracts.test_a_versioned_changelog_carries_the_version_in_its_timestamp(Path(directory))
    else:
        assert layout in LAYOUTS, f"the adapter does not know the layout {layout}"
        assert LAYOUTS[layout](example).hex() == example["hex"]
    if "changelog" in vector:
        with tempfile.TemporaryDirectory() as directory:
            contracts.test_a_timestamped_changelog_has_plain_values(Path(directory))


def _windowed_key(example: dict[str, Any]) -> bytes:
    serde = serdes.TimeWindowedSerde(serdes.string, 10)
    return serde.serialize(contracts.Windowed(example["key"], example["start"], 0))


LAYOUTS: dict[str, Any] = {
    "int64be ts | value": lambda e: layouts.timestamped(e["value"].encode(), e["ts"]),
    "key | int64be windowStart | int32be seqnum (0 unless retainDuplicates)": lambda e: layouts.window_key(
        e["key"].encode(), e["start"], e["seq"]
    ),
    "key | int64be windowStart (no seqnum; size supplied to the deserializer)": _windowed_key,
    "key | int64be end | int64be start": lambda e: layouts.session_key(e["key"].encode(), e["start"], e["end"]),
    "int64be ts | 1 byte (1=left,0=right) | key": lambda e: layouts.join_side_key(
        e["key"].encode(), e["ts"], left=e["left"]
    ),
}


def _check_position_within(layout: str) -> None:
    """The checkpoint file is of versions before 4.3: since then, and here, each store keeps its position in itself."""
    assert "<topic> <partition> <offset>" in layout
    spec = StoreSpec("s", "key-value", "rocksdb", serdes.string, serdes.string)
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(spec, Path(directory, "s"), Context())
        store.put("k", "v")
        store.commit(12)
        store.flush()
        store.close()
        store = open_store(spec, Path(directory, "s"), Context())
        assert store.position == 12
        store.close()
        assert not list(Path(directory).rglob("*.checkpoint"))
