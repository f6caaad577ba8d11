import json

import pytest

from console import limits
from console.models import Application, Event, Instance, LagSample, Ownership, Restore, StoreSample
from console.observe import snapshot
from engine.control import status
from tests.console import reports

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("shop")
def test_what_is_reported_is_what_a_snapshot_shows():
    seen = snapshot.overview()

    assert seen["observer"]["stale"] is False
    assert seen["totals"] == {
        "applications": 1,
        "stores": 1,
        "partitions": 2,
        "instances": 2,
        "unreachable": 0,
        "restoring": 0,
        "jobs_running": 0,
    }
    (card,) = seen["applications"]
    assert card["rates"]["in_per_second"] == 15.0
    assert card["stores"][0]["keys_estimate"] == 32
    assert card["stores"][0]["strip"] == {
        "instances": ["engine-1", "engine-2"],
        "cells": [[0, 0, 100.0, "running", 0], [1, 1, 100.0, "running", 0]],
    }


def test_an_older_record_never_replaces_a_newer_one(shop):
    shop.report(reports.store("counts", "0_0", sequence=9, keys_estimate=20))
    shop.report(reports.store("counts", "0_0", sequence=5, keys_estimate=99))

    row = snapshot.rows(snapshot.store("shop", "counts")["positions"])[0]
    assert row["keys_estimate"] == 20


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"instance|shop|engine-1", b"not json"),
        (b"instance|shop|engine-1", b'{"v":1,"kind":"surprise"}'),
        (b"instance|shop|engine-1", b'{"v":2,"kind":"instance"}'),
        (b"instance|shop|engine-1", b"[" * 100_000),
        (b"instance|shop|engine-1", b'{"a":"' + b"x" * 70_000 + b'"}'),
        (b"\xff\xfe", b"{}"),
        (b"\xff\xfe", None),
        (b"task|shop", None),
        (b"store|shop|0_0|../../etc|engine-1", reports.key_and_value(reports.store())[1]),
        (b"k" * 5_000, b"{}"),
    ],
)
def test_a_bad_record_is_counted_and_changes_nothing(shop, key, value):
    before = snapshot.overview()["applications"]

    shop.topic.put_raw(key, value)
    shop.settle()

    after = snapshot.overview()
    assert [each["id"] for each in after["applications"]] == [each["id"] for each in before]
    assert after["applications"][0]["instances"] == before[0]["instances"]
    assert after["observer"]["skipped"] == (0 if value is None else 1)


def test_a_tombstone_removes_a_record_and_closes_its_ownership(shop):
    shop.topic.tombstone(
        reports.task("0_1", "engine-2"), reports.store("counts", "0_1", "engine-2"), reports.instance("engine-2")
    )
    shop.settle()

    seen = snapshot.application("shop")
    assert [each["name"] for each in seen["instances"]] == ["engine-1"]
    row = Ownership.objects.get(task="0_1")
    assert row.until is not None
    assert row.reason == "given up"
    assert Instance.objects.get(name="engine-2").ending == "stopped"


def test_a_task_that_nobody_has_stays_as_moving(shop):
    shop.topic.tombstone(
        reports.task("0_1", "engine-2"), reports.store("counts", "0_1", "engine-2"), reports.instance("engine-2")
    )
    shop.settle()

    tasks = {row["task"]: row for row in snapshot.rows(snapshot.application("shop")["tasks"])}
    assert (tasks["0_1"]["state"], tasks["0_1"]["instance"], tasks["0_1"]["last_instance"]) == (
        "moving",
        None,
        "engine-2",
    )
    positions = snapshot.rows(snapshot.store("shop", "counts")["positions"])
    assert [(row["partition"], row["state"]) for row in positions] == [(0, "running"), (1, "moving")]


