"""All records of one application on the status topic: which there are, and taking them off. Any thread.

The end of an engine takes its own records off. What is left of an application that is reset are the topology, events,
and whatever instances left that died.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from engine.control.status import TOPIC
from engine.errors import BrokerUnavailable

ANSWER_SECONDS = 30.0
_FIELDS_MIN = 2  # kind and application


def keys(client: Mapping[str, Any], application: str) -> list[str]:
    """Kafka keys of the live records of `application`, sorted. Raises BrokerUnavailable when they cannot be read."""
    consumer = Consumer(
        {
            **client,
            "group.id": "statehouse-reset",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
        }
    )
    live: dict[str, bool] = {}
    try:
        if consumer.list_topics(TOPIC, ANSWER_SECONDS).topics[TOPIC].error is not None:
            return []
        place = TopicPartition(TOPIC, 0)
        begin, end = consumer.get_watermark_offsets(place, ANSWER_SECONDS)
        place.offset = begin
        consumer.assign([place])
        deadline = time.monotonic() + ANSWER_SECONDS
        while begin < end and consumer.position([place])[0].offset < end:
            for message in consumer.consume(1_000, 0.2):
                if message.error() is None and (key := _key(message.key())) is not None:
                    live[key] = message.value() is not None
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"topic {TOPIC} could not be read: are the brokers up?")
    except KafkaException as error:
        raise BrokerUnavailable(f"topic {TOPIC} could not be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return sorted(key for key, there in live.items() if there and _application(key) == application)


def stores_of(client: Mapping[str, Any], application: str, instance: str) -> frozenset[tuple[str, str]]:
    """Task and store of each copy that an instance reports, or reported until it died. Raises BrokerUnavailable."""
    fields = [key.split("|") for key in keys(client, application)]
    return frozenset((f[2], f[3]) for f in fields if f[0] == "store" and f[4:] == [instance])


def remove(client: Mapping[str, Any], chosen: Iterable[str]) -> None:
    """Write a tombstone under each key. Raises BrokerUnavailable when they are not taken."""
    failed: list[str] = []
    producer = Producer({**client, "enable.idempotence": True})
    for key in chosen:
        producer.produce(TOPIC, None, key, 0, lambda error, _: failed.append(error.str()) if error else None)
    if producer.flush(ANSWER_SECONDS) > 0 or failed:
        raise BrokerUnavailable(f"records of topic {TOPIC} could not be taken off: {failed or 'no answer'}")


def _key(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None  # not a record of ours


def _application(key: str) -> str | None:
    fields = key.split("|")
    return fields[1] if len(fields) >= _FIELDS_MIN else None
