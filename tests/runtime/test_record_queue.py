"""The order in which a task takes the records of its inputs."""

import random

import pytest

from engine.records import Batch, RawBatch
from engine.runtime.record_queue import Inputs, RecordQueue, Refused


def queue(topic, *timestamps, partition=0):
    found = RecordQueue((topic, partition), 0, -1)
    add(found, *timestamps)
    return found


def add(to, *timestamps):
    if timestamps:
        offsets = list(range(to.received, to.received + len(timestamps)))
        names = [f"{to.place[0]}{offset}" for offset in offsets]
        to.add(Batch(names, names, list(timestamps), offsets=offsets), offsets, offsets[-1] + 1)


def taken(inputs, now_ms=0):
    return [(key, at) for _, batch in inputs.take(now_ms) for key, at in zip(batch.keys, batch.timestamps, strict=True)]


def test_records_go_by_time_then_topic_then_offset():
    inputs = Inputs([queue("b", 1, 5, 5), queue("a", 3, 5, 9)], 0, lambda _: 0)
    assert taken(inputs) == [("b0", 1), ("a0", 3), ("a1", 5), ("b1", 5), ("b2", 5), ("a2", 9)]


def test_a_late_record_does_not_hold_back_its_neighbour():
    """Only heads are compared: a record behind its own partition's time waits for those before it."""
    inputs = Inputs([queue("a", 10, 1), queue("b", 5)], 0, lambda _: 0)
    assert taken(inputs) == [("b0", 5), ("a0", 10), ("a1", 1)]


def test_an_empty_partition_is_waited_for_until_its_lag_is_0():
    lag = {("a", 0): 0, ("b", 0): None}
    empty = queue("b")
    inputs = Inputs([queue("a", 1, 2), empty], 0, lag.get)
    assert taken(inputs) == []
    lag["b", 0] = 3
    assert taken(inputs) == []
    add(empty, 2)
    lag["b", 0] = 0
    assert taken(inputs) == [("a0", 1), ("a1", 2), ("b0", 2)]


def test_what_was_processed_stays_so_when_the_task_has_to_wait_again():
    lag = {("a", 0): 0, ("b", 0): 5}
    first, second = queue("a", 1, 4, 6), queue("b", 3)
    inputs = Inputs([first, second], 0, lag.get)
    assert taken(inputs) == [("a0", 1), ("b0", 3)]
    assert (first.position, second.position, first.waiting) == (1, 1, 2)
    add(second, 5)
    assert taken(inputs) == [("a1", 4), ("b1", 5)]


def test_max_task_idle_waits_on_after_lag_0_and_no_longer():
    inputs = Inputs([queue("a", 1), queue("b")], 100, lambda _: 0)
    assert taken(inputs, 1_000) == []
    assert taken(inputs, 1_099) == []
    assert taken(inputs, 1_100) == [("a0", 1)]


def test_minus_one_never_waits():
    inputs = Inputs([queue("a", 1), queue("b")], -1, lambda _: 7)
    assert taken(inputs) == [("a0", 1)]


def test_a_single_partition_goes_through_in_whole_chunks():
    only = queue("a", 5, 1, 9)
    add(only, 2, 2)
    batches = [batch.keys for _, batch in Inputs([only], 0, lambda _: None).take(0)]
    assert batches == [["a0", "a1", "a2"], ["a3", "a4"]]
    assert (only.position, only.partition_time) == (5, 9)


def test_skipped_records_count_as_processed_once_those_before_them_are():
    only = queue("a", 5)
    only.add(Batch([], [], []), [], 4)
    assert only.position == 0
    assert taken(Inputs([only], 0, lambda _: 0)) == [("a0", 5)]
    assert only.position == 4
    only.add(Batch([], [], []), [], 6)
    assert only.position == 6


@pytest.mark.parametrize("seed", range(20))
def test_any_mix_goes_in_the_order_of_one_record_at_a_time(seed):
    """The runs that are taken at once are those that single steps would take."""
    chance = random.Random(seed)
    times = {t: [chance.randrange(10) for _ in range(chance.randrange(1, 12))] for t in "abc"}
    heads, expected = dict.fromkeys(times, 0), []
    while any(heads[t] < len(times[t]) for t in times):
        topic = min((t for t in times if heads[t] < len(times[t])), key=lambda t: (times[t][heads[t]], t))
        expected.append((f"{topic}{heads[topic]}", times[topic][heads[topic]]))
        heads[topic] += 1
    inputs = Inputs([queue(t, *found) for t, found in times.items()], 0, lambda _: 0)
    assert taken(inputs) == expected


def test_what_could_not_be_decoded_counts_once_the_position_has_passed_it():
    raw = RawBatch("a", 0, [0, 1, 2, 3, 4], *([None] * 5 for _ in range(2)), [1, 2, 3, 4, 5], None)
    bad = [Refused(raw, row, ValueError()) for row in (0, 2, 4)]
    found = RecordQueue(("a", 0), 0, -1)
    found.add(Batch(["k", "k"], ["v", "v"], [2, 4], offsets=[1, 3]), [1, 3], 5, bad)
    assert list(found.passed()) == []
    found.take_until(2, inclusive=True)
    # Up to the next record that counts.
    assert [refused.offset for refused in found.passed()] == [0, 2]
    assert list(found.passed()) == []
    found.take_chunk()
    assert [refused.offset for refused in found.passed()] == [4]
    # Nothing before it: it is passed as it comes.
    later = RawBatch("a", 0, [5, 6], [None, None], [None, None], [6, 7], None)
    found.add(Batch([], [], []), [], 6, [Refused(later, 0, ValueError())])
    assert [refused.offset for refused in found.passed()] == [5]
    found.add(Batch(["k"], ["v"], [7], offsets=[7]), [7], 8, [Refused(later, 1, ValueError())])
    found.clear(6, 4)
    assert list(found.passed()) == []
