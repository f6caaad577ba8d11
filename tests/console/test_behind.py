import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from console.lag.behind import Ends
from console.models import LagSample
from console.observe import snapshot
from tests.console import reports

START = 1_700_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND


def seen(*looks):
    ends = Ends()
    for end, at in looks:
        ends.note(end, START + at)
    return ends


def test_nothing_observed_is_unknown():
    assert Ends().behind(10, START) == (None, None)


def test_a_position_at_the_end_has_nothing_waiting():
    assert seen((100, 0)).behind(100, START + MINUTE) == (0, "caught-up")


def test_a_record_is_as_old_as_the_look_at_which_the_end_had_passed_it():
    ends = seen((100, 0), (110, 2 * SECOND), (130, 4 * SECOND))

    assert ends.behind(110, START + 10 * SECOND) == (8 * SECOND, "measured")
    assert ends.behind(120, START + 10 * SECOND) == (7 * SECOND, "measured")


def test_on_an_idle_topic_what_waits_gets_older_by_the_clock():
    ends = seen((100, 0), (110, 2 * SECOND), *((110, at * SECOND) for at in range(4, 600, 2)))

    assert ends.behind(105, START + 600 * SECOND).ms == 599 * SECOND


def test_the_hour_between_two_bursts_is_not_spread_over_the_records():
    hour = 3600 * SECOND
    ends = seen((100, 0), (200, SECOND), (200, hour), (1_200, hour + 2 * SECOND))

    # Record 250 came with the second burst: seconds ago, not half an hour.
    assert ends.behind(250, START + hour + 3 * SECOND) == (2_900, "measured")


def test_what_waited_before_observation_began_has_waited_at_least_so_long():
    assert seen((5_000, 0), (5_100, 2 * SECOND)).behind(40, START + MINUTE) == (MINUTE, "at-least")


def test_looks_that_lie_far_apart_make_an_interpolation_that_says_so():
    assert seen((100, 0), (200, 10 * MINUTE)).behind(150, START + 10 * MINUTE) == (5 * MINUTE, "interpolated")


def test_an_end_that_went_back_is_another_life_of_the_topic():
    ends = seen((10_000, 0), (20, 5 * SECOND), (30, 7 * SECOND))

    assert ends.behind(20, START + 9 * SECOND) == (4 * SECOND, "measured")
    assert ends.behind(3, START + 9 * SECOND).how == "at-least"


def test_recorded_looks_come_before_those_of_this_run():
    ends = seen((300, 10 * MINUTE), (310, 10 * MINUTE + 2 * SECOND))
    ends.older([(100, START, START + 5 * SECOND), (200, START + 10 * SECOND, START + 12 * SECOND)])

    assert ends.behind(150, START + 11 * MINUTE) == (11 * MINUTE - 7_500, "measured")
    assert ends.behind(250, START + 11 * MINUTE).how == "interpolated"
    assert ends.behind(50, START + 11 * MINUTE).how == "at-least"


def test_a_long_history_is_bounded_and_stays_right_within_its_steps():
    dice = random.Random(7)
    ends, truth, end = Ends(), [], 0
    for step in range(5_000):
        end += dice.randint(0, 50)
        ends.note(end, START + step * SECOND)
        truth.append((end, step))
    now = START + 5_000 * SECOND
    assert len(ends._end) <= 96
    ages = [ends.behind(position, now).ms for position in range(100, end, 997)]
    assert ages == sorted(ages, reverse=True), "an older record never waits for less"
    # The newest half keeps its detail.
    recent = end - 60
    came = next(step for passed, step in truth if passed > recent)
    assert abs(ends.behind(recent, now).ms - (5_000 - came) * SECOND) <= 2 * SECOND


def test_a_partition_that_keeps_up_keeps_no_past():
    ends = Ends()
    for step in range(1_000):
        ends.note(step * 10, START + step * SECOND)
        ends.passed(step * 10)
    assert len(ends._end) <= 2
    assert ends.behind(9_985, START + 1_000 * SECOND).how == "measured"


pages = pytest.mark.django_db


@pytest.fixture
def clock(observed):
    """The observer's clock, moved by hand."""
    times = {"now": reports.now_ms()}
    observed.observer._clock_ms = lambda: times["now"]
    return times


def report_input(observed, sequence, clock, **fields):
    at = clock["now"]
    record = reports.task("0_0", sequence=sequence, at=at)
    record.inputs = [type(record.inputs[0])(topic="orders", partition=0, **fields)]
    observed.report(reports.instance(sequence=sequence, at=at), record)


def lag_row():
    return snapshot.rows(snapshot.lag("shop")["inputs"])[0]


@pages
def test_the_age_of_what_waits_is_on_the_snapshot_with_how_it_was_got(observed, clock):
    report_input(observed, 1, clock, position=100, committed=100, begin=0, end=100, lag=0)
    assert (lag_row()["lag_ms"], lag_row()["lag_ms_how"]) == (0, "caught-up")

    for sequence in itertools.count(2):
        clock["now"] += 2_000
        report_input(
            observed, sequence, clock, position=100, committed=100, begin=0, end=100 + 10 * sequence, lag=10 * sequence
        )
        if sequence == 6:
            break

    assert lag_row()["lag_ms_how"] == "measured"
    assert 8_000 <= lag_row()["lag_ms"] <= 12_000
    assert snapshot.lag("shop")["lag"]["lag_ms"] == lag_row()["lag_ms"]
    newest = LagSample.objects.filter(kind="input").order_by("-at").first()
    assert newest.lag_ms == lag_row()["lag_ms"]


@pages
def test_of_a_truncated_topic_the_oldest_record_that_is_left_counts(observed, clock):
    for sequence in range(1, 20):
        fields = {"position": 0, "committed": 0, "end": 100 * sequence, "lag": 100 * sequence}
        report_input(observed, sequence, clock, begin=0 if sequence < 19 else 1_700, **fields)
        clock["now"] += 10_000

    # Offset 1,700 was written after the look at which the end was 1,700: that was two looks before the last one.
    assert lag_row()["lag_ms"] == 20_000
    assert lag_row()["verdict"] == "STOP"


@pages
def test_a_new_observer_knows_from_the_database_how_old_the_waiting_records_are(observed, clock):
    app = "shop"
    observed.report(reports.instance())
    began = datetime.fromtimestamp(clock["now"] / 1000, UTC) - timedelta(minutes=20)
    LagSample.objects.bulk_create(
        LagSample(application_id=app, kind="input", name="orders", partition=0, at=began + timedelta(seconds=5 * step), position=0, end=100 * step, lag=100 * step)
        for step in range(24)
    )  # fmt: skip
    observed.observer.history._is_remembered = False
    observed.observer.history.write()
    report_input(observed, 2, clock, position=1_000, committed=1_000, begin=0, end=9_000, lag=8_000)

    assert lag_row()["lag_ms_how"] == "measured"
    assert abs(lag_row()["lag_ms"] - (20 * 60_000 - 50_000)) <= 6_000
