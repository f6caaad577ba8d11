"""A1, A4 to A7: joins of streams."""

from typing import Any

from engine import serdes
from engine.topology.options import StreamJoined
from engine.topology.stream import Stream
from engine.topology.windows import JoinWindows
from tests.conformance.vectors.running import JSON, OUT, Running, with_dash, with_plus
from tests.conformance.vectors.sections import known, section


def joined(name: str, **options: Any) -> StreamJoined:
    return StreamJoined(name, serdes.json, serdes.json, serdes.json, **options)


def join(kind: str, left: Stream, right: Stream, joiner: Any, windows: JoinWindows, name: str) -> Stream:
    ways = {"inner": left.join, "left": left.left_join, "outer": left.outer_join}
    return ways[kind](right, joiner, windows, joined(name))


@section("A1")
def check_steps(vector: dict[str, Any], shared: dict[str, Any], *, batch: bool) -> None:
    if "op" not in vector:
        known(vector, "inputs")
        assert all(row[0] in {"L", "R"} for row in vector["inputs"])
        return
    known(vector, "op diff_ms grace_ms inputs out_per_input")
    windows = JoinWindows.of(difference_ms=vector["diff_ms"], grace_ms=vector["grace_ms"])
    op = vector["op"].split(":")[0]

    def build(builder: Any) -> None:
        left, right = builder.stream("L", JSON), builder.stream("R", JSON)
        if op == "ss-multi":
            # The op's text leaves the second join to the name: testMultiInner, testMultiLeft, testMultiOuter.
            second = vector["id"].rsplit("testMulti", 1)[1].lower()
            left = join("inner", left, right, with_dash, windows, "first")
            join(second, left, right, with_dash, windows, "second").to("out", OUT)
        else:
            join(op.removeprefix("ss-"), left, right, with_dash, windows, "join").to("out", OUT)

    rows = [tuple(row) for row in shared[vector["inputs"]]["inputs"]]
    with Running(build, batch=batch) as running:
        running.compare_each(rows, vector["out_per_input"])


@section("A4")
def check_self_join(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "op diff_ms grace_ms inputs out_per_input")
    assert vector["op"] == "ss-inner-self"
    windows = JoinWindows.of(difference_ms=vector["diff_ms"], grace_ms=vector["grace_ms"])

    def build(builder: Any) -> None:
        stream = builder.stream("in", JSON)
        stream.join(stream, with_dash, windows, joined("join", single_store=True)).to("out", OUT)

    rows = [("in", 0, value, timestamp) for value, timestamp in vector["inputs"]]
    expected = [[[0, value, timestamp] for value, timestamp in out] for out in vector["out_per_input"]]
    with Running(build, batch=batch) as running:
        running.compare_each(rows, expected)


@section("A5", "A6", "A7")
def check_edges(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "op before after grace steps")
    windows = JoinWindows(vector["before"], vector["after"], vector["grace"])

    def build(builder: Any) -> None:
        left, right = builder.stream("L", JSON), builder.stream("R", JSON)
        join(vector["op"].removeprefix("ss-"), left, right, with_plus, windows, "join").to("out", OUT)

    with Running(build, batch=batch) as running:
        for inputs, outputs in vector["steps"]:
            assert running.answers([tuple(row) for row in inputs]) == outputs
