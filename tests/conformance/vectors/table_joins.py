"""A2, A3, A8, A9: joins with tables, null keys, global tables."""

from typing import Any

from engine import serdes
from engine.topology.options import Joined, Materialized, Repartitioned, TableJoined
from engine.topology.suppliers import Stores
from engine.topology.table import Table
from engine.topology.windows import JoinWindows
from tests.conformance.oracle.joins import fk
from tests.conformance.vectors.running import JSON, OUT, Running, shown, with_dash, with_plus
from tests.conformance.vectors.sections import known, section
from tests.conformance.vectors.stream_joins import join

HISTORY_MS = 300_000
VERSIONED = {
    "none": "",
    False: "",
    True: "LR",
    "VersionedStores": "LR",
    "LeftVersionedOnly": "L",
    "RightVersionedOnly": "R",
}


def table(builder: Any, topic: str, *, versioned: bool) -> Table:
    kept = Materialized(f"{topic}-table")
    if versioned:
        kept = Materialized.as_(Stores.persistent_versioned(f"{topic}-table", HISTORY_MS), serdes.json, serdes.json)
    return builder.table(topic, JSON, kept)


def with_bar(left: Any, right: Any) -> str:
    return f"{shown(left)}|{shown(right)}"


def _under_one_key(vector: dict[str, Any], shared: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    rows = [(side, 0, value, timestamp) for side, value, timestamp in shared[vector["inputs"]]["inputs"]]
    return rows, [[[0, value, timestamp] for value, timestamp in out] for out in vector["out_per_input"]]


@section("A2")
def check_tables(vector: dict[str, Any], shared: dict[str, Any], *, batch: bool) -> None:
    if "op" not in vector:
        known(vector, "inputs")
        assert all(row[0] in {"L", "R"} for row in vector["inputs"])
        return
    known(vector, "op versioned inputs out_per_input final_when_cached")
    kind, versioned = vector["op"].removeprefix("tt-"), VERSIONED[vector["versioned"]]

    def build(builder: Any) -> None:
        left = table(builder, "L", versioned="L" in versioned)
        right = table(builder, "R", versioned="R" in versioned)
        ways = {"inner": left.join, "left": left.left_join, "outer": left.outer_join}
        ways[kind](right, with_dash).to_stream().to("out", OUT)

    rows, expected = _under_one_key(vector, shared)
    with Running(build, batch=batch) as running:
        running.compare_each(rows, expected)
    if "final_when_cached" in vector:
        with Running(build, batch=batch, caching=True) as running:
            running.feed(rows)
            running.driver.commit()
            assert running.written()[-1] == vector["final_when_cached"]


@section("A3")
def check_stream_table(vector: dict[str, Any], shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "op versioned grace_ms inputs out_per_input")

    def build(builder: Any) -> None:
        stream = builder.stream("L", JSON)
        right = table(builder, "R", versioned=vector["versioned"])
        way = stream.join if vector["op"] == "st-inner" else stream.left_join
        way(right, with_dash, Joined("join", grace_ms=vector.get("grace_ms"))).to("out", OUT)

    rows, expected = _under_one_key(vector, shared)
    with Running(build, batch=batch) as running:
        running.compare_each(rows, expected)


@section("A8")
def check_foreign_key(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "types versioned steps")
    for kind in vector["types"]:
        for materialized in (True, False):
            _check_foreign_key(vector, kind, materialized=materialized, batch=batch)


def _check_foreign_key(vector: dict[str, Any], kind: str, *, materialized: bool, batch: bool) -> None:
    def extract(value: str) -> str | None:
        found = fk(value)
        return None if found == "returnNull" else found

    def build(builder: Any) -> None:
        versioned = vector.get("versioned", False)
        left, right = (table(builder, side, versioned=versioned) for side in "LR")
        way = left.join if kind == "inner" else left.left_join
        kept = Materialized("store", serdes.json, serdes.json) if materialized else None
        joined = way(right, extract, lambda one, other: f"({shown(one)},{shown(other)})", TableJoined("fk"), kept)
        joined.to_stream().to("out", OUT)

    with Running(build, batch=batch) as running:
        for step in vector["steps"]:
            assert step.keys() <= {"in", "out", "store"}
            rows = running.answers([tuple(row) for row in step["in"]])
            assert {key: value for key, value, _ in rows} == step.get("out", {})
            if "store" in step and materialized:
                assert {key: kept.value for key, kept in running.driver.store("store").all()} == step["store"]


@section("A9")
def check_null_keys(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "op joiner steps global_ stream out")
    if "global_" in vector:
        _check_global(vector, batch=batch)
        return
    op, kind = vector["op"].split(",")[0].split(" (")[0], vector["op"].split(",")[0].rsplit("-", 1)[-1]
    joiner = {"|": with_bar, "+": with_plus, "-": with_dash, None: None}[vector.get("joiner")]

    def build(builder: Any) -> None:
        left = builder.stream("L", JSON)
        way = left.join if kind == "inner" else left.left_join
        if op.startswith("ss-"):
            windows = JoinWindows.of(difference_ms=60_000)
            join(kind, left, builder.stream("R", JSON), joiner, windows, "join").to("out", OUT)
        elif op.startswith("st-"):
            way(table(builder, "R", versioned=False), joiner, Joined("join")).to("out", OUT)
        elif op.startswith("stream-globaltable-"):
            right = builder.global_table("R", JSON, Materialized("global"))
            nothing = "mapper returns null" in vector["op"]
            way(right, lambda key, _value: None if nothing else key, joiner).to("out", OUT)
        elif op == "repartition":
            left.repartition(Repartitioned("again", serdes.json, serdes.json)).to("out", OUT)
        else:
            raise AssertionError(f"the adapter does not know the op {vector['op']}")

    with Running(build, batch=batch) as running:
        for inputs, outputs in vector["steps"]:
            found = running.answers([tuple(row) for row in inputs])
            assert [row[:2] for row in found] == outputs


def _check_global(vector: dict[str, Any], *, batch: bool) -> None:
    kind = vector["op"].split(",")[0].removeprefix("stream-globaltable-")

    def build(builder: Any) -> None:
        stream, right = builder.stream("L", JSON), builder.global_table("G", JSON, Materialized("global"))
        way = {"inner": stream.join, "left": stream.left_join}[kind]
        way(right, lambda _, value: value, with_plus).to("out", OUT)

    with Running(build, batch=batch) as running:
        running.feed([("G", *row) for row in vector["global_"]])
        assert running.answers([("L", *row) for row in vector["stream"]]) == vector["out"]
