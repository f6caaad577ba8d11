"""A call that does not return is given up, and the next one is made by another thread."""

import contextlib
import gc
import threading
import weakref

import pytest

from engine.errors import BrokerUnavailable
from engine.runtime.bounded_call import BoundedCalls
from tests.runtime.harness import eventually


def test_answers_and_errors_come_back_and_what_hangs_is_given_up():
    calls = BoundedCalls()
    threads = [calls.call(threading.get_ident, 5, "asked") for _ in range(2)]
    assert threads[0] == threads[1] != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 / 0, 5, "asked")
    released = threading.Event()
    with pytest.raises(BrokerUnavailable, match="asked: the Kafka client did not return within 0 s"):
        calls.call(released.wait, 0.05, "asked")
    assert calls.call(threading.get_ident, 5, "asked") != threads[0]
    released.set()
    calls.close()


class Client:
    """What a call works on."""

    def fail(self):
        raise ValueError("refused")


def test_what_a_failed_call_worked_on_is_let_go():
    """A client of Kafka's has four threads: it must not wait for the collector of circles."""
    calls = BoundedCalls()
    client = Client()
    gone = weakref.ref(client)
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            calls.call(lambda kept=client: kept.fail(), 5, "a test")
        del client
        eventually(lambda: gone() is None, "the client to go")
    finally:
        gc.enable()
        calls.close()
