"""The supervisor of ``manage.py up``: starts parts in the order of their dependencies, keeps them running, stops them in reverse.

One thread, one loop. It never ends because a part does; before all parts have served once, a part that won't start is a
:class:`StartFailure` instead. However this process dies, the launchers (``child.py``) end the parts.
"""

import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from engine.embedded.failure import StartFailure
from engine.embedded.part import Part, waves
from engine.embedded.supervised import State, Supervised

TICK_SECONDS = 0.05
# How often a part may end before it has served, at the first start.
FALSE_STARTS_MAX = 3
PROBES_AT_ONCE = 8
# Beyond a part's own stop time: the launcher's and ours to notice.
STOP_MARGIN_SECONDS = 2.0
# "%4|1795457105.196|GETPID|rdkafka#producer-1| …": the client's own log, printed in parallel to the program's last words.
LIBRDKAFKA_LINE = re.compile(r"%\d\|")


class Supervisor:
    """Owns the parts' processes. ``listener`` hears each change of a part's state, in this thread."""

    def __init__(
        self,
        parts: list[Part],
        listener: Callable[[Supervised], None] = lambda _part: None,
        *,
        lend: tuple[int, ...] = (),
    ) -> None:
        self._probing = ThreadPoolExecutor(PROBES_AT_ONCE, thread_name_prefix="probe")
        self._waves = [[Supervised(part, self._probing, listener, lend=lend) for part in wave] for wave in waves(parts)]
        self._by_name = {one.name: one for one in self.parts}

    @property
    def parts(self) -> list[Supervised]:
        """All parts, those that others depend on first."""
        return [one for wave in self._waves for one in wave]

    def start(self, keep_going: Callable[[], bool] = lambda: True) -> bool:
        """Start everything; return True when every part serves (or is done), False when ``keep_going`` said no.

        Raises :class:`StartFailure` for the first part that can't be started; the caller then calls :meth:`stop`.
        """
        while keep_going():
            for one in self.parts:
                if one.state is State.WAITING and all(self._by_name[name].satisfied for name in one.part.after):
                    one.start()
                one.step()
                _check_start(one)
            if all(one.serving_at or one.state is State.DONE for one in self.parts):
                return True
            time.sleep(TICK_SECONDS)
        return False

    def run(self, keep_going: Callable[[], bool], each_tick: Callable[[], None] = lambda: None) -> None:
        """Keep the parts running until ``keep_going`` says no."""
        while keep_going():
            for one in self.parts:
                one.step()
            each_tick()
            time.sleep(TICK_SECONDS)

    def stop(self) -> list[str]:
        """Stop all parts, dependants first, in bounded time; return the names of those that had to be killed."""
        killed = []
        for wave in reversed(self._waves):
            ended_before = {one.name for one in wave if one.ended()}
            for one in wave:
                one.stop()
            # Each launcher bounds its own part; this only waits for the launchers.
            deadline = time.monotonic() + STOP_MARGIN_SECONDS + max(one.part.command.stop_seconds for one in wave)
            while not all(one.ended() for one in wave) and time.monotonic() < deadline:
                time.sleep(TICK_SECONDS)
            for one in wave:
                if one.process and one.process.running():
                    one.process.close()
                if one.process and one.process.exit_code == -signal.SIGKILL and one.name not in ended_before:
                    killed.append(one.name)
        self._probing.shutdown(wait=False, cancel_futures=True)
        return killed


def _check_start(one: Supervised) -> None:
    """Raise when a part has failed to start for the first time too often or for too long."""
    if one.serving_at:
        return
    part = one.part
    if one.state is State.BACKING_OFF and one.restarts + 1 >= FALSE_STARTS_MAX:
        why = str(one.refused) if one.refused is not None else _last_line(part)
        raise StartFailure(f"{part.name} did not start: {why}. {_remedy(part)}")
    if one.state is State.STARTING and time.monotonic() - one.started_at > part.start_seconds:
        raise StartFailure(f"{part.name} did not answer within {part.start_seconds:.0f} s. {_remedy(part)}")


def _last_line(part: Part) -> str:
    """Return the last line that the part has said, which for well-behaved programs is the reason."""
    try:
        lines = part.command.log.read_bytes()[-4096:].decode(errors="replace").split("\n")
    except OSError:
        lines = []
    said = [line.strip() for line in lines if line.strip() and not LIBRDKAFKA_LINE.match(line)]
    return said[-1].rstrip(".") if said else "it ended without a word"


def _remedy(part: Part) -> str:
    return f"{part.remedy} The whole story is in {part.command.log}.".strip()
