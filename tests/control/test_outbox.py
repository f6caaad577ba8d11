"""When the status topic is told what, on a clock of the test's own."""

import json

from engine.control import outbox
from engine.control.outbox import Outbox
from engine.control.status import EventStatus, InstanceStatus, Memory, Rates, StoreStatus, TopologyStatus


def instance(**changes):
    fields = {
        "application": "shop",
        "instance": "i-1",
        "state": "running",
        "started_at": 7,
        "guarantee": "exactly_once_v2",
        "topology_hash": "abc",
        "host": "h",
        "pid": 3,
    }
    return InstanceStatus(**{**fields, **changes})


def store(position=0, name="counts"):
    return StoreStatus(
        application="shop",
        instance="i-1",
        task="0_0",
        store=name,
        partition=0,
        role="active",
        store_kind="key-value",
        backend="memory",
        phase="done",
        position=position,
    )


def deliver(box, messages, *, succeeded=True):
    for message in messages:
        box.delivered(message.key, succeeded=succeeded)
    return messages


def keys(messages):
    return [message.key for message in messages]


def test_the_first_round_sends_everything_stamped():
    box = Outbox("shop", "i-1", 42)
    first, second = box.due([instance(), store()], 1_000)
    one, two = json.loads(first.payload), json.loads(second.payload)
    assert (one["incarnation"], one["at"], two["incarnation"], two["at"]) == (42, 1_000, 42, 1_000)
    assert one["sequence"] < two["sequence"]


def test_what_did_not_change_is_repeated_every_two_seconds():
    box = Outbox("shop", "i-1", 42)
    sent = [(at, keys(deliver(box, box.due([instance(), store()], at)))) for at in range(0, 4_500, 500)]
    both = ["instance|shop|i-1", "store|shop|0_0|counts|i-1"]
    assert [(at, each) for at, each in sent if each] == [(0, both), (2_000, both), (4_000, both)]


def test_what_changed_goes_out_with_the_next_round():
    box = Outbox("shop", "i-1", 42)
    deliver(box, box.due([instance(), store(1)], 0))
    assert keys(deliver(box, box.due([instance(), store(2)], 500))) == ["store|shop|0_0|counts|i-1"]
    assert keys(deliver(box, box.due([instance(), store(2)], 1_000))) == []


def test_memory_that_breathes_is_no_change_but_work_done_is():
    box = Outbox("shop", "i-1", 42)
    deliver(box, box.due([instance(memory=Memory(rss_bytes=1), record_ms=1)], 0))
    assert box.due([instance(memory=Memory(rss_bytes=2), record_ms=2)], 500) == []
    assert len(box.due([instance(rates=Rates(processed_total=1))], 1_000)) == 1


def test_many_stores_are_repeated_less_often_but_the_instance_is_not():
    box = Outbox("shop", "i-1", 42)
    records = [instance(), *(store(name=f"s{number}") for number in range(2_000))]
    deliver(box, box.due(records, 0))
    assert keys(deliver(box, box.due(records, 2_000))) == ["instance|shop|i-1"]
    assert len(box.due(records, 8_100)) == 2_001


def test_what_is_gone_is_taken_off_the_topic_once():
    box = Outbox("shop", "i-1", 42)
    deliver(box, box.due([instance(), store()], 0))
    (gone,) = deliver(box, box.due([instance()], 500))
    assert (gone.key, gone.payload) == ("store|shop|0_0|counts|i-1", None)
    assert box.due([instance()], 1_000) == []


def test_a_lost_tombstone_is_repeated_until_it_arrives():
    box = Outbox("shop", "i-1", 42)
    deliver(box, box.due([instance(), store()], 0))
    deliver(box, box.due([instance()], 500), succeeded=False)
    (again,) = box.due([instance()], 1_000)
    assert again.payload is None
    assert box.due([instance()], 1_500) == []  # one under way is enough
    box.delivered(again.key, succeeded=True)
    assert keys(box.due([instance()], 2_000)) == ["instance|shop|i-1"]


def test_a_store_that_comes_back_before_its_tombstone_arrived_stays():
    box = Outbox("shop", "i-1", 42)
    deliver(box, box.due([instance(), store()], 0))
    deliver(box, box.due([instance()], 500), succeeded=False)
    assert [message.payload is None for message in deliver(box, box.due([instance(), store()], 1_000))] == [False]
    assert box.due([instance(), store()], 1_500) == []


def test_during_an_outage_a_key_waits_once_and_then_sends_its_newest_state():
    box = Outbox("shop", "i-1", 42)
    (stuck,) = box.due([store(1)], 0)
    assert [box.due([store(position)], position * 500) for position in range(2, 100)] == [[]] * 98
    box.delivered(stuck.key, succeeded=False)
    (newest,) = box.due([store(100)], 50_000)
    assert json.loads(newest.payload)["position"] == 100
    assert box.dropped_total == 1


def test_a_topology_stays_when_its_instance_ends():
    box = Outbox("shop", "i-1", 42)
    topology = TopologyStatus(application="shop", instance="i-1", hash="abc", description={})
    deliver(box, box.due([instance(), topology, store()], 0))
    farewell = box.farewell(500)
    assert {(message.key, message.payload) for message in farewell} == {
        ("instance|shop|i-1", None),
        ("store|shop|0_0|counts|i-1", None),
    }


def event(message="m", **data):
    return EventStatus(application="shop", instance="i-1", event="rebalance", message=message, data=data, at=5)


def test_an_event_goes_out_once_and_is_taken_back_after_ten_minutes():
    box = Outbox("shop", "i-1", 42)
    box.add_event(event())
    (sent,) = deliver(box, box.due([], 1_000))
    fields = json.loads(sent.payload)
    assert sent.key == f"event|shop|i-1|{fields['sequence']}"
    assert (fields["incarnation"], fields["at"]) == (42, 5)
    assert box.due([], 1_000 + 599_999) == []
    (taken_back,) = box.due([], 1_000 + 600_000)
    assert (taken_back.key, taken_back.payload) == (sent.key, None)
    assert box.due([], 10**9) == []


def test_a_lost_event_is_sent_again_with_its_own_number():
    box = Outbox("shop", "i-1", 42)
    box.add_event(event())
    (sent,) = deliver(box, box.due([], 0), succeeded=False)
    (again,) = deliver(box, box.due([], 500))
    assert again.key == sent.key
    assert box.due([], 1_000) == []


def test_too_many_waiting_events_drop_the_oldest_and_count_them():
    box = Outbox("shop", "i-1", 42)
    for number in range(outbox.EVENTS_MAX + 5):
        box.add_event(event(str(number)))
    sent = box.due([], 0)
    assert json.loads(sent[0].payload)["message"] == "5"
    assert (len(sent), box.dropped_total) == (outbox.EVENTS_MAX, 5)


def test_an_event_too_large_for_the_topic_is_dropped_and_counted():
    box = Outbox("shop", "i-1", 42)
    box.add_event(event(trace="x" * 70_000))
    assert box.due([], 0) == []
    assert box.dropped_total == 1


def test_a_clean_end_sends_the_events_that_wait():
    box = Outbox("shop", "i-1", 42)
    deliver(box, box.due([instance()], 0))
    box.add_event(event("stopping"))
    assert [message.payload is None for message in box.farewell(500)] == [False, True]
