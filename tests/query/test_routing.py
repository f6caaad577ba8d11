"""Several instances over real HTTP: whoever is asked, the owner answers, or the answer says why nobody can."""

import socket
import time

import pytest

from engine.partitioning import partition_for
from engine.query.forwarding import FORWARDED
from engine.query.limits import REPORT_SILENCE_MS
from engine.query.metadata import Metadata, Replica
from tests.query.fakes import COUNTS, FakeHandle, FakeInstance, store_of
from tests.query.test_entries import keys, refused

KEYS = [f"key-{number}" for number in range(200)]
PARTITIONS = 4


def share(partition):
    return [(key, index) for index, key in enumerate(KEYS) if partition_for(key.encode(), PARTITIONS) == partition]


def instance(name, active=(), standby=(), **facts):
    made = FakeInstance(name)
    for role, partitions in (("active", active), ("standby", standby)):
        for partition in partitions:
            handle = FakeHandle(COUNTS, partition, store_of(COUNTS, share(partition)), role=role, **facts)
            handle.keys_estimate = len(share(partition))
            made.hold(handle)
    made.known["counts"] = COUNTS
    made.partitions["counts"] = PARTITIONS
    return made


@pytest.fixture
def pair(serve):
    """Two instances with half of the partitions each, and each with standbys of the other's first."""
    one, two = serve(instance("one", [0, 1], [2])), serve(instance("two", [2, 3], [0]))
    one.knows(two)
    two.knows(one)
    return one, two


def key_of(partition):
    return share(partition)[0][0]


def owner_of_all(partition):
    return "one" if partition < 2 else "two"


def test_any_instance_answers_for_any_key_and_says_who_did(pair):
    for served in pair:
        for index, key in enumerate(KEYS[:40]):
            body = served.entries("counts", key=key).json()
            partition = partition_for(key.encode(), PARTITIONS)
            assert [entry["value"] for entry in body["entries"]] == [index]
            (source,) = body["sources"]
            assert (source["instance"], source["role"], source["partition"]) == (
                owner_of_all(partition),
                "active",
                partition,
            )


@pytest.mark.parametrize("limit", [1, 7, 60, 1000])
@pytest.mark.parametrize("reverse", ["false", "true"])
def test_paging_across_instances_gives_every_key_once_in_order(pair, limit, reverse):
    expected = [key for partition in range(PARTITIONS) for key, _ in sorted(share(partition))]
    if reverse == "true":
        expected.reverse()
    seen, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        body = pair[len(seen) % 2].entries("counts", limit=limit, reverse=reverse, **more).json()
        seen += [entry["key"] for entry in body["entries"]]
        cursor = body["cursor"]
        if cursor is None:
            break
    assert seen == expected


def test_a_prefix_is_asked_of_all_instances(pair):
    assert sorted(keys(pair[0].entries("counts", prefix="key-19"))) == sorted(
        key for key in KEYS if key.startswith("key-19")
    )


def test_a_multi_get_is_split_by_owner_and_put_together_in_order(pair):
    reply = pair[0].http.post("/v1/stores/counts/multi-get", json={"keys": [*KEYS[::-1], "none"]}).json()
    assert [entry["value"] for entry in reply["entries"]] == [*range(199, -1, -1), None]
    assert [entry["found"] for entry in reply["entries"]] == [True] * 200 + [False]
    assert {(source["instance"], source["partition"]) for source in reply["sources"]} == {
        ("one", 0),
        ("one", 1),
        ("two", 2),
        ("two", 3),
    }


def test_a_count_covers_all_instances(pair):
    assert pair[1].get("/v1/stores/counts/count").json()["approximate"] == 200


def test_local_asks_this_instance_only(pair):
    body = pair[0].entries("counts", local="true", limit=1000).json()
    assert [(source["partition"], source["error"] and source["error"]["code"]) for source in body["sources"]] == [
        (0, None),
        (1, None),
        (2, "store-moving"),
    ]
    assert {entry["partition"] for entry in body["entries"]} == {0, 1}


