"""Calls into the Kafka client that may not return, with a bound.

librdkafka 2.16 heeds no timeout in `send_offsets_to_transaction` once the group's coordinator has dropped the connection
(its issue 5456): the call waits for a broker to change state, which may be never. Such a call is made on another thread;
whoever waits for it gives up, with the client, when it takes too long.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from engine.errors import BrokerUnavailable

Result = TypeVar("Result")
Job = tuple[Callable[[], Any], "queue.SimpleQueue[tuple[Any, BaseException | None]]"]


class BoundedCalls:
    """One thread at a time that makes calls for another. Used by one thread."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] | None = None

    def call(self, function: Callable[[], Result], seconds: float, what: str) -> Result:
        """Return or raise what `function` does; raises BrokerUnavailable when it takes longer.

        It may still do its work after that: give up what it works on too.
        """
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            # A daemon: a call that never returns must not hold up the end of the process.
            threading.Thread(target=_serve, args=(self._jobs,), name="kafka-call", daemon=True).start()
        answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._jobs.put((function, answer))
        try:
            result, error = answer.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise BrokerUnavailable(f"{what}: the Kafka client did not return within {seconds:.0f} s") from None
        if error is not None:
            try:
                raise error
            finally:
                # Its traceback has this frame, and `function`'s, which holds the client: in a circle none would go.
                del error
        found: Result = result
        return found

    def close(self) -> None:
        """Let the thread end, once its call returns."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _serve(jobs: "queue.SimpleQueue[Job | None]") -> None:
    while (job := jobs.get()) is not None:
        function, answer = job
        try:
            answer.put((function(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was asked for
            answer.put((None, error))
        # Not kept while waiting for the next: it holds the client.
        del job, function, answer
