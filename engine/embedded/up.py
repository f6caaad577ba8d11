"""``manage.py up`` from beginning to end: settle, fetch, start, serve, stop. Knows no Django; its children do."""

import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

from engine.embedded import jars, parts, up_file
from engine.embedded.data_directory import DataDirectory
from engine.embedded.failure import StartFailure
from engine.embedded.options import Options, parse
from engine.embedded.parent import Parent
from engine.embedded.screen import Screen
from engine.embedded.stack import Stack, settle
from engine.embedded.supervisor import Supervisor
from engine.embedded.up_file import UpFile

PLATFORMS = ("linux", "darwin")


def main(arguments: list[str]) -> int:
    """Run `up` with these command-line arguments; return its exit code."""
    return run(parse(arguments))


def run(options: Options) -> int:
    """Run the stack until told to stop. 0 after a clean stop; 1, with one sentence on stderr, when it can't start."""
    screen = Screen()
    with Wish(Parent()) as wish:
        try:
            _check_platform()
            data = DataDirectory(options.data_dir)
            data.open(lambda: screen.say("  an earlier `up` is still ending; waiting for it"))
            try:
                # One that a killed `up` has left behind: nothing of it is true.
                (data / up_file.NAME).unlink(missing_ok=True)
                _serve(settle(options, data), screen, wish)
            finally:
                data.close()
        except StartFailure as failure:
            print(f"error: {failure}", file=sys.stderr)  # noqa: T201
            return 1
        except KeyboardInterrupt:
            screen.say("Stopped.")
    return 0


class Wish:
    """Whether `up` should go on: until a signal says stop, or the `uv` above is gone.

    Until :meth:`hold` is called a signal interrupts what is being done (a download, say); from then on it is only noted,
    so that the parts are stopped in order.
    """

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._stop = False
        self._held = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.getsignal(number)
            # `nohup` has asked that hang-ups be ignored: leave it so.
            if number is not signal.SIGHUP or self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """From now on only note signals."""
        self._held = True

    def go_on(self) -> bool:
        """Tell whether nobody has asked to stop yet."""
        return not self._stop and not self._parent.gone

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self._stop = True
        if not self._held:
            raise KeyboardInterrupt


def _check_platform() -> None:
    if not sys.platform.startswith(PLATFORMS):
        raise StartFailure(
            f"Statehouse's embedded parts run on Linux and macOS, not on {sys.platform}. "
            "Use one of these (on Windows: WSL), or run the parts yourself as the README says."
        )


def _serve(stack: Stack, screen: Screen, wish: Wish) -> None:
    """Fetch and prepare what the parts need, then run them until the wish ends."""
    screen.say(f"Starting Statehouse in {stack.data.path}")
    if stack.kafka:
        missing = jars.missing("kafka")
        if missing:
            with screen.download(f"Kafka ({len(missing)} libraries)", sum(jar.size for jar in missing)) as progress:
                jars.fetch(missing, progress)
        stack.kafka.prepare()
    if stack.redis:
        stack.redis.prepare()
    wish.hold()
    written = UpFile(stack)
    supervisor = Supervisor(parts.table(stack), screen.heard, lend=(stack.data.lock_descriptor,))
    try:
        if supervisor.start(wish.go_on):
            written.write(supervisor.parts)
            screen.ready(stack)
            supervisor.run(wish.go_on, lambda: written.write(supervisor.parts))
    finally:
        screen.say("Stopping …")
        killed = supervisor.stop()
        written.remove()
    screen.say("Stopped." if not killed else f"Stopped; {', '.join(killed)} had to be killed.")
