"""Which reaction each error of the client asks for."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from engine import broker_errors
from engine.errors import BrokerUnavailable, Fatal, TaskCorrupted, TaskMigrated

# As the client names them: a number that is written wrong in the engine is another error.
CODES = {
    BrokerUnavailable: [
        "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_MSG_TIMED_OUT", "_TIMED_OUT_QUEUE",
        "_WAIT_COORD", "_WAIT_CACHE", "_RETRY", "_DESTROY", "_UNKNOWN_BROKER", "REQUEST_TIMED_OUT",
        "NETWORK_EXCEPTION", "BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION", "NOT_CONTROLLER", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "KAFKA_STORAGE_ERROR", "OFFSET_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR", "UNSTABLE_OFFSET_COMMIT", "CONCURRENT_TRANSACTIONS", "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH", "INCONSISTENT_GROUP_PROTOCOL", "THROTTLING_QUOTA_EXCEEDED",
    ],
    TaskMigrated: [
        "_FENCED", "_ASSIGNMENT_LOST", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID",
        "REBALANCE_IN_PROGRESS", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED",
    ],
    TaskCorrupted: ["_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"],
    broker_errors.MissingTopic: ["_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "_NOENT", "UNKNOWN_TOPIC_OR_PART"],
    Fatal: [
        "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "SASL_AUTHENTICATION_FAILED", "INVALID_REQUEST", "_INVALID_ARG",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in CODES.items() for name in names])
def test_an_error_of_the_client_has_its_reaction(kind, name):
    error = KafkaError(getattr(KafkaError, name), "as the broker says")
    for given in (error, KafkaException(error)):
        found = broker_errors.named(given, "the offsets could not be committed")
        assert type(found) is kind
        assert str(found).startswith("the offsets could not be committed: as the broker says")
