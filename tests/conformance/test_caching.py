"""With the record cache on, results are those of cache 0 with superseded ones left out, per commit.

The measured cases say what cache 0 gives; here they run with the cache, and a commit every few records.
"""

import json

import pytest

from engine import serdes
from engine.testing import TopologyTestDriver
from engine.topology.builder import StreamsBuilder
from tests.conformance.cases import HERE
from tests.conformance.oracle_run import OPS

# Operators whose results wait in a store's cache. What is sent when a window closes is not superseded by anything; and
# below a source table that is cached too, an aggregation sees fewer changes than the measured cases have.
CACHED = {
    "count", "reduce", "aggregate", "selectkey-count", "tumbling", "hopping", "sliding", "session", "cogroup",
}  # fmt: skip
COMMIT_EVERY = 6


def cases():
    lines = (HERE / "oracle.jsonl").read_text(encoding="utf-8").splitlines()
    found = [case for case in map(json.loads, lines) if case["op"] in CACHED]
    return [case for case in found if case["params"].get("emit", "update") == "update"]


def latest_by_interval(rows, length):
    """By commit interval, the last [value, ts] of each key; `rows` are [place of the input, key, value, ts]."""
    intervals = [{} for _ in range(0, length, COMMIT_EVERY)]
    for place, key, value, timestamp in rows:
        intervals[place // COMMIT_EVERY][json.dumps(key)] = [value, timestamp]
    return intervals


def without_the_unseen(intervals):
    """What came and went within one interval was never seen by anyone: it leaves no tombstone."""
    seen = set()
    for interval in intervals:
        for key, (value, _) in list(interval.items()):
            if value is not None:
                seen.add(key)
            elif key in seen:
                seen.discard(key)
            else:
                del interval[key]
    return intervals


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_commit_sends_the_last_update_of_each_key(case):
    builder = StreamsBuilder()
    setup = OPS[case["op"]].build(builder, case["params"])
    inputs, rows = case["inputs"], []
    with TopologyTestDriver(builder, application_id="oracle", caching=True, emit_interval_ms=0) as driver:
        for first in range(0, len(inputs), COMMIT_EVERY):
            driver.pipe_all([tuple(row) for row in inputs[first : first + COMMIT_EVERY]])
            driver.commit()
            for record in driver.output_topic("out", serdes.string, serdes.string).read_records():
                key = json.loads(record.key) if setup.keys_are_json else record.key
                rows.append([first, key, record.value, record.timestamp])
        assert [list(row) for row in setup.rows(driver.store(setup.store))] == case["final_store"]
        assert driver.dropped_records_total == case["dropped"]
    keys = [(place, json.dumps(key)) for place, key, *_ in rows]
    assert len(keys) == len(set(keys)), "a commit sent two updates of one key"
    expected = without_the_unseen(latest_by_interval(case["outputs"], len(inputs)))
    assert latest_by_interval(rows, len(inputs)) == expected
