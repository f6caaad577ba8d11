"""Runs one measured case (ORACLE.md) through the test driver and compares everything it gives, to the byte."""

import base64
import json
from itertools import groupby
from typing import Any

from engine.testing import TopologyTestDriver
from engine.topology.builder import StreamsBuilder
from tests.conformance.oracle import aggregates, joins, stateless, stores, tables, windows  # noqa: F401 - they register their ops
from tests.conformance.oracle.setup import OPS, Setup

KNOWN_FIELDS = {
    "id", "op", "params", "inputs", "outputs", "final_store", "dropped", "changelog", "changelogs", "error", "error_at",
}  # fmt: skip


def check(case: dict[str, Any], *, batch: bool) -> None:
    assert case.keys() <= KNOWN_FIELDS, f"unknown fields {case.keys() - KNOWN_FIELDS}"
    assert case["op"] in OPS, f"the runner has no adapter for op {case['op']}"
    op, params = OPS[case["op"]], case["params"]
    unknown = params.keys() - op.params
    assert not unknown, f"the adapter of {case['op']} does not know the parameters {unknown}"
    builder = StreamsBuilder()
    setup = op.build(builder, params)
    with TopologyTestDriver(
        builder, application_id="oracle", emit_interval_ms=params.get("emit_interval_ms", 0)
    ) as driver:
        if "error" in case:
            _check_error(case, driver, batch=batch)
            return
        outputs = feed_batch(driver, case["inputs"]) if batch else feed_each(driver, case["inputs"])
        expected = [row[1:] for row in case["outputs"]] if batch else case["outputs"]
        assert [_shown(row, setup) for row in outputs] == expected
        _check_state(case, driver, setup, batch=batch)


def feed_each(driver: TopologyTestDriver, inputs: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Record by record: (input's place, topic, record) of everything written."""
    written: list[tuple[Any, ...]] = []
    for place, (topic, key, value, timestamp) in enumerate(inputs):
        before = len(driver.outputs())
        if topic == "@wall":
            driver.advance_wall_clock(timestamp)
        else:
            driver.input_topic(topic).pipe(key, value, timestamp)
        written += [(place, *row) for row in driver.outputs()[before:]]
    return written


def feed_batch(driver: TopologyTestDriver, inputs: list[list[Any]]) -> list[tuple[Any, ...]]:
    """All at once, cut where the wall clock moves: (topic, record) of everything written."""
    for is_wall, rows in groupby(inputs, key=lambda row: row[0] == "@wall"):
        if is_wall:
            for row in rows:
                driver.advance_wall_clock(row[3])
        else:
            driver.pipe_all([tuple(row) for row in rows])
    return list(driver.outputs())


def _shown(row: tuple[Any, ...], setup: Setup) -> list[Any]:
    """A written record as the case has it."""
    *place, topic, record = row
    key = None if record.key is None else record.key.decode()
    if setup.keys_are_json and key is not None:
        key = json.loads(key)
    value = None if record.value is None else record.value.decode()
    return [*place, key, value, record.timestamp, *([topic] if setup.names_topics else [])]


def _check_state(case: dict[str, Any], driver: TopologyTestDriver, setup: Setup, *, batch: bool) -> None:
    if "final_store" in case:
        assert setup.rows is not None, "the adapter cannot read the final store"
        assert [list(row) for row in setup.rows(driver.store(setup.store))] == case["final_store"]
    assert driver.dropped_records_total == case["dropped"]
    own = f"oracle-{setup.store}-changelog"
    if "changelog" in case:
        assert _rows(driver, own) == case["changelog"]
    if "changelogs" in case:
        prefix = len("oracle-")
        others = {topic[prefix:]: _rows(driver, topic) for topic in driver.internal_topics() if topic != own}
        expected = {name: rows for name, rows in case["changelogs"].items() if rows}
        for name in setup.logs_at_commit if batch else ():
            others[name], expected[name] = _folded(others[name]), _folded(expected[name])
        assert others == expected


def _rows(driver: TopologyTestDriver, topic: str) -> list[list[Any]]:
    return [[_base64(row.key), _base64(row.value), row.timestamp] for row in driver.changelog(topic)]


def _folded(rows: list[list[Any]]) -> dict[str, Any]:
    return {key: value for key, value, _ in rows}


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _check_error(case: dict[str, Any], driver: TopologyTestDriver, *, batch: bool) -> None:
    """Kafka Streams threw: until there the answers are the same, and there we do better than to throw."""
    before, rest = case["inputs"][: case["error_at"]], case["inputs"][case["error_at"] :]
    outputs = feed_batch(driver, before) if batch else feed_each(driver, before)
    expected = [row[1:] if batch else row for row in case["outputs"] if row[0] < case["error_at"]]
    assert [_shown(row, Setup()) for row in outputs] == expected
    feed_batch(driver, rest) if batch else feed_each(driver, rest)
