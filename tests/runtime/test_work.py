"""What an instance says of its loop's work: records by node, busy time by sub-topology, what waits."""

from types import SimpleNamespace

import pytest

from engine.hosting import work
from engine.hosting.report import Rate
from tests.runtime import harness, programs


def step(name):
    return SimpleNamespace(node=SimpleNamespace(name=name))


def task(sub, counts, busy_seconds, *, waiting=0, paused=False, names=("source", "count")):
    queue = SimpleNamespace(waiting=waiting, paused=paused)
    return SimpleNamespace(
        sub_topology=sub,
        plan=SimpleNamespace(steps=[step(name) for name in names]),
        node_counts=counts,
        busy_seconds=busy_seconds,
        inputs=SimpleNamespace(by_place={("t", 0): queue}),
    )


def rater():
    rates = {}
    return lambda what, value, now: rates.setdefault(what, Rate()).per_second(value, now)


def test_the_tasks_of_a_sub_topology_are_one_entry():
    rate = rater()
    work.of_tasks([task(0, [0, 0], 0.0), task(0, [0, 0], 0.0), task(1, [0, 0], 0.0)], rate, 100.0)

    first, second = work.of_tasks(
        [task(0, [400, 100], 0.5, waiting=7), task(0, [600, 100], 0.3, paused=True), task(1, [0, 0], 0.0)], rate, 102.0
    )

    assert (first.sub_topology, first.busy_ratio, first.waiting, first.paused) == (0, 0.4, 7, 1)
    assert first.nodes == {"source": 500.0, "count": 100.0}
    assert (second.sub_topology, second.busy_ratio, second.nodes) == (1, 0.0, {"source": 0.0, "count": 0.0})


def test_what_has_been_seen_once_has_no_rate_yet():
    (only,) = work.of_tasks([task(0, [400, 100], 0.5)], rater(), 100.0)

    assert (only.busy_ratio, only.nodes) == (None, {})


def test_a_topology_with_very_many_nodes_leaves_them_out_and_keeps_the_rest():
    names = [f"node-{number}" for number in range(work.NODES_MAX + 1)]
    rate = rater()
    for now in (1.0, 2.0):
        found = work.of_tasks([task(0, [1] * len(names), now / 10, names=names)], rate, now)

    assert (found[0].nodes, found[0].busy_ratio) == ({}, 0.1)


@pytest.mark.kafka
def test_an_instance_counts_the_records_that_reach_each_node(kafka, tmp_path):
    application = kafka.unique("work")
    topic = harness.create(kafka, programs.input_topic(application))
    harness.create(kafka, programs.output_topic(application))
    harness.produce(kafka, topic, [(f"k{n % 3}".encode(), b"v", 1_000 + n) for n in range(500)])
    settings = harness.config(kafka, application, tmp_path)

    with harness.running(programs.counts(application), settings) as engine:
        harness.eventually(
            lambda: hasattr(engine, "loop") and engine.loop.processed_total == 500, "all records are processed"
        )
        running = engine.tasks.running()[0]
        by_name = dict(zip((s.node.name for s in running.plan.steps), running.node_counts, strict=True))
        assert sum(count == 500 for count in by_name.values()) >= 2, by_name
        assert running.busy_seconds > 0
        harness.eventually(lambda: any(r.work for r in engine.reporter.latest() if hasattr(r, "work")), "work is told")
