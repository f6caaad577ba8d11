"""The commit's bounds: what may wait for it in bytes, and the timeouts that it rests on."""

from types import SimpleNamespace

import pytest

from engine.config import AT_LEAST_ONCE, EXACTLY_ONCE, EngineConfig
from engine.errors import BrokerUnavailable
from engine.instance import Engine
from engine.runtime import consumer as consumers
from engine.runtime import producer as producers
from engine.runtime.commit import Committer
from tests.runtime import programs
from tests.runtime.harness import PATIENCE_SECONDS, config, create, produce

RECORDS = 6_000
BOUND = 300_000


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", [EXACTLY_ONCE, AT_LEAST_ONCE])
def test_what_is_not_committed_is_bounded_by_early_commits(kafka, tmp_path, guarantee):
    name = kafka.unique("bounded")
    create(kafka, programs.input_topic(name))
    keys = [b"%06d" % i + b"x" * 200 for i in range(RECORDS)]
    produce(kafka, programs.input_topic(name), [(key, b"v") for key in keys])
    waiting = []

    def look(step):
        if step == "before-offsets":
            waiting.append(sum(task.uncommitted_bytes for task in engine.tasks.running()))

    # Nothing but the bound makes it commit before the end, and no batch is larger than half of it.
    settings = config(
        kafka, name, tmp_path / "state", guarantee=guarantee, commit_interval_ms=4_000, poll_records=400,
        uncommitted_bytes_max=BOUND, stop_when_caught_up=True,
    )  # fmt: skip
    engine = Engine(programs.counts(name, output=False), settings, crash_point=look)
    engine.start()
    engine.wait(PATIENCE_SECONDS)
    assert len(waiting) >= RECORDS * 200 / BOUND
    assert BOUND <= max(waiting) < 2 * BOUND
    assert engine.committer.aborts_total == 0


def test_a_commit_without_work_tells_what_became_of_what_a_global_table_sent():
    def flush():
        raise BrokerUnavailable("1 records were not taken by the brokers")

    producer = SimpleNamespace(transaction=SimpleNamespace(required=False), flush=flush)
    with pytest.raises(BrokerUnavailable):
        Committer(producer, consumer=None).commit([])


def test_a_dead_owners_transaction_ends_before_its_tasks_move_whatever_the_settings():
    for settings in ({}, {"session_timeout_ms": 60_000}, {"session_timeout_ms": 1_000, "commit_interval_ms": 100}):
        told = EngineConfig("shop", client_settings={"max.poll.interval.ms": "1"}, **settings)
        member, producer = consumers.member_settings(told, {}), producers._settings(told, {}, "id")
        assert producer["transaction.timeout.ms"] == told.transaction_timeout < member["session.timeout.ms"]
        # A group setting of the client cannot undo what was checked.
        assert member["max.poll.interval.ms"] == told.max_poll_interval_ms
