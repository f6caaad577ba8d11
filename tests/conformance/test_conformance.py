"""Every conformance case, record by record and with all its inputs in one micro-batch (cut where the wall clock moves)."""

import pytest

from tests.conformance import oracle_run, vectors_run
from tests.conformance.cases import Case, read_cases, shared_inputs

CASES = read_cases()
SHARED = shared_inputs(CASES)
MODES = ("each", "batch")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_kafka_streams(case: Case, mode: str) -> None:
    if case.format == "oracle":
        oracle_run.check(case.content, batch=mode == "batch")
    elif case.format == "vectors":
        vectors_run.check(case.content, SHARED[case.file], batch=mode == "batch")
    else:
        pytest.fail(f"{case.file}: the runner does not know the shape of {case.name}: {sorted(case.content)}")


def test_there_are_cases_of_both_kinds() -> None:
    assert {case.format for case in CASES} >= {"oracle", "vectors"}
