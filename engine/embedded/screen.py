"""What ``manage.py up`` says: a readable line per part, progress of downloads, the address and the account at the end."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engine.embedded.jars import Progress
from engine.embedded.stack import USER, Stack
from engine.embedded.supervised import State, Supervised

QUARTER = 0.25


class Screen:
    """Writes to standard output, one line at a time; a progress bar only on a terminal."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def say(self, line: str = "") -> None:
        """Write one line now."""
        # A reader that went away (`up | head`) is no reason to stop.
        with suppress(OSError):
            print(line, flush=True)  # noqa: T201

    def heard(self, one: Supervised) -> None:
        """Say what has happened to a part."""
        seconds = time.monotonic() - one.started_at
        if one.state is State.SERVING:
            again = f"  again, process {one.pid}" if one.restarts else ""
            # Without a probe all that is known is that it has not ended.
            self._part(one, "up" if one.part.ready else "runs", seconds, again)
        elif one.state is State.DONE:
            self._part(one, "done", seconds)
        elif one.state is State.BACKING_OFF:
            self.say(
                f"  {one.name:<20} {_end(one.exit_code)}; starting it again in {one.back_off_seconds:.0f} s "
                f"(log: {one.part.command.log})"
            )

    def ready(self, stack: Stack) -> None:
        """Say where to go and who to be."""
        self.say()
        self.say(f"Statehouse is up after {time.monotonic() - self._begun:.1f} s. Open {stack.url}")
        self.say(f"  sign in as   {USER}   password {stack.password}")
        self.say(f"  API token    {stack.token}")
        self.say(f"  data in      {stack.data.path}   (the next `up` goes on from there)")
        self.say("Ctrl-C stops everything.")

    @contextmanager
    def download(self, what: str, size: int) -> Iterator[Progress]:
        """Show the progress of ``size`` bytes; yields the function to call with the bytes that have arrived."""
        if sys.stdout.isatty():
            from rich import progress as rich  # noqa: PLC0415 (most starts download nothing)

            columns = (
                rich.TextColumn("  {task.description}"),
                rich.BarColumn(),
                rich.DownloadColumn(),
                rich.TransferSpeedColumn(),
            )
            with rich.Progress(*columns) as bar:
                task = bar.add_task(what, total=size)
                yield lambda count: bar.advance(task, count)
            return
        arrived, told = 0, 0.0

        def count(number: int) -> None:
            nonlocal arrived, told
            arrived += number
            if arrived / size >= told + QUARTER:
                told = arrived / size // QUARTER * QUARTER
                self.say(f"  {what}: {arrived / 1e6:.0f} of {size / 1e6:.0f} MB")

        self.say(f"  {what}: {size / 1e6:.0f} MB to fetch, once")
        yield count

    def _part(self, one: Supervised, word: str, seconds: float, more: str = "") -> None:
        self.say(f"  {one.name:<20} {word:<5} {one.part.address or '':<18} {seconds:5.1f} s{more}")


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"
    return f"ended with code {code}"
