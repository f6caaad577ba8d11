"""The shapes of the status topic: what an engine writes is what a reader takes, and nothing else is."""

import json

import pytest

from engine.control import status
from engine.control.status import (
    EventStatus,
    Input,
    InstanceStatus,
    StatusError,
    StoreStatus,
    TaskStatus,
    TopologyStatus,
)

COMMON = {"application": "shop", "instance": "i-1", "incarnation": 7, "sequence": 9, "at": 1_000}
INSTANCE = InstanceStatus(
    **COMMON, state="running", started_at=7, guarantee="exactly_once_v2", topology_hash="abc", host="h", pid=3
)
RECORDS = [
    (INSTANCE, "instance|shop|i-1"),
    (TopologyStatus(**COMMON, hash="abc", description={"stores": []}), "topology|shop"),
    (
        TaskStatus(
            **COMMON, task="0_3", partition=3, role="active", state="running", inputs=[Input(topic="t", partition=3)]
        ),
        "task|shop|0_3|i-1",
    ),
    (
        StoreStatus(
            **COMMON,
            task="0_3",
            store="by-carrier",
            partition=3,
            role="standby",
            store_kind="key-value",
            backend="rocksdb",
            phase="applying",
        ),
        "store|shop|0_3|by-carrier|i-1",
    ),
    (EventStatus(**COMMON, event="rebalance", message="two tasks moved"), "event|shop|i-1|9"),
]


@pytest.mark.parametrize(("record", "key"), RECORDS)
def test_what_is_written_is_what_is_read(record, key):
    assert record.key == key
    assert status.decode(key.encode(), status.encode(record)) == record


@pytest.mark.parametrize(("record", "key"), RECORDS)
def test_every_record_carries_the_common_fields(record, key):
    fields = json.loads(status.encode(record))
    assert {name: fields[name] for name in ("v", "application", "instance", "incarnation", "sequence", "at")} == {
        "v": 1,
        **COMMON,
    }
    assert fields["kind"] == key.split("|", maxsplit=1)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"application": "../etc"},
        {"application": ".."},
        {"application": "a|b"},
        {"instance": "i" * 201},
        {"v": 2},
        {"kind": "unheard-of"},
        {"pid": -1},
        {"state": "fine"},
        {"at": "now"},
        {"sequence": 2**60},
        {"host": "h" * 4_001},
    ],
)
def test_a_record_that_breaks_the_contract_is_refused(change):
    fields = {**json.loads(status.encode(INSTANCE)), **change}
    with pytest.raises(StatusError):
        status.decode(b"instance|shop|i-1", json.dumps(fields).encode())


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 50_000])
def test_bytes_that_are_no_record_are_refused(payload):
    with pytest.raises(StatusError):
        status.decode(b"instance|shop|i-1", payload)


def test_a_record_under_the_key_of_another_is_refused():
    with pytest.raises(StatusError, match="stands under"):
        status.decode(b"instance|shop|i-2", status.encode(INSTANCE))


def test_a_key_that_is_no_text_is_refused():
    with pytest.raises(StatusError):
        status.decode(b"\xff", status.encode(INSTANCE))


def test_an_oversized_record_is_neither_written_nor_read():
    event = EventStatus(**COMMON, event="error", message="m", data={"trace": "x" * status.RECORD_BYTES_MAX})
    with pytest.raises(StatusError, match="limit"):
        status.encode(event)
    with pytest.raises(StatusError, match="limit"):
        status.decode(b"event|shop|i-1|9", json.dumps({"data": "x" * status.RECORD_BYTES_MAX}).encode())


def test_a_topology_may_be_larger_than_other_records():
    large = TopologyStatus(**COMMON, hash="abc", description={"text": "x" * status.RECORD_BYTES_MAX})
    assert status.decode(b"topology|shop", status.encode(large)) == large


def test_an_unknown_field_is_ignored_so_that_versions_can_meet():
    fields = {**json.loads(status.encode(INSTANCE)), "from_the_future": 1}
    assert status.decode(b"instance|shop|i-1", json.dumps(fields).encode()) == INSTANCE


def test_a_restart_supersedes_whatever_its_sequence():
    older = EventStatus(application="a", instance="i", event="e", message="m", incarnation=1, sequence=900)
    newer = EventStatus(application="a", instance="i", event="e", message="m", incarnation=2, sequence=1)
    assert status.supersedes(newer, older)
    assert not status.supersedes(older, newer)
    assert not status.supersedes(older, older)