def test_the_owner_of_a_key_is_told_with_its_standbys(pair):
    for served in pair:
        body = served.get("/v1/stores/counts/owner", key=key_of(0)).json()
        assert body == {
            "partition": 0,
            "task": "0_0",
            "active": {"instance": "one", "address": pair[0].address},
            "standbys": [{"instance": "two", "address": pair[1].address}],
        }
    assert pair[0].get("/v1/stores/counts/owner", partition=3).json()["active"]["instance"] == "two"
    refused(pair[0].get("/v1/stores/counts/owner"), 400, "bad-request")
    refused(pair[0].get("/v1/stores/counts/owner", key="a", partition=1), 400, "bad-request")
    refused(pair[0].get("/v1/stores/counts/owner", partition="9"), 400, "bad-request")


def test_a_key_whose_place_is_not_known_is_refused_and_not_absent(pair):
    """A topic of the topology's own partitioner fills the store: its keys lie where Kafka's would not look."""
    for served in pair:
        served.instance.placing["counts"] = "shop-placed-repartition"
    one, key = pair[0], key_of(3)
    for reply in (
        one.entries("counts", key=key),
        one.get("/v1/stores/counts/owner", key=key),
        one.http.post("/v1/stores/counts/multi-get", json={"keys": [key]}),
    ):
        error = refused(reply, 400, "bad-request")
        assert "topic shop-placed-repartition is written with a partitioner of its own" in error["message"]
        assert "name the partition" in error["message"]
    assert keys(one.entries("counts", key=key, partition=3)) == [key]
    assert keys(one.entries("counts", from_=key, to=key)) == [key]
    reply = one.http.post("/v1/stores/counts/multi-get", json={"keys": [key]}, params={"partition": 3}).json()
    assert [entry["found"] for entry in reply["entries"]] == [True]


def test_a_key_is_looked_for_among_the_partitions_of_what_feeds_its_store(pair):
    """A sub-topology may read another topic, with more partitions, that brings the store nothing."""
    for served in pair:
        served.instance.spread["counts"] = 1
    assert pair[0].get("/v1/stores/counts/owner", key=key_of(3)).json()["partition"] == 0


def test_a_dead_owner_is_named_and_its_failure_stands_beside_the_others_rows(pair):
    one, two = pair
    two.stop()
    error = refused(one.entries("counts", key=key_of(3)), 503, "no-owner")
    assert error["retryable"] is True
    assert "two" in error["message"]
    body = one.entries("counts", limit=1000).json()
    assert {entry["partition"] for entry in body["entries"]} == {0, 1}
    assert [(source["partition"], bool(source["error"])) for source in body["sources"]] == [
        (0, False),
        (1, False),
        (2, True),
        (3, True),
    ]
    counted = one.get("/v1/stores/counts/count").json()
    assert counted["complete"] is False
    found = one.http.post("/v1/stores/counts/multi-get", json={"keys": [key_of(0), key_of(3)]}).json()["entries"]
    assert [entry["found"] for entry in found] == [True, None]


def test_a_page_that_nobody_can_answer_is_an_error_with_its_sources(pair):
    one, two = pair
    two.stop()
    error = refused(one.entries("counts", partition=3), 503, "no-owner")
    assert [source["partition"] for source in error["state"]["sources"]] == [3]


def test_with_max_lag_the_standby_of_a_dead_owner_answers_as_such(pair):
    one, two = pair
    one.instance.handle("counts", 2).lag = 5
    two.stop()
    (source,) = one.entries("counts", key=key_of(2), max_lag=5).json()["sources"]
    assert (source["instance"], source["role"], source["lag"]) == ("one", "standby", 5)
    error = refused(one.entries("counts", key=key_of(2), max_lag=4), 503, "too-far-behind")
    assert (error["retryable"], error["state"]["lag"]) == (True, 5)
    refused(one.entries("counts", key=key_of(2)), 503, "no-owner")
    refused(one.entries("counts", key=key_of(3), max_lag=10**9), 503, "no-owner")


