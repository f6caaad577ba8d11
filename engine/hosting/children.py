"""Several instances on one host: each a process of its own, with a state directory and a port of its own.

The parent only watches. It passes signals on, and ends with the others when one child fails. Children end with it, however
it goes: each watches a pipe that only the parent holds open.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

# Names the descriptor of the parent's pipe in a child's environment.
PARENT_PIPE = "STATEHOUSE_PARENT_PIPE"
# How often the parent looks whether a child has ended.
WATCH_SECONDS = 0.1


def run_children(commands: Sequence[Sequence[str]]) -> int:
    """Run the commands until all have ended; returns the first exit code that is not 0, or 0."""
    readable, writable = os.pipe()
    os.set_inheritable(readable, True)  # noqa: FBT003 - os takes it by place
    environment = {**os.environ, PARENT_PIPE: str(readable)}
    children = [
        subprocess.Popen(list(command), env=environment, pass_fds=(readable,), start_new_session=True)  # noqa: S603 - our own command line
        for command in commands
    ]
    os.close(readable)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    try:
        return _first_failure(children)
    finally:
        os.close(writable)


def _first_failure(children: list["subprocess.Popen[bytes]"]) -> int:
    code = 0
    running = list(children)
    while running:
        # Each in turn, waiting for none: a child that fails is seen while those before it run.
        for child in running:
            found = child.poll()
            if found and not code:
                code = found if found > 0 else 128 - found
                for other in running:
                    other.terminate()
        running = [child for child in running if child.returncode is None]
        if running:
            time.sleep(WATCH_SECONDS)
    return code


def end_with_parent() -> None:
    """In a child: end at once when the parent is gone. Does nothing for a process that has no such parent."""
    text = os.environ.pop(PARENT_PIPE, None)
    if text is None:
        return
    threading.Thread(target=_watch, args=(int(text),), name="parent-watch", daemon=True).start()


def _watch(pipe: int) -> None:
    while os.read(pipe, 1):
        continue
    # As with a second signal: nothing is lost, the next start replays.
    os.kill(os.getpid(), signal.SIGTERM)


def command_line(arguments: Sequence[str]) -> list[str]:
    """How to start this program again with other arguments."""
    return [sys.executable, sys.argv[0], *arguments]
