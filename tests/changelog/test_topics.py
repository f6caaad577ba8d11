"""What is asked of the cluster's topics, where a broker is not needed for it."""

import gc
import weakref
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from engine import broker_errors
from engine.changelog.topics import Topics
from engine.errors import BrokerUnavailable


class Admin:
    """A cluster that does not answer."""

    def list_offsets(self, asked, **_):
        futures = {place: Future() for place in asked}
        for future in futures.values():
            future.set_exception(KafkaException(KafkaError(broker_errors.TIMED_OUT)))
        return futures


def test_a_client_that_was_not_answered_is_let_go_once_it_is_replaced(monkeypatch):
    """Each outage left one behind, with its threads, until the collector of circles came by: hours, in an engine."""
    monkeypatch.setattr("engine.changelog.topics.ANSWER_SECONDS", 0)
    topics = Topics({"bootstrap.servers": "127.0.0.1:9"}, 1)
    topics.admin = Admin()
    gone = weakref.ref(topics.admin)
    gc.disable()
    try:
        with pytest.raises(BrokerUnavailable, match="the offsets of in-0 could not be read") as raised:
            topics.offsets([("in", 0)], OffsetSpec.latest())
        del raised
        topics.admin = None
        assert gone() is None
    finally:
        gc.enable()
