"""The consumer without a broker: what its client says of a commit."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from engine.errors import BrokerUnavailable, TaskMigrated
from engine.runtime.aborts import RebalanceOvertook
from engine.runtime.consumer import Consumer


@pytest.mark.parametrize("whole", [True, False], ids=["as a whole", "of one partition"])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.UNKNOWN_MEMBER_ID, RebalanceOvertook),
        (KafkaError.ILLEGAL_GENERATION, RebalanceOvertook),
        (KafkaError.REBALANCE_IN_PROGRESS, RebalanceOvertook),
        (KafkaError.FENCED_INSTANCE_ID, TaskMigrated),
        (KafkaError.NOT_COORDINATOR, BrokerUnavailable),
    ],
)
def test_a_commit_that_the_group_has_overtaken_is_no_fault(code, expected, whole):
    place = TopicPartition("in", 0, 5)

    def commit(**_):
        if whole:
            raise KafkaException(KafkaError(code))
        return [SimpleNamespace(topic="in", partition=0, error=KafkaError(code))]

    with pytest.raises(expected, match="could not be committed"):
        Consumer(SimpleNamespace(commit=commit, consume=None), 10).commit([place])


def test_a_partition_that_comes_back_is_not_at_the_end_that_was_seen_before_it_left():
    """The client keeps the watermark of a former assignment: a join would believe that nothing waits, and go ahead."""
    seen, polled = [50], [50]
    client = SimpleNamespace(
        consume=None,
        incremental_assign=lambda _: None,
        incremental_unassign=lambda _: None,
        resume=lambda _: None,
        get_watermark_offsets=lambda _place, cached: (0, seen[0] if cached else None),
        position=lambda _places: [TopicPartition("in", 0, polled[0])],
    )
    consumer, place = Consumer(client, 10), ("in", 0)
    consumer.assign([TopicPartition("in", 0, 50)], {place: 50})
    assert consumer.lag(place) == 0
    consumer.unassign([place])
    # Sixty records came meanwhile, of which another instance has processed none, or some.
    for begin in (50, 100):
        polled[0] = -1001
        consumer.assign([TopicPartition("in", 0, begin)], {place: 110})
        assert consumer.lag(place) == 110 - begin
    seen[0], polled[0] = 120, 110
    assert consumer.lag(place) == 10
    seen[0] = 100
    assert consumer.lag(place) == 0
    polled[0] = 115
    assert consumer.lag(place) is None
