"""What the loop does now and then, in a running engine."""

import logging

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from tests.runtime import programs
from tests.runtime.harness import (
    allow,
    config,
    create,
    deny,
    eventually,
    forget_rules,
    guarded_broker,
    produce,
    running,
)

pytestmark = pytest.mark.kafka
RECORDS = 20


def test_a_purge_that_is_refused_is_told_once_and_asked_for_until_it_is_done(tmp_path, monkeypatch, caplog):
    with guarded_broker(tmp_path / "kafka", monkeypatch) as kafka:
        name = kafka.unique("purge")
        create(kafka, programs.input_topic(name))
        create(kafka, programs.output_topic(name))
        produce(kafka, programs.input_topic(name), [(b"k", b"v")] * RECORDS)
        topic = f"{name}-by-value-repartition"
        allow(kafka, ResourceType.TOPIC, topic, AclOperation.ALL)
        deny(kafka, ResourceType.TOPIC, topic, AclOperation.DELETE)

        def told():
            return [r.getMessage() for r in caplog.records if "could not be deleted" in r.getMessage()]

        settings = config(kafka, name, tmp_path / "state", repartition_purge_interval_ms=100)
        with caplog.at_level(logging.WARNING), running(programs.regrouped(name), settings) as engine:
            eventually(told, "the refusal")
            # The input rests from here on, and the refusals go on.
            eventually(lambda: engine.loop.processed_total == 2 * RECORDS, "all records")
            turns = engine.loop.turns_total
            eventually(lambda: engine.loop.turns_total > turns + 20, "some more purges")
            assert engine.topics.begin_offsets([(topic, 0)]) == {(topic, 0): 0}
            forget_rules(kafka)
            eventually(lambda: engine.topics.begin_offsets([(topic, 0)])[topic, 0] >= RECORDS, "the purge")
        assert len(told()) == 1
        assert f"{topic}-0" in told()[0]
        assert "Give the engine's principal the right" in told()[0]
