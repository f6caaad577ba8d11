"""A part gets its usual port when that is free, and one that stays free otherwise."""

import socket

import pytest

from engine.embedded import ports


@pytest.fixture
def taken():
    """A port on which something listens, on all addresses, as Docker and other programs do."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104
        listener.listen()
        yield listener.getsockname()[1]


def test_the_preferred_port_is_taken_when_free():
    free = ports.choose()
    assert ports.choose(free) == free


def test_a_port_with_a_listener_is_not_free(taken):
    assert not ports.is_free(taken)
    assert ports.choose(taken) != taken


def test_a_port_meant_for_another_part_is_avoided():
    free = ports.choose()
    assert ports.choose(free, avoid={free}) != free


def test_chosen_ports_lie_below_those_of_outgoing_connections():
    assert all(20000 <= ports.choose() < 32000 for _ in range(50))


def test_no_free_port_is_an_error(monkeypatch):
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(OSError, match="no free port"):
        ports.choose(8000)