def test_a_restarted_instance_takes_its_earlier_life_away(shop):
    shop.report(reports.instance("engine-2", incarnation=2, tasks=[]))

    tasks = {row["task"]: row["state"] for row in snapshot.rows(snapshot.application("shop")["tasks"])}
    assert tasks == {"0_0": "running", "0_1": "moving"}
    shop.report(reports.task("0_1", "engine-2", incarnation=1, sequence=50))
    tasks = {row["task"]: row["state"] for row in snapshot.rows(snapshot.application("shop")["tasks"])}
    assert tasks["0_1"] == "moving", "a late record of a past life counts for nothing"
    assert Instance.objects.filter(name="engine-2").count() == 2
    assert Instance.objects.get(name="engine-2", incarnation=1).ending == "replaced"


def test_events_are_recorded_once_however_often_they_are_read(shop):
    shop.report(reports.event(7), reports.event(8, "error", data={"a": 1}))
    shop.report(reports.event(7))

    assert Event.objects.count() == 2
    seen = snapshot.application("shop")
    assert [each["event"] for each in seen["rebalances"]] == ["rebalance"]
    assert {each["event"] for each in seen["events"]} == {"rebalance", "error"}


def test_a_restore_is_live_while_it_runs_and_recorded_when_it_ends(shop):
    began = reports.now_ms() - 4_000
    running = {
        "phase": "applying",
        "start": 0,
        "position": 750,
        "end": 1_100,
        "snapshot_end": 1_000,
        "lag": 350,
        "cause": "new owner",
        "restored_records": 700,
        "rate_per_second": 100.0,
        "restore_started_at": began,
    }
    shop.report(reports.store("counts", "0_0", sequence=2, **running))

    (live,) = snapshot.restores()["running"]
    assert (live["percent"], live["eta"], live["cause"]) == (75.0, 2.5, "new owner")
    assert (Restore.objects.get().outcome, Restore.objects.get().pk) == ("running", live["id"])
    cell = snapshot.overview()["applications"][0]["stores"][0]["strip"]["cells"][0]
    assert cell[2:4] == [75.0, "restoring"]

    shop.report(
        reports.store(
            "counts",
            "0_0",
            sequence=3,
            **running
            | {
                "phase": "done",
                "position": 1_100,
                "lag": 0,
                "restored_records": 1_000,
                "restore_ended_at": began + 4_000,
            },
        )
    )
    assert snapshot.restores()["running"] == []
    (done,) = snapshot.restores()["history"]
    assert (done["outcome"], done["percent"], done["duration_ms"], done["rate_per_second"]) == (
        "done",
        100.0,
        4_000,
        250.0,
    )


def test_progress_that_is_not_known_is_not_zero(shop):
    shop.report(
        reports.store(
            "counts",
            "0_0",
            sequence=2,
            phase="queued",
            start=None,
            position=None,
            end=None,
            snapshot_end=None,
            lag=None,
            keys_estimate=None,
        )
    )

    (store,) = snapshot.overview()["applications"][0]["stores"]
    assert store["strip"]["cells"][0][2:4] == [None, "queued"]
    assert (store["percent"], store["lag"], store["keys_estimate"]) == (None, None, None)


def test_ownership_is_a_history(shop):
    shop.topic.tombstone(reports.task("0_1", "engine-2"))
    shop.report(reports.task("0_1", "engine-1", sequence=5))

    rows = Ownership.objects.filter(task="0_1").order_by("id")
    assert [(row.instance, row.until is None) for row in rows] == [("engine-2", False), ("engine-1", True)]


@pytest.mark.usefixtures("redis_client")
def test_reading_the_topic_again_records_nothing_twice(shop):
    from console.observe.history import History

    shop.report(reports.event(7))
    counts = [model.objects.count() for model in (Application, Instance, Event, Ownership)]

    shop.observer.history = History()
    shop.topic.put(*reports.shop(), reports.event(7))
    shop.observer.latest.apps.clear()
    shop.settle()

    assert [model.objects.count() for model in (Application, Instance, Event, Ownership)] == counts


def test_what_ended_while_nobody_observed_is_closed_at_the_start(shop):
    shop.observer.history.reconcile({"task|shop|0_0|engine-1", "instance|shop|engine-1"})
    shop.observer.history.write()

    assert Ownership.objects.get(task="0_1").reason == "ended while no observer ran"
    assert Ownership.objects.get(task="0_0").until is None
    assert Instance.objects.get(name="engine-2").ending == "unseen"


