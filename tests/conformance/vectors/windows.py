"""B: windows and their aggregations."""

from collections import defaultdict
from typing import Any

from engine import serdes
from engine.topology.options import Materialized
from engine.topology.windows import EmitStrategy, SessionWindows, SlidingWindows, TimeWindows
from tests.conformance.vectors.running import TEXT, Running, adding, in_any_order, write_windows
from tests.conformance.vectors.sections import known, section


@section("B1")
def check_assignment(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:  # noqa: ARG001 - no records
    known(vector, "size advance ts windows")
    windows = TimeWindows.of(size_ms=vector["size"], advance_ms=vector["advance"])
    assert [list(window) for window in windows.windows_for(vector["ts"])] == vector["windows"]


def aggregated(builder: Any, windows: Any, vector: dict[str, Any], *, final: bool) -> None:
    """The vector's aggregate over `in`, written to `out`."""
    windowed = builder.stream("in", TEXT).group_by_key().windowed_by(windows)
    if final:
        windowed = windowed.emit_strategy(EmitStrategy.on_window_close)
    kept = Materialized("store", serdes.string, serdes.string)
    how = vector.get("agg", "count" if isinstance(windows, SessionWindows) else "0+x")
    if "reduce" in vector:
        assert vector["reduce"] == "a+':'+b", "the adapter does not know this reducer"
        table = windowed.reduce(lambda one, other: f"{one}:{other}", kept)
    elif how.startswith("reduce"):
        assert how == 'reduce a+"+"+b', "the adapter does not know this reducer"
        table = windowed.reduce(lambda one, other: f"{one}+{other}", kept)
    elif how == "count":
        table = windowed.count(Materialized("store", serdes.string, serdes.int64))
    else:
        table = windowed.aggregate(*adding(how), kept)
    write_windows(table)


def answers(vector: dict[str, Any], windows: Any, *, batch: bool, final: bool) -> list[Any]:
    with Running(lambda builder: aggregated(builder, windows, vector, final=final), batch=batch) as running:
        found = running.answers([("in", *row) for row in vector["in"]])
        if "dropped" in vector and not final:
            assert running.driver.dropped_records_total == vector["dropped"]
    return found


@section("B2")
def check_hopping(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "size advance grace agg reduce in out emit_final_out emit_final_note dropped")
    windows = TimeWindows.of(size_ms=vector["size"], advance_ms=vector["advance"], grace_ms=vector["grace"])
    assert answers(vector, windows, batch=batch, final=False) == vector["out"]
    if "emit_final_out" in vector:
        assert answers(vector, windows, batch=batch, final=True) == vector["emit_final_out"]


@section("B3")
def check_emit_final(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "size advance grace steps")
    windows = TimeWindows.of(size_ms=vector["size"], advance_ms=vector["advance"], grace_ms=vector["grace"])
    with Running(lambda builder: aggregated(builder, windows, vector, final=True), batch=batch) as running:
        for inputs, outputs in vector["steps"]:
            assert running.answers([("in", *row) for row in inputs]) == outputs


@section("B4")
def check_sessions(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(
        vector,
        "gap grace cache unordered reduce agg in out emit_final_out store dropped dropped_record expiration final final_fmt",
    )
    windows = SessionWindows.of(gap_ms=vector["gap"], grace_ms=vector.get("grace", 0))
    ordered = in_any_order if vector.get("unordered") else list
    caching = vector.get("cache", False)

    def build(builder: Any) -> None:
        aggregated(builder, windows, vector, final=False)

    with Running(build, batch=batch, caching=caching) as running:
        running.feed([("in", *row) for row in vector["in"]])
        if caching:
            running.driver.commit()
        found = running.written()
        if "out" in vector:
            assert ordered(found) == ordered(vector["out"])
        if "store" in vector:
            kept = [[list(key), value] for key, value in running.driver.store("store").fetch_keys(None, None)]
            assert kept == vector["store"]
        if "dropped" in vector:
            assert running.driver.dropped_records_total == vector["dropped"]
            key, timestamp = vector["dropped_record"]
            assert [key, timestamp, timestamp] not in [row[0] for row in found]
        if "final" in vector:
            last = {tuple(key): (value, timestamp) for key, value, timestamp in found}
            final: dict[str, list[Any]] = defaultdict(list)
            for (key, start, end), (value, timestamp) in sorted(last.items()):
                if value is not None:
                    final[key].append([start, end, value, timestamp])
            assert final == vector["final"]
    if "emit_final_out" in vector:
        assert ordered(answers(vector, windows, batch=batch, final=True)) == ordered(vector["emit_final_out"])


@section("B5")
def check_sliding(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:
    known(vector, "diff grace agg reduce in out per_start emit_final emit_final_out unordered dropped")
    windows = SlidingWindows.of(difference_ms=vector["diff"], grace_ms=vector["grace"])
    ordered = in_any_order if vector.get("unordered") else list
    found = answers(vector, windows, batch=batch, final=False)
    if "out" in vector:
        assert ordered(found) == ordered(vector["out"])
    if "per_start" in vector:
        assert _by_start(found) == _as_sets(vector["per_start"])
    final = answers(vector, windows, batch=batch, final=True)
    if "emit_final_out" in vector:
        assert ordered(final) == ordered(vector["emit_final_out"])
    if "emit_final" in vector:
        assert _by_start(final) == _as_sets(vector["emit_final"])


def _by_start(rows: list[Any]) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = defaultdict(set)
    for (_, start, _), value, timestamp in rows:
        found[str(start)].add((value, timestamp))
    return found


def _as_sets(per_start: dict[str, Any]) -> dict[str, set[Any]]:
    return {start: {tuple(row) for row in rows} for start, rows in per_start.items()}
