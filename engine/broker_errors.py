"""Which of the engine's reactions an error of the Kafka client asks for.

librdkafka's own codes begin with an underscore and are public all the same; they are named here once. Pure functions.
"""

from confluent_kafka import KafkaError, KafkaException

from engine.errors import BrokerUnavailable, Fatal, StatehouseError, TaskCorrupted, TaskMigrated


class MissingTopic(Fatal):
    """A topic or partition that was asked for does not exist, or does not exist yet."""


TIMED_OUT = -185
TRANSPORT = -195
ALL_BROKERS_DOWN = -187
MAX_POLL_EXCEEDED = -147
FENCED = -144
# All that `produce` says of a client that has failed for good.
FATAL = -150
AUTO_OFFSET_RESET = -140
PARTITION_EOF = -191
STATE = -172
CONFLICT = -173
RESOLVE = -193
NO_ENTRY = -156
UNKNOWN_TOPIC = -188
UNKNOWN_PARTITION = -190
NO_OFFSET = -168
PURGED_QUEUE = -152
PURGED_INFLIGHT = -151
MESSAGE_TIMED_OUT = -192
INVALID_DIFFERENT_RECORD = -138
WAIT_COORDINATOR = -180
WAIT_CACHE = -164
RETRY = -153
TIMED_OUT_QUEUE = -166
BROKER_GONE = -197
UNKNOWN_BROKER = -146
ASSIGNMENT_LOST = -142

_MIGRATED = {
    FENCED,
    ASSIGNMENT_LOST,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}
_UNAVAILABLE = {
    TIMED_OUT,
    TRANSPORT,
    ALL_BROKERS_DOWN,
    RESOLVE,
    MESSAGE_TIMED_OUT,
    TIMED_OUT_QUEUE,
    WAIT_COORDINATOR,
    WAIT_CACHE,
    RETRY,
    BROKER_GONE,
    UNKNOWN_BROKER,
    # What Kafka's protocol calls retriable: a broker that starts, a partition or a group on its way to another one.
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.NOT_CONTROLLER,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.THROTTLING_QUOTA_EXCEEDED,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    # The group's last members were of another kind, Kafka Streams' own: they count until their session has timed out.
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
}
# The group is between two generations, or has left out a member that has not heard of it yet. Either ends within polls.
OVERTAKEN = {KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.UNKNOWN_MEMBER_ID}
# The broker took a look at a record and does not take it.
REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    INVALID_DIFFERENT_RECORD,
}
# What is asked for does not exist, or does not exist any more.
UNKNOWN = {UNKNOWN_TOPIC, UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
}


def cause(error: KafkaException | KafkaError) -> KafkaError:
    """The client's error within an exception."""
    return error.args[0] if isinstance(error, KafkaException) else error


def passes(error: KafkaError) -> bool:
    """Whether the same question may be answered when it is asked again; librdkafka marks such errors as retriable."""
    return bool(error.retriable()) or error.code() == TIMED_OUT


def named(error: KafkaException | KafkaError, what: str) -> StatehouseError:
    """The engine's error for one of the client's; `what` says what was being done, and where."""
    found = cause(error)
    code = found.code()
    text = f"{what}: {found.str()}"
    if code in _MIGRATED:
        return TaskMigrated(f"{text}. Another member has taken over; this one rejoins")
    if code in DENIED:
        return Fatal(f"{text}. Give the engine's principal the right to it")
    if code in UNKNOWN or code == NO_ENTRY:
        return MissingTopic(f"{text}. Create the topic, or name another")
    if code in {AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
        return TaskCorrupted(f"{text}. The offset is no longer in the topic")
    if code in _UNAVAILABLE or found.retriable():
        return BrokerUnavailable(f"{text}. Check bootstrap_servers and the brokers")
    return Fatal(text)
