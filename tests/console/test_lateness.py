import socket

import pytest

from console.observe.lateness import Lateness, accepts, host_and_port
from tests.console import reports

T0 = 1_700_000_000_000


class Port:
    """A port whose answer the test chooses; probes answer at once."""

    def __init__(self, *, answer=True):
        self.answer = answer

    def __call__(self, _address):
        return self.answer


def late(port=None):
    return Lateness(port or Port(answer=None))


def reported(watch, *, every_ms, times, until_ms=T0, address="http://127.0.0.1:7001", **fields):
    for index in range(times):
        watch.seen(reports.instance("engine-1", address=address, **fields), until_ms - (times - 1 - index) * every_ms)


def checked(watch, at_ms, times=6):
    """Check repeatedly at about one time, so that probes have a chance to answer."""
    for step in range(times):
        watch.check(at_ms + step)
        for seen in watch._instances.values():
            if seen.probe is not None:
                seen.probe.result(timeout=2)
    return watch.unreachable("shop")


def test_a_busy_instance_whose_port_cannot_be_probed_is_gone_after_three_reports():
    watch = late()
    reported(watch, every_ms=500, times=5)

    assert checked(watch, T0 + 1_400) == {}
    (since, reason) = checked(watch, T0 + 1_510)["engine-1"]
    assert T0 + 1_510 <= since <= T0 + 1_520
    assert reason == "missed three reports; the last was 1.5 s ago"


def test_an_idle_instance_gets_three_of_its_own_intervals():
    watch = late()
    reported(watch, every_ms=2_000, times=5)

    assert checked(watch, T0 + 5_900) == {}
    assert "engine-1" in checked(watch, T0 + 6_010)


def test_a_killed_instance_is_gone_within_two_seconds_even_when_it_was_idle():
    port = Port(answer=True)
    watch = late(port)
    reported(watch, every_ms=2_000, times=5)
    assert checked(watch, T0 + 10) == {}

    port.answer = False
    checked(watch, T0 + 800)
    assert "refuses connections" in checked(watch, T0 + 1_200)["engine-1"][1]


def test_a_refusal_means_nothing_where_no_connection_was_ever_accepted():
    watch = late(Port(answer=False))
    reported(watch, every_ms=2_000, times=5)

    checked(watch, T0 + 800)
    assert checked(watch, T0 + 1_900) == {}


def test_a_paused_instance_whose_port_still_accepts_is_gone_after_the_idle_interval():
    watch = late(Port(answer=True))
    reported(watch, every_ms=500, times=5)
    checked(watch, T0 + 10)

    assert checked(watch, T0 + 3_400) == {}
    assert "engine-1" in checked(watch, T0 + 3_600)


def test_an_instance_that_reports_again_is_back_at_once():
    watch = late()
    reported(watch, every_ms=500, times=5)
    checked(watch, T0 + 2_000)

    assert watch.seen(reports.instance("engine-1"), T0 + 2_100) is True
    assert watch.unreachable("shop") == {}


def test_after_an_outage_of_the_broker_every_silence_starts_anew():
    watch = late()
    reported(watch, every_ms=500, times=5)

    watch.excuse_all(T0 + 60_000)

    assert checked(watch, T0 + 60_500) == {}


def test_who_was_unreachable_may_have_come_back_while_the_broker_was_away():
    watch = late()
    reported(watch, every_ms=500, times=5)
    assert set(checked(watch, T0 + 60_000)) == {"engine-1"}

    watch.excuse_all(T0 + 599_000)

    assert set(checked(watch, T0 + 600_000)) == {"engine-1"}
    assert list(watch.expired(T0 + 600_000)) == []
    assert list(watch.expired(T0 + 1_199_000)) == [("shop", "engine-1")]


def test_a_silent_instance_expires_after_minutes():
    watch = late()
    reported(watch, every_ms=500, times=5)

    assert list(watch.expired(T0 + 599_000)) == []
    assert list(watch.expired(T0 + 600_000)) == [("shop", "engine-1")]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:7001", ("127.0.0.1", 7001)),
        ("https://engine.example:443/", ("engine.example", 443)),
        ("http://[::1]:7001", ("::1", 7001)),
        ("http://h", None),
        ("file:///etc/passwd", None),
        ("http://h:99999", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_a_host_and_a_port_or_nothing(address, expected):
    assert host_and_port(address) == expected


def test_a_real_port_accepts_and_then_refuses():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()[:2]
        assert accepts(address) is True
    assert accepts(address) is False
