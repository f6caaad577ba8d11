"""The status topic itself: created by the first engine that finds none. Called on the reporter's thread."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

# Bounds the end of an engine whose broker is gone: its reporter may be in the middle of asking.
_ANSWER_SECONDS = 4.0
# Compaction keeps the newest record of a key, deletion clears what dirty ends left behind. A day is longer than any
# reader takes a record for fresh, and live records are written every few seconds.
_SETTINGS = {
    "cleanup.policy": "compact,delete",
    "retention.ms": str(24 * 60 * 60 * 1_000),
    "segment.ms": str(60 * 60 * 1_000),
    "segment.bytes": str(16 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "max.message.bytes": str(2 * 1024 * 1024),
}


def ensure_topic(admin: AdminClient, topic: str, replication_factor: int = -1) -> None:
    """Create `topic` unless it exists; -1 leaves the replication to the broker's default.

    Raises KafkaException when the cluster does not answer or refuses: try again later.
    """
    # Asked first, so that a cluster whose administrator made the topic need not grant its creation.
    found = admin.list_topics(topic, timeout=_ANSWER_SECONDS).topics.get(topic)
    if found is not None and found.error is None:
        return
    wanted = NewTopic(topic, num_partitions=1, replication_factor=replication_factor, config=dict(_SETTINGS))
    try:
        admin.create_topics([wanted], request_timeout=_ANSWER_SECONDS)[topic].result(_ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
