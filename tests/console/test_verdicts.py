import random

import pytest

from console.lag import verdicts
from console.lag.verdicts import Sample, judge

START = 1_700_000_000_000


def window(lags, *, positions=None, step_ms=2_000):
    positions = positions or [1000 + 10 * index for index in range(len(lags))]
    return [
        Sample(START + index * step_ms, position, position + (lag or 0), lag)
        for index, (lag, position) in enumerate(zip(lags, positions, strict=True))
    ]


def at_end(samples):
    return samples[-1].at + 500


def judged(lags, **options):
    samples = window(lags, **options)
    return judge(samples, at_end(samples))


def test_nothing_measured_is_unknown_and_not_zero():
    finding = judge([Sample(START, None, None, None)], START)

    assert (finding.status, finding.eta, finding.lag_per_second) == ("UNKNOWN", None, None)


def test_no_lag_is_ok_from_the_first_sample_on():
    assert judged([0]).status == "OK"


def test_two_samples_of_lag_are_still_being_measured():
    assert judged([500, 900]).status == "UNKNOWN"


def test_a_growing_lag_is_falling_behind_and_never_ends():
    finding = judged([40_000 + 760 * index for index in range(12)])

    assert finding.status == "WARN"
    assert finding.eta == "never"
    assert finding.lag_per_second == pytest.approx(380)
    assert "48,360 records, +380/s, never at this rate" in finding.reason


def test_a_noisy_growing_lag_is_falling_behind_too():
    dice = random.Random(4)
    finding = judged([40_000 + 760 * index + dice.randint(-900, 900) for index in range(30)])

    assert finding.status == "WARN"


def test_a_shrinking_lag_has_an_eta():
    finding = judged([12_000 - 1_000 * index for index in range(11)])

    assert finding.status == "OK"
    assert finding.lag_per_second == pytest.approx(-500)
    assert finding.eta == pytest.approx(4.0)


def test_no_movement_while_records_wait_is_a_stall():
    finding = judged([700] * 8, positions=[1000] * 8)

    assert finding.status == "STALL"
    assert finding.reason.startswith("No movement for 14 s while 700 records wait. See its instance's last error")


def test_standing_still_beside_a_busy_instance_is_falling_behind():
    samples = window([700] * 8, positions=[1000] * 8)

    finding = judge(samples, at_end(samples), owner_is_busy=True)

    assert (finding.status, finding.eta) == ("WARN", "never")
    assert "busy with others" in finding.reason


def test_a_short_standstill_is_not_yet_a_stall():
    assert judged([700] * 4, positions=[1000] * 4).status != "STALL"


def test_the_pulse_of_commits_is_ok_though_the_lag_is_never_zero():
    dice = random.Random(7)
    lags = [dice.randint(100, 1500) for _ in range(30)]

    finding = judged(lags, positions=[20_000 * index for index in range(30)])

    assert finding.status == "OK"
    assert "Keeps up" in finding.reason


def test_having_been_caught_up_in_the_window_is_ok():
    assert judged([0, 0, 50, 100, 150, 200, 250]).status == "OK"


def test_a_silent_owner_with_waiting_records_is_a_stop():
    samples = window([500] * 6)

    finding = judge(samples, samples[-1].at + 30_000)

    assert finding.status == "STOP"
    assert finding.reason.startswith("No report for 30 s; 500 records were waiting. See")


def test_a_committed_offset_below_the_beginning_is_a_stop_with_a_remedy():
    samples = window([500] * 6)

    finding = judge(samples, at_end(samples), committed=40, begin=100)

    assert finding.status == "STOP"
    assert "retention" in finding.reason


@pytest.mark.parametrize(
    ("etas", "expected"),
    [([1.0, 8.5, 3.0], 8.5), ([1.0, "never"], "never"), ([1.0, None], None), ([], None), ([None, "never"], "never")],
)
def test_the_slowest_part_decides(etas, expected):
    assert verdicts.slowest(etas) == expected


def test_the_worst_verdict_wins_and_ok_ranks_below_unknown():
    assert verdicts.worst([("OK", "a"), ("WARN", "b"), ("STALL", "c"), ("UNKNOWN", "d")]) == {
        "status": "STALL",
        "reason": "c",
    }
    assert verdicts.worst([("OK", "a"), ("UNKNOWN", "d")])["status"] == "UNKNOWN"


def test_one_record_is_one():
    assert (verdicts.records(1), verdicts.records(1_200)) == ("1 record", "1,200 records")
    assert (verdicts.waiting(1), verdicts.waiting(0)) == ("1 record waits", "0 records wait")
    assert (verdicts.waited(1), verdicts.waited(2)) == ("1 record was waiting", "2 records were waiting")
