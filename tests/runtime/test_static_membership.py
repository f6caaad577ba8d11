"""Static membership: an instance that is back within the session timeout finds its tasks where it left them."""

from contextlib import ExitStack

import pytest

from engine.instance import Engine
from tests.runtime import programs
from tests.runtime.harness import PATIENCE_SECONDS, config, create, eventually, produce

pytestmark = pytest.mark.kafka
KEYS = 30
NAMES = ("one", "two", "three")


@pytest.fixture
def application(kafka):
    name = kafka.unique("static")
    create(kafka, programs.input_topic(name), partitions=6)
    return name


def fill(kafka, application):
    produce(kafka, programs.input_topic(application), [(f"k{i % KEYS}".encode(), b"v") for i in range(KEYS * 4)])
    return KEYS * 4


def start(application, settings):
    engine = Engine(programs.quiet_counts(application), settings)
    engine.start()
    return engine


def stop(engine):
    engine.request_stop()
    engine.wait(PATIENCE_SECONDS)


def tasks_of(engine):
    return sorted(t.id for t in engine.tasks.running()) if hasattr(engine, "tasks") else []


def restored(engine):
    return sum(r.records for t in engine.tasks.running() for r in t.restores.values())


def test_a_rolling_restart_moves_nothing_and_restores_at_most_the_lag(kafka, application, tmp_path):
    """Each of three instances is stopped cleanly while records arrive, and started again."""
    settings = {
        # A clean stop of a static member leaves nothing: only this timeout gives its tasks away.
        name: config(
            kafka,
            application,
            tmp_path / name,
            instance_id=name,
            group_instance_id=name,
            session_timeout_ms=45_000,
            num_standby_replicas=1,
        )
        for name in NAMES
    }
    expected = fill(kafka, application)
    with ExitStack() as stack:
        engines = {}
        for name in NAMES:
            engines[name] = start(application, settings[name])
        stack.callback(lambda: [stop(e) for e in engines.values()])
        eventually(lambda: sorted(map(len, map(tasks_of, engines.values()))) == [2, 2, 2], "two tasks each")
        eventually(lambda: sum(e.loop.processed_total for e in engines.values()) >= expected, "processed")
        eventually(lambda: not any(t.dirty for e in engines.values() for t in e.tasks.running()), "committed")
        for name in NAMES:
            mine = tasks_of(engines[name])
            others = {other: engines[other].membership.rebalances_total for other in NAMES if other != name}
            stop(engines[name])
            fill(kafka, application)
            engines[name] = start(application, settings[name])
            eventually(lambda name=name, mine=mine: tasks_of(engines[name]) == mine, f"{name} has its tasks again")
            # Its own last commit was the changelogs' last: nobody wrote since.
            assert restored(engines[name]) == 0
            assert {other: engines[other].membership.rebalances_total for other in others} == others