def test_a_standby_elsewhere_answers_within_max_lag(serve):
    one, two, three = serve(instance("one", [0, 1])), serve(instance("two", [2, 3])), serve(instance("three", [], [2]))
    one.knows(two)
    one.knows(three)
    three.instance.handle("counts", 2).lag = 30
    two.stop()
    (source,) = one.entries("counts", key=key_of(2), max_lag=30).json()["sources"]
    assert (source["instance"], source["role"], source["lag"]) == ("three", "standby", 30)
    # What one knows (no lag) is older than what three says.
    refused(one.entries("counts", key=key_of(2), max_lag=29), 503, "too-far-behind")


def test_the_owner_answers_although_a_standby_would_do(pair):
    (source,) = pair[0].entries("counts", key=key_of(2), max_lag=100).json()["sources"]
    assert (source["instance"], source["role"]) == ("two", "active")


def restoring(handle):
    handle.phase, handle.start, handle.position, handle.end, handle.lag = "applying", 100, 175, 200, 25


@pytest.mark.parametrize("asked", [0, 1])
def test_a_restoring_owner_says_how_far_it_is(pair, asked):
    restoring(pair[1].instance.handle("counts", 3))
    error = refused(pair[asked].entries("counts", key=key_of(3)), 503, "store-restoring")
    assert error["retryable"] is True
    assert (error["state"]["percent"], error["state"]["phase"]) == (75.0, "applying")
    assert pair[asked].http.get(f"/v1/stores/counts/entries?key={key_of(3)}").headers["retry-after"] == "1"


@pytest.mark.parametrize("asked", [0, 1])
def test_a_restoring_owner_may_be_read_within_max_lag(pair, asked):
    restoring(pair[1].instance.handle("counts", 3))
    (source,) = pair[asked].entries("counts", key=key_of(3), max_lag=25).json()["sources"]
    assert (source["instance"], source["role"], source["lag"]) == ("two", "active", 25)
    refused(pair[asked].entries("counts", key=key_of(3), max_lag=24), 503, "too-far-behind")


def test_an_unknown_percentage_is_not_invented(pair):
    handle = pair[0].instance.handle("counts", 0)
    restoring(handle)
    handle.end = None
    assert refused(pair[0].entries("counts", key=key_of(0)), 503, "store-restoring")["state"]["percent"] is None


@pytest.mark.parametrize("asked", [0, 1])
def test_a_moving_partition_is_not_read(pair, asked):
    pair[1].instance.handle("counts", 3).moving = True
    assert refused(pair[asked].entries("counts", key=key_of(3)), 503, "store-moving")["retryable"] is True


def test_an_instance_that_has_lost_a_partition_refuses_and_is_not_asked_again(pair):
    one, two = pair
    del two.instance.held[("counts", 3)]
    refused(one.entries("counts", key=key_of(3)), 503, "store-moving")
    served_before = two.service.queries.total
    refused(one.entries("counts", key=key_of(3)), 503, "store-moving")
    assert two.service.queries.total == served_before


def test_a_new_report_after_the_move_is_followed_at_once(pair):
    one, two = pair
    handle = two.instance.held.pop(("counts", 3))
    refused(one.entries("counts", key=key_of(3)), 503, "store-moving")
    two.instance.hold(handle)
    one.metadata.put_copy("counts", Replica("two", "0_3", 3, "active", "done", 0, 9, incarnation=1, sequence=2))
    assert one.entries("counts", key=key_of(3)).status_code == 200


def test_a_silent_owner_is_not_asked(pair):
    one, two = pair
    one.knows(two, age_ms=REPORT_SILENCE_MS + 1)
    served_before = two.service.queries.total
    error = refused(one.entries("counts", key=key_of(3)), 503, "no-owner")
    assert "stopped reporting" in error["message"]
    assert two.service.queries.total == served_before


def test_nobody_known_is_no_owner(serve):
    refused(serve(instance("one", [0])).entries("counts", key=key_of(3)), 503, "no-owner")


