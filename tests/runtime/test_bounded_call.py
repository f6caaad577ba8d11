"""A call that does not return is given up, and the next one is made by another thread."""

import threading

import pytest

from engine.errors import BrokerUnavailable
from engine.runtime.bounded_call import BoundedCalls


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
