"""What is said of an outage: once when it begins, once a minute, once when it ends."""

import logging
from types import SimpleNamespace

import pytest

from engine.control import outage
from engine.control.outage import Outage, quiet_log

LOG = logging.getLogger("tests.outage")


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(outage.time, "monotonic", lambda: found.now)
    return found


def test_it_is_told_once_when_it_begins_once_a_minute_and_once_when_it_ends(clock, caplog):
    told = Outage(LOG, "status.outage", "the brokers take no status")
    told.ended()
    assert not caplog.records
    # Two failures a second for two and a half minutes.
    for _ in range(300):
        told.failed("refused")
        clock.now += 0.5
    for _ in range(10):
        told.ended()
    assert [r.getMessage() for r in caplog.records] == [
        "status.outage_began: the brokers take no status: refused",
        "status.outage_goes_on for 60 s: the brokers take no status: refused",
        "status.outage_goes_on for 120 s: the brokers take no status: refused",
        "status.outage_ended after 150 s",
    ]


@pytest.mark.usefixtures("clock")
def test_the_next_one_is_told_again(caplog):
    told = Outage(LOG, "status.outage", "the brokers take no status")
    for _ in range(2):
        told.failed("refused")
        told.ended()
    assert [r.getMessage().split(" ")[0] for r in caplog.records] == [
        "status.outage_began:",
        "status.outage_ended",
        "status.outage_began:",
        "status.outage_ended",
    ]


def test_the_clients_lines_about_connections_are_left_out_and_others_are_not(caplog):
    for _ in range(2):
        client = quiet_log(LOG)
        client.error("FAIL [producer-1] [thrd:a]: a: Connect failed")
        client.error("CONFWARN [producer-1] something else")
    assert [r.getMessage() for r in caplog.records] == ["CONFWARN [producer-1] something else"] * 2
