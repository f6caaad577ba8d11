"""E to H and I2: the contracts of stores and the byte layouts, through the adapters of the stores' own tests."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import serdes
from engine.operators import changed
from engine.serdes.foreign_key import subscription_prefix
from engine.stores import layouts, open_store
from engine.topology.stores import StoreSpec
from tests.conformance.vectors.sections import known, section
from tests.stores import test_vectors as contracts
from tests.stores.vectors import Context, closed_at_the_end

BACKENDS = ("rocksdb", "memory")


@contextmanager
def place() -> Iterator[tuple[Path, Callable[[Any], Any]]]:
    """A directory, and `closed_at_the_end` for the stores in it."""
    with tempfile.TemporaryDirectory() as directory, closed_at_the_end() as closing:
        yield Path(directory), closing


@section("E")
def check_key_value(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "ops changelog")
    contracts.E[vector["id"]] = vector
    for backend in BACKENDS:
        with place() as (directory, closing):
            contracts.test_key_value_contract(vector["id"], backend, batch, directory, closing)


@section("F")
def check_window(vector: dict[str, Any], shared: dict[str, Any], *, batch: bool) -> None:
    known(
        vector,
        "batch1 batch2 after asserts n puts ops all backwardAll retainDuplicates abs_time dropped changelog windowSize"
        f" keys retention segmentInterval exception {' '.join(name for name in vector if name.startswith('visible_after_'))}",
    )
    if "batch1" in vector:
        assert len(vector["batch1"]) == len(vector["batch2"]) == 6
        return
    setups = [content for content in shared.values() if content["section"] == "F" and "batch1" in content]
    contracts.F.update({content["id"]: content for content in [*setups, vector]})
    with place() as (directory, closing):
        if "segmentInterval" in vector:
            contracts.check_segments_roll(
                vector, closing(contracts.window_store("rocksdb", directory / "plain", vector))
            )
            ordered = contracts.window_store("rocksdb", directory / "ordered", vector, emit_final=True)
            contracts.check_boundary_rows(vector, closing(ordered))
            return
        for backend in BACKENDS:
            contracts.test_window_contract(vector["id"], backend, batch, directory / backend, closing)


@section("G")
def check_session(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "puts ops asserts also keys values_only retention dropped")
    contracts.G[vector["id"]] = vector
    for backend in BACKENDS:
        with place() as (directory, closing):
            contracts.test_session_contract(vector["id"], backend, batch, directory, closing)


@section("H")
def check_versioned(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "ops historyRetention transactional")
    contracts.H[vector["id"]] = vector
    with place() as (directory, closing):
        contracts.test_versioned_contract(vector["id"], "rocksdb", batch, directory, closing)


@section("I2")
def check_layout(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:  # noqa: ARG001 - no records
    known(vector, "layout example examples changelog since")
    examples = vector.get("examples", [vector["example"]] if isinstance(vector.get("example"), dict) else [])
    for example in examples:
        assert _encoded(example).hex() == example["hex"]
    layout = vector["layout"]
    if layout.startswith("line1"):
        _check_position_within(layout)
    elif "record timestamp == version timestamp" in layout:
        with place() as (directory, closing):
            contracts.test_a_versioned_changelog_carries_the_version_in_its_timestamp(directory, closing)
    else:
        assert examples, f"the adapter does not know the layout {layout}"
    if "changelog" in vector:
        with place() as (directory, closing):
            contracts.test_a_timestamped_changelog_has_plain_values(directory, closing)


def _encoded(example: dict[str, Any]) -> bytes:
    """The bytes of an example: which layout it is of is told by what it gives."""
    fields = frozenset(example.keys() - {"hex", "note"})
    assert fields in LAYOUTS, f"the adapter knows no layout of {sorted(fields)}"
    return LAYOUTS[fields]({name: _raw(name, value) for name, value in example.items()})


def _raw(name: str, value: Any) -> Any:
    """Texts as bytes, except the example's own result."""
    return value.encode() if isinstance(value, str) and name != "hex" else value


def _windowed_key(example: dict[str, Any]) -> bytes:
    serde = serdes.TimeWindowedSerde(serdes.bytes, 10)
    return serde.serialize(contracts.Windowed(example["key"], example["start"], 0))


LAYOUTS: dict[frozenset[str], Any] = {
    frozenset({"value", "ts"}): lambda e: layouts.timestamped(e["value"], e["ts"]),
    frozenset({"key", "start", "seq"}): lambda e: layouts.window_key(e["key"], e["start"], e["seq"]),
    frozenset({"key", "start"}): _windowed_key,
    frozenset({"key", "start", "end"}): lambda e: layouts.session_key(e["key"], e["start"], e["end"]),
    frozenset({"key", "ts", "left"}): lambda e: layouts.join_side_key(e["key"], e["ts"], left=bool(e["left"])),
    frozenset({"old", "new"}): lambda e: changed.encode(e["new"], e["old"]),
    frozenset({"fk", "pk"}): lambda e: subscription_prefix(e["fk"]) + e["pk"],
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
