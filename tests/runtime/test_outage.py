"""A broker that stops answering for longer than sessions and transactions last: the engine stays up, the totals stay exact."""

import os
import signal
import time

import pytest
from confluent_kafka import KafkaException

from engine.config import AT_LEAST_ONCE, EXACTLY_ONCE
from tests.runtime import programs
from tests.runtime.harness import (
    committed_offsets,
    config,
    counted,
    create,
    eventually,
    fold,
    int64,
    produce,
    read,
    running,
)

pytestmark = pytest.mark.kafka
RECORDS = 20_000
SESSION_TIMEOUT_MS = 4_000
# Longer than a session, a transaction and every patience of the clients.
MINUTES = 150


@pytest.mark.parametrize(
    ("guarantee", "seconds"),
    [
        (EXACTLY_ONCE, 1.5 * SESSION_TIMEOUT_MS / 1000),
        pytest.param(EXACTLY_ONCE, MINUTES, marks=pytest.mark.soak),
        pytest.param(AT_LEAST_ONCE, MINUTES, marks=pytest.mark.soak),
    ],
)
def test_an_outage_under_load_is_survived_with_exact_totals(kafka, tmp_path, guarantee, seconds):
    name = kafka.unique("outage")
    create(kafka, programs.input_topic(name), partitions=2)
    create(kafka, programs.output_topic(name), partitions=2)
    settings = config(
        kafka,
        name,
        tmp_path / "state",
        poll_records=500,
        guarantee=guarantee,
        commit_interval_ms=100,
        session_timeout_ms=SESSION_TIMEOUT_MS,
    )

    def processed():
        try:
            return sum(max(o, 0) for o in committed_offsets(kafka, name, programs.input_topic(name), 2).values())
        except KafkaException:
            return -1  # the coordinator is not back yet

    with running(programs.counts(name), settings) as engine:
        eventually(lambda: hasattr(engine, "tasks") and len(engine.tasks.running()) == 2, "both tasks")
        produce(kafka, programs.input_topic(name), [(f"k{i % 50}".encode(), b"v") for i in range(RECORDS)])
        eventually(lambda: engine.loop.processed_total > RECORDS // 10, "some load")
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        back = time.monotonic()
        eventually(lambda: processed() == RECORDS, "lag 0")
        # The figure of RELIABILITY.md, with room for a machine that does other things too.
        assert time.monotonic() - back < 45
        assert engine.error is None
    expected = {f"k{i}".encode(): RECORDS // 50 for i in range(50)}
    output = {key: int64(value) for key, value in fold(read(kafka, programs.output_topic(name))).items()}
    changelog = counted(fold(read(kafka, f"{name}-counts-changelog")))
    if guarantee == EXACTLY_ONCE:
        assert output == changelog == expected
    else:
        assert output.keys() == changelog.keys() == expected.keys()
        assert all(changelog[key] >= count for key, count in expected.items())