def test_unknown_partition_counts_are_retryable(serve):
    lonely = instance("one", [0])
    lonely.partitions.clear()
    assert refused(serve(lonely).entries("counts"), 503, "no-owner")["retryable"] is True


def test_two_instances_that_believe_in_each_other_do_not_pass_a_question_round(pair):
    one, two = pair
    for served, other, name in ((one, two, "two"), (two, one, "one")):
        for partition in range(PARTITIONS):
            served.instance.held.pop(("counts", partition), None)
            served.metadata.put_copy(
                "counts", Replica(name, f"0_{partition}", partition, "active", "done", 0, 9, incarnation=1, sequence=1)
            )
        assert other.instance.instance_id == name
    before = (one.service.queries.total, two.service.queries.total)
    refused(one.entries("counts", key=key_of(0)), 503, "store-moving")
    assert (one.service.queries.total - before[0], two.service.queries.total - before[1]) == (1, 1)


def test_a_forwarded_question_must_be_local(pair):
    reply = pair[0].http.get("/v1/stores/counts/entries?key=a", headers={FORWARDED: "two"})
    refused(reply, 400, "bad-request")


@pytest.mark.parametrize("identity", [("shop", "three"), ("neighbour", "two")])
def test_whoever_has_an_owners_address_now_does_not_answer_for_it(serve, identity):
    """Ports are given again, and applications may share a token: its store of the same name is another one."""
    one, two, other = serve(instance("one", [0, 1])), instance("two", [2, 3]), instance("other", [2, 3])
    other.application_id, other.instance_id = identity
    has_its_address = serve(other)
    has_its_address.instance = two
    one.knows(has_its_address)
    error = refused(one.entries("counts", key=key_of(3)), 503, "no-owner")
    assert error["state"]["reason"] == "another instance"


def test_an_owner_with_another_token_is_an_error_with_a_remedy(serve):
    one, two = serve(instance("one", [0, 1])), serve(instance("two", [2, 3]), token="another-token-entirely")  # noqa: S106
    one.knows(two)
    error = refused(one.entries("counts", key=key_of(3)), 500, "internal")
    assert "--token-file" in error["message"]
    assert "another-token" not in error["message"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", b"garbage\r\n\r\n", b""])
def test_an_owner_that_answers_nonsense_is_reported(serve, answer):
    one = serve(instance("one", [0, 1]))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        one.metadata.put_member("two", address, "running", 1)
        one.metadata.put_copy("counts", Replica("two", "0_3", 3, "active", "done", 0, 9, incarnation=1, sequence=1))
        import threading

        def reply_once():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=reply_once)
        thread.start()
        reply = one.entries("counts", key=key_of(3))
        thread.join()
    assert reply.status_code in {500, 503}
    assert "two" in reply.json()["error"]["message"] or "owner" in reply.json()["error"]["message"]


def test_a_refused_connection_is_answered_quickly(pair):
    one, two = pair
    two.stop()
    started = time.monotonic()
    refused(one.entries("counts", key=key_of(3)), 503, "no-owner")
    assert time.monotonic() - started < 1


def test_while_two_claim_a_partition_the_later_report_wins():
    now = [0]
    metadata = Metadata(clock_ms=lambda: now[0])
    for name, at in (("old", 1_000), ("new", 2_000)):
        now[0] = at
        metadata.put_member(name, "http://x", "running", 1)
        metadata.put_copy("s", Replica(name, "0_0", 0, "active", "done", 0, 1, incarnation=1, sequence=1))
    assert metadata.active("s", 0).instance == "new"
    metadata.drop_copy("s", "0_0", "new")
    assert metadata.active("s", 0).instance == "old"


def test_copies_of_an_instances_past_life_are_not_asked():
    metadata = Metadata()
    metadata.put_member("one", "http://x", "running", 1)
    metadata.put_copy("s", Replica("one", "0_0", 0, "active", "done", 0, 1, incarnation=1, sequence=9))
    metadata.put_member("one", "http://x", "starting", 2)
    assert metadata.active("s", 0) is None
