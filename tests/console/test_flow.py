import pytest

from console.observe import flow
from console.observe.board import State
from engine.control import status
from tests.console import reports


def work(sub, **fields):
    return status.Work(sub_topology=sub, **fields)


def state(*, works=(), lags=(), subs=(), unreachable=()):
    """``lags``: (topic, lag, lag_ms); ``subs``: (sources, sinks)."""
    found = State("shop")
    found.instances = {f"engine-{n}": reports.instance(f"engine-{n}", work=each) for n, each in enumerate(works)}
    found.unreachable = {name: {} for name in unreachable}
    found.tasks = {f"0_{n}": [reports.task(f"0_{n}", topic=topic, lag=lag)] for n, (topic, lag, _) in enumerate(lags)}
    found.lag = {("input", topic, n): ("OK", "", 0.0, 0.0, ms, "measured") for n, (topic, _, ms) in enumerate(lags)}
    found.topology = reports.topology()
    found.topology.description["sub_topologies"] = [
        {"id": n, "sources": list(sources), "sinks": list(sinks)} for n, (sources, sinks) in enumerate(subs)
    ]
    return found


def test_rates_of_all_reachable_instances_add_up_and_the_busiest_decides():
    seen = flow.of(
        state(
            works=[
                [work(0, busy_ratio=0.1, waiting=5, nodes={"count": 10.0})],
                [work(0, busy_ratio=0.6, nodes={"count": 32.5})],
                [work(0, busy_ratio=1.0, nodes={"count": 999.0})],
            ],
            unreachable=["engine-2"],
        )
    )

    assert seen["nodes"] == {"count": 42.5}
    assert seen["parts"][0] == {"busy_ratio": 0.6, "waiting": 5, "paused": 0, "state": "busy"}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"busy_ratio": 0.0}, "idle"),
        ({"busy_ratio": 0.2}, "working"),
        ({"busy_ratio": 0.8}, "busy"),
        ({"busy_ratio": 0.8, "paused": 1}, "backpressured"),
        ({}, None),
    ],
)
def test_a_part_is_named_by_what_its_loop_does(fields, word):
    assert flow.of(state(works=[[work(0, **fields)]]))["parts"][0]["state"] == word


def test_lag_is_local_where_it_waits_and_inherited_below():
    seen = flow.of(
        state(
            lags=[("orders", 10, 4_000), ("prices", 5, 9_000), ("shop-by-key-repartition", 3, 500)],
            subs=[(["orders", "prices"], ["by-key"]), (["by-key"], [])],
        )
    )["topics"]

    assert (seen["orders"]["lag_ms"], seen["orders"]["inherited_ms"]) == (4_000, 4_000)
    below = seen["shop-by-key-repartition"]
    assert (below["lag"], below["lag_ms"], below["inherited_ms"]) == (3, 500, 9_500)


def test_an_unknown_way_in_makes_what_is_inherited_unknown():
    seen = flow.of(
        state(
            lags=[("orders", 10, None), ("shop-by-key-repartition", 3, 500)],
            subs=[(["orders"], ["by-key"]), (["by-key"], [])],
        )
    )["topics"]

    assert (seen["orders"]["lag_ms"], seen["shop-by-key-repartition"]["inherited_ms"]) == (None, None)


def test_topics_that_feed_each_other_do_not_hang():
    seen = flow.of(state(lags=[("a", 1, 10), ("b", 1, 20)], subs=[(["a"], ["b"]), (["b"], ["a"])]))["topics"]

    assert seen["a"]["inherited_ms"] == 30
    assert seen["b"]["inherited_ms"] is not None
