"""How fast the restore thread reads: beside a busy loop, beside an idle one, and under a bound in bytes."""

from types import SimpleNamespace

import pytest

from engine.changelog.restore import BATCH_RECORDS
from engine.runtime import restore_pace
from engine.runtime.restore_pace import Pace


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=100.0, busy=0.0)
    monkeypatch.setattr(restore_pace.time, "monotonic", lambda: found.now)
    return found


def beside(clock, **given):
    """A pace beside a loop that has been looked at once."""
    pace = Pace(**{"share_min": 0.2, "loop_busy_seconds": lambda: clock.busy, **given})
    pace.note(1, 1, 0.0, 0.0, yields=True)
    return pace


def restores(pace, clock, *, seconds, loop_busy, cpu_per_record=2.5e-6):
    """Restore for so long beside a loop that works a part of the time; returns the CPU seconds that it took of it."""
    end, used = clock.now + seconds, 0.0
    while clock.now < end:
        cpu = pace.records_max * cpu_per_record
        clock.now, clock.busy, used = clock.now + cpu, clock.busy + cpu * loop_busy, used + cpu
        pace.note(pace.records_max, 1, cpu, cpu, yields=True)
        waits = max(pace.wait_seconds, 0.0)
        clock.now, clock.busy = clock.now + waits, clock.busy + waits * loop_busy
    return used


def test_beside_an_idle_loop_a_restore_never_waits(clock):
    pace = beside(clock)
    assert restores(pace, clock, seconds=10, loop_busy=0.0) == pytest.approx(10, rel=0.01)
    assert pace.yielded_seconds == 0
    assert pace.records_max == BATCH_RECORDS


def test_beside_a_loop_that_is_always_busy_it_gets_its_least_and_no_less(clock):
    pace = beside(clock)
    restores(pace, clock, seconds=1, loop_busy=1.0)
    assert restores(pace, clock, seconds=10, loop_busy=1.0) == pytest.approx(2, rel=0.01)
    assert pace.share == 0.2


def test_it_takes_what_the_loop_leaves(clock):
    pace = beside(clock)
    restores(pace, clock, seconds=1, loop_busy=0.4)
    assert restores(pace, clock, seconds=10, loop_busy=0.4) == pytest.approx(6, rel=0.02)


def test_it_is_at_full_speed_again_soon_after_the_loop_has_nothing_to_do(clock):
    pace = beside(clock)
    restores(pace, clock, seconds=1, loop_busy=1.0)
    restores(pace, clock, seconds=0.5, loop_busy=0.0)
    waited = pace.yielded_seconds
    restores(pace, clock, seconds=1, loop_busy=0.0)
    assert pace.yielded_seconds == waited


def test_beside_a_busy_loop_batches_are_small(clock):
    pace = beside(clock)
    restores(pace, clock, seconds=1, loop_busy=1.0)
    # 10 ms at 2.5 µs a record.
    assert pace.records_max == 4_000
    restores(pace, clock, seconds=1, loop_busy=1.0, cpu_per_record=1e-3)
    assert pace.records_max == 500


def test_a_share_of_all_yields_to_nobody(clock):
    pace = beside(clock, share_min=1.0)
    assert restores(pace, clock, seconds=10, loop_busy=1.0) == pytest.approx(10, rel=0.01)


def test_what_only_follows_does_not_yield(clock):
    pace = beside(clock)
    restores(pace, clock, seconds=1, loop_busy=1.0)
    waited = pace.yielded_seconds
    pace.note(1_000, 1, 0.01, 0.01, yields=False)
    assert pace.wait_seconds <= 0
    assert pace.yielded_seconds == waited


@pytest.mark.usefixtures("clock")
def test_a_throttle_waits_for_what_was_read_and_reads_in_pieces():
    pace = Pace(bytes_per_second_max=10_000)
    assert pace.records_max == 100
    pace.note(100, 20_000, 0.5, 0.0, yields=True)
    assert pace.throttled_seconds == 1.5
    assert pace.wait_seconds == 1.5
    # 200 bytes a record, a quarter of a second at a time.
    assert pace.records_max == 12
    pace.note(0, 0, 0.5, 0.0, yields=True)
    assert pace.throttled_seconds == 1.5


def test_a_throttle_beside_a_busy_loop_waits_for_the_longer_of_the_two(clock):
    pace = beside(clock, bytes_per_second_max=10_000)
    clock.now, clock.busy = clock.now + 1, clock.busy + 1
    pace.note(100, 1_000, 0.01, 0.01, yields=True)
    assert pace.wait_seconds == pytest.approx(0.09)
    pace.note(100, 1_000, 0.1, 0.1, yields=True)
    assert pace.wait_seconds == pytest.approx(0.4)