def test_lag_is_sampled_into_history_and_back(shop):
    shop.report(reports.task("0_0", sequence=2, lag=70))

    found = snapshot.lag_history("shop", "input", "orders", 0, reports.now_ms() + 1_000)
    assert LagSample.objects.exists()
    assert [each["partition"] for each in found["series"]] == [0, 1]
    assert found["series"][0]["lag"][-1] == 70
    assert len(found["at"]) == len(found["series"][0]["lag"])


def test_an_emptied_redis_is_filled_again(shop, redis_client):
    redis_client.flushall()
    shop.settle()

    assert snapshot.overview()["totals"]["partitions"] == 2
    assert snapshot.application("shop")["verdict"]["status"] != "STOP"


def test_a_second_observer_waits_until_the_first_is_gone(shop, redis_client):
    from console.observe.publish import Publisher
    from tests.console.conftest import SilentPinger

    second = Publisher(redis_client, SilentPinger(), "another")
    assert second.hold_lock() is False
    assert second.flush(shop.observer.latest, {}, at_ms=1) is False

    shop.observer.publisher.release()
    assert second.hold_lock() is True


@pytest.fixture
def another(fresh_board):  # noqa: ARG001 - fixtures ask for fixtures by argument
    """One more observer, on a Redis of the test's choice."""
    from console.observe.lateness import Lateness
    from console.observe.observer import Observer
    from tests.console.conftest import FakeTopic, Observed, SilentPinger

    made = []

    def make(client):
        topic = FakeTopic()
        made.append(Observer(client, SilentPinger(), topic=topic, lateness=Lateness(lambda _address: None)))
        return Observed(made[-1], topic)

    yield make
    for observer in made:
        observer.lateness.close()


def measures(redis_client):
    from console.observe import keys

    return LagSample.objects.count(), StoreSample.objects.count(), redis_client.llen(keys.rates("shop"))


def test_a_spare_records_no_measures_until_it_takes_over(shop, another, redis_client):
    before = measures(redis_client)
    spare = another(redis_client)
    spare.report(*reports.shop())
    assert measures(redis_client) == before

    shop.observer.publisher.release()
    spare.settle()
    assert all(now > then for now, then in zip(measures(redis_client), before, strict=True))


@pytest.mark.usefixtures("shop")
def test_a_spare_takes_no_application_out_of_the_list(another, redis_client):
    from console.observe import keys

    spare = another(redis_client)
    spare.report(reports.event(7))
    assert list(spare.observer.latest.apps) == []
    assert redis_client.smembers(keys.APPS) == {b"shop"}


def test_a_lone_observer_records_measures_without_redis(another):
    another(Away()).report(*reports.shop())

    assert (LagSample.objects.count() > 0, StoreSample.objects.count() > 0) == (True, True)


class Away:
    """A Redis that answers nothing."""

    def __getattr__(self, _name):
        import redis

        def fail(*_args, **_kwargs):
            raise redis.ConnectionError("away")

        return fail


def test_silence_of_the_broker_is_not_silence_of_the_engines(shop, monkeypatch):
    shop.topic.is_away = True
    shop.settle()
    monkeypatch.setattr(limits, "LATE_FLOOR_MS", 500)
    monkeypatch.setattr(limits, "CADENCE_MS_MAX", 50)
    shop.settle(1.2)
    assert snapshot.application("shop")["instances"][0]["state"] == "running"

    shop.topic.is_away = False
    shop.settle(1.2)
    assert snapshot.application("shop")["instances"][0]["state"] == "unreachable"


def test_a_console_that_is_cut_off_from_all_ends_nothing(shop, monkeypatch):
    monkeypatch.setattr(shop.observer.publisher, "_client", Away())
    shop.topic.is_away = True
    began, steps = reports.now_ms(), range(0, limits.INSTANCE_EXPIRY_MS + 60_000, 1_000)
    for elapsed in steps:
        shop.observer._clock_ms = lambda at=began + elapsed: at
        shop.observer.step()
    shop.observer.history.write()

    assert set(shop.observer.latest.instances("shop")) == {"engine-1", "engine-2"}
    assert shop.observer.lateness.unreachable("shop") == {}
    assert Ownership.objects.filter(until__isnull=True).count() == 2
    assert Instance.objects.filter(ended_at__isnull=True).count() == 2


