"""A live store against a copy of it, row by row, while the live one moves on."""

import pytest

from console.jobs.comparison import Comparison, Newer, OutOfOrder, Shape
from engine.stores import layouts
from engine.stores.contract import CommittedRow
from engine.topology.stores import StoreSpec

COUNTS = Shape(StoreSpec("counts", timestamped=True), None)
HOURS = Shape(StoreSpec("hours", kind="window", window_ms=10, retention_ms=100), 50)


def compare(live, copy, newer=None, *, shape=COUNTS, kept=10, observed=-1):
    comparison = Comparison(shape, kept, observed)
    for _ in comparison.merge(map(shape.place, live), map(shape.place, copy)):
        pass
    comparison.settle(newer or Newer())
    return comparison


def row(key, value, timestamp=1):
    return CommittedRow(key.encode(), value.encode(), timestamp, cursor=key.encode())


def window(key, start, value="1"):
    return CommittedRow(key.encode(), value.encode(), None, start, start + 10)


def test_missing_extra_and_different_rows_are_told_apart():
    found = compare([row("a", "1"), row("b", "2"), row("d", "4")], [row("a", "1"), row("b", "x"), row("c", "3")])

    counts = found.counts
    assert (counts.same, counts.different, counts.extra, counts.missing) == (1, 1, 1, 1)
    assert [(each.what, (each.live or each.copy).key) for each in found.kept] == [
        ("different", b"b"),
        ("missing", b"c"),
        ("extra", b"d"),
    ]


def test_a_value_with_another_time_differs_where_times_are_kept():
    assert compare([row("a", "1", 5)], [row("a", "1", 6)]).counts.different == 1
    untimed = Shape(StoreSpec("counts"), None)
    assert compare([row("a", "1", None)], [row("a", "1", None)], shape=untimed).counts.same == 1


def test_a_row_that_changed_meanwhile_agrees_with_what_the_changelog_said():
    newer = Newer({b"a": {COUNTS.digest(b"1", 1), COUNTS.digest(b"2", 2)}, b"b": {(None, None)}})

    found = compare([row("a", "2", 2)], [row("a", "1"), row("b", "1")], newer)

    assert (found.counts.moved_on, found.counts.differences) == (2, 0)


def test_a_row_that_changed_meanwhile_differs_when_the_changelog_never_said_so():
    newer = Newer({b"a": {COUNTS.digest(b"1", 1), COUNTS.digest(b"2", 2)}})

    assert compare([row("a", "3", 2)], [row("a", "1")], newer).counts.different == 1


def test_a_row_between_copy_and_store_is_left_out():
    assert compare([row("a", "0", 0)], [row("a", "1")], Newer(unsure={b"a"})).counts.moved_on == 1


def test_expired_windows_do_not_count():
    newer = Newer(observed=210)

    found = compare([window("a", 111)], [window("a", 110), window("b", 120)], newer, shape=HOURS)

    assert (found.counts.expired, found.counts.missing, found.counts.extra) == (1, 1, 1)


def test_windows_come_by_segment_and_then_by_key():
    rows = [window("b", 0), window("a", 50), window("a", 60), window("c", 50)]

    found = compare(rows, rows, shape=HOURS)

    assert (found.counts.same, found.counts.differences) == (4, 0)


def test_a_side_that_is_out_of_order_is_an_error_and_not_a_difference():
    with pytest.raises(OutOfOrder):
        compare([row("b", "1"), row("a", "1")], [row("a", "1"), row("b", "1")])


def test_differences_are_counted_beyond_those_that_are_kept():
    found = compare([row(f"{number:03}", "1") for number in range(50)], [], kept=3)

    assert (found.counts.extra, len(found.kept), found.compared) == (50, 3, 50)


def test_times_are_read_from_changelog_keys():
    assert HOURS.time_of(layouts.window_key(b"a", 77)) == 77
    sessions = Shape(StoreSpec("visits", kind="session", retention_ms=100), 50)
    assert sessions.time_of(layouts.session_key(b"a", 5, 88)) == 88
    assert COUNTS.time_of(b"a") is None
