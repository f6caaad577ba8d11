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
