"""Signals of an engine process, and the codes it exits with.

    SIGTERM, SIGINT once   stop: finish the turn, commit, close, leave the group; at most `stop_timeout_ms`
    SIGINT or SIGTERM again   end at once: what was not committed is processed again, nothing is lost

Both ends are safe by the order of the commit; the first one only saves the next owner the wait and the replay.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_LOCKED = 3
EXIT_DISK_FULL = 4
EXIT_STOP_TIMED_OUT = 75
EXIT_FORCED = 130


STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Turns signals into a stop. Made and installed on the main thread."""

    def __init__(self, stop: Callable[[], None], stop_timeout_ms: int) -> None:
        self._stop = stop
        self._timeout = stop_timeout_ms / 1000
        self._asked = False

    def install(self) -> None:
        """Listen from now on.

        In a thread of its own: Python runs a handler on the main thread only, which may stand in a call for minutes, and
        a second signal has to be heard just then.
        """
        heard, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, _nothing)
        threading.Thread(target=self._listen, args=(heard,), name="signals", daemon=True).start()

    def _listen(self, heard: int) -> None:
        while numbers := os.read(heard, 64):
            for number in numbers:
                if number in STOPPING:
                    self._on_signal(number)

    def _on_signal(self, number: int) -> None:
        if self._asked:
            os._exit(EXIT_FORCED)
        self._asked = True
        log.warning("stopping on %s; once more ends at once", signal.Signals(number).name)
        self._stop()
        bound = threading.Timer(self._timeout, _give_up, (self._timeout,))
        bound.daemon = True
        bound.start()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Take the default's place; the listener does the rest."""


def _give_up(seconds: float) -> None:
    log.error("the engine did not stop within %.0f s: it ends now, and replays at the next start", seconds)
    os._exit(EXIT_STOP_TIMED_OUT)
