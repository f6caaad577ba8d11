"""Every store case that was measured against Kafka Streams 4.3.1, op by op, to the byte."""

import contextlib
import itertools

import pytest

from engine.stores import open_store
from tests.stores.vectors import Context, Run, encoded, final_rows, oracle_cases, spec_of

CASES = {case["id"]: case for case in oracle_cases()}


def commit_sometimes():
    step = itertools.count(1)
    return lambda run: run.commit() if next(step) % 3 == 0 else None


def reopen_sometimes():
    step = itertools.count(1)
    return lambda run: run.reopen() if next(step) % 7 == 0 else run.commit()


MODES = {"one-commit": lambda: None, "commits": commit_sometimes, "reopened": reopen_sometimes}


def check(case, run):
    expected = [row[2] for row in case["outputs"]]
    assert run.answers == expected
    if "final_store" in case:
        assert final_rows(case["op"], run.store) == case["final_store"]
    assert run.context.dropped_total == case["dropped"]
    run.commit()
    if "changelog" in case:
        assert encoded(run.changelog) == case["changelog"]


# Memory does not outlive a close.
@pytest.mark.parametrize(
    ("case_id", "mode"),
    [(c, mode) for c in CASES for mode in MODES if mode != "reopened" or spec_of(CASES[c]).backend == "rocksdb"],
)
def test_every_answer_is_kafka_streams_own(case_id, mode, tmp_path, closing):
    case = CASES[case_id]
    spec = spec_of(case)
    check(case, closing(Run(case, spec, tmp_path, MODES[mode]())))


@pytest.mark.parametrize("case_id", [i for i, case in CASES.items() if "final_store" in case])
def test_a_store_restored_from_its_changelog_holds_the_same(case_id, tmp_path, closing):
    case = CASES[case_id]
    run = closing(Run(case, spec_of(case), tmp_path / "live"))
    run.commit()
    with contextlib.closing(open_store(run.spec, tmp_path / "restored", Context())) as restored:
        for start in range(0, len(run.changelog), 5):
            restored.restore(run.changelog[start : start + 5], start + 5)
        assert final_rows(case["op"], restored) == final_rows(case["op"], run.store)


@pytest.mark.parametrize("case_id", [i for i, case in CASES.items() if case["op"] != "versioned-store"])
def test_coalesced_changelogs_hold_the_last_value_of_each_key(case_id, tmp_path, closing):
    case = CASES[case_id]
    spec = spec_of(case)
    every = closing(Run(case, spec, tmp_path / "every"))
    every.commit()
    coalesced = closing(Run(case, spec.with_(caching=True), tmp_path / "coalesced"))
    coalesced.commit()
    assert coalesced.answers == every.answers
    if spec.retain_duplicates or spec.backend == "lru":
        assert coalesced.changelog == every.changelog
    else:
        last = {key: (value, timestamp) for key, value, timestamp in every.changelog}
        assert {key: (value, timestamp) for key, value, timestamp in coalesced.changelog} == last
        assert len(coalesced.changelog) == len(last)