def test_an_application_of_which_all_was_removed_stays_away(shop, redis_client):
    from console.observe import keys

    shop.report(reports.task("0_0", "engine-2", sequence=2))
    assert redis_client.smembers(keys.APPS) == {b"shop"}

    shop.topic.tombstone(*reports.shop(), reports.task("0_0", "engine-2"))
    shop.settle()
    assert redis_client.smembers(keys.APPS) == set()
    later = reports.now_ms() + limits.FLAPPING_MS + 1_000
    shop.observer._clock_ms = lambda: later
    shop.settle()
    assert redis_client.smembers(keys.APPS) == set()


def test_an_application_that_went_while_the_topic_was_not_read_stays_away(shop, redis_client):
    from console.observe import keys

    shop.report(reports.task("0_0", "engine-2", sequence=2))
    shop.observer._open()
    shop.settle()
    assert redis_client.smembers(keys.APPS) == set()


def test_moves_of_long_ago_are_forgotten(shop):
    shop.report(reports.task("0_0", "engine-2", sequence=2))
    assert list(shop.observer._moves) == ["shop"]

    later = reports.now_ms() + limits.FLAPPING_MS + 1_000
    shop.observer._clock_ms = lambda: later
    shop.settle()
    assert shop.observer._moves == {}


@pytest.mark.usefixtures("shop")
def test_without_a_heartbeat_nothing_is_green(redis_client):
    from console.observe import keys

    redis_client.set(keys.HEARTBEAT, json.dumps({"at": reports.now_ms() - limits.STALE_MS - 1_000}))

    seen = snapshot.overview()
    assert seen["observer"]["stale"] is True
    assert seen["applications"][0]["verdict"]["status"] == "UNKNOWN"


@pytest.mark.usefixtures("shop")
def test_without_redis_the_last_known_is_shown_as_stale(fresh_board, monkeypatch):
    import redis

    snapshot.overview()

    def fail(*_args, **_kwargs):
        raise redis.ConnectionError("away")

    monkeypatch.setattr(fresh_board._client, "pipeline", fail)
    seen = snapshot.overview()
    assert seen["observer"]["stale"] is True
    assert "Redis" in seen["observer"]["problem"]
    assert seen["totals"]["partitions"] == 2


def test_instances_of_different_topologies_are_a_problem(shop):
    shop.report(reports.instance("engine-2", sequence=2, topology_hash="t2", tasks=["0_1"]))

    assert any("different topologies" in each["words"] for each in snapshot.overview()["problems"])


def test_pressure_is_a_warning_with_advice(shop):
    shop.report(
        reports.instance(
            "engine-2",
            sequence=2,
            tasks=["0_1"],
            pressure=[status.Pressure(what="disk", used=95, limit=100, advice="make room")],
        )
    )

    seen = snapshot.application("shop")
    assert seen["verdict"]["status"] == "WARN"
    assert "make room" in seen["verdict"]["reason"]


def test_a_topic_that_grows_faster_than_it_is_read_is_named_with_its_rate(shop):
    at = reports.now_ms() - 20_000
    for step in range(10):
        at += 2_000
        lag = 40_000 + 760 * step
        shop.report(reports.task("0_0", sequence=step + 2, at=at, topic="parcels", position=100 + 10 * step, lag=lag))

    seen = snapshot.overview()
    assert seen["problems"][0] == {
        "status": "WARN",
        "application": "shop",
        "instance": None,
        "store": None,
        "words": "shop is falling behind on topic parcels: 46,840 records, +380/s, never at this rate",
        "page": "lag",
    }
    lag = seen["applications"][0]["lag"]
    assert (lag["total"], lag["rate_per_second"], lag["eta"]) == (46_840, 380.0, "never")
    # All of it waited already at the first report, so how long is not known, only for how long at least.
    assert lag["lag_ms_how"] == "at-least"
