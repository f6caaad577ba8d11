"""New random cases, answered by the real Kafka Streams and by us. `python -m tests.conformance.differential` runs more."""

import json
from pathlib import Path

import pytest

from tests.conformance.cases import HERE
from tests.conformance.differential.__main__ import agrees, difference
from tests.conformance.differential.generator import OPS, case
from tests.conformance.differential.kafka_streams import KafkaStreams
from tests.conformance.differential.shrinking import shrunk

SEED = 7


@pytest.mark.jdk
@pytest.mark.timeout(600)
def test_kafka_streams_and_we_agree_on_a_new_case_of_every_op(tmp_path: Path) -> None:
    measured = [json.loads(line) for line in (HERE / "oracle.jsonl").read_text(encoding="utf-8").splitlines()][::80]
    with KafkaStreams(tmp_path) as streams:
        # First that the Java program is right: it must reproduce answers that others have measured.
        for given, answered in zip(measured, streams.answers(measured), strict=True):
            assert agrees(given, answered), given["id"]
        for answered in streams.answers(case(op, SEED) for op in OPS):
            assert difference(answered) is None, answered


def test_a_changed_answer_is_a_difference() -> None:
    answered = json.loads((HERE / "more.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert difference(answered) is None
    assert difference(answered | {"dropped": answered["dropped"] + 1}) is not None
    assert difference(answered | {"outputs": answered["outputs"][:-1]}) is not None


def test_cases_depend_on_nothing_but_op_and_seed() -> None:
    for op in OPS:
        assert case(op, 3) == case(op, 3)
        assert case(op, 3)["inputs"] != case(op, 4)["inputs"]


def test_shrinking_keeps_only_what_is_needed() -> None:
    given = {"inputs": [["in", "a", str(number), number] for number in range(40)]}
    small = shrunk(given, lambda smaller: {5, 31} <= {row[3] for row in smaller["inputs"]})
    assert [row[3] for row in small["inputs"]] == [5, 31]
