"""One child of ``up``, held through its launcher (``child.py``): start, follow, stop, and never leave it behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("child.py")
# A log is rotated at a start when it is larger; one older file is kept.
LOG_BYTES_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: arguments, additions to the environment, where its output goes, and how long it may take to stop."""

    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    stop_seconds: float = 10.0


class Process:
    """A running child. Owned by one thread; nothing here blocks except :meth:`wait`.

    ``pid`` is the command's own process id, not the launcher's: ``kill -9 pid`` kills the part itself.
    """

    def __init__(self, command: Command, *, lend: tuple[int, ...] = ()) -> None:
        """Start ``command``; its launcher, not the command, keeps the descriptors ``lend`` open as long as it lives."""
        self.command = command
        self._pid: int | None = None
        self.exit_code: int | None = None
        self._heard = b""
        command.log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(command.log)
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
        seconds = str(command.stop_seconds)
        guard_read, self._guard = os.pipe()
        self._status, status_write = os.pipe()
        os.set_blocking(self._status, False)
        try:
            with command.log.open("ab") as log:
                self._launcher = subprocess.Popen(  # noqa: S603 (our own launcher)
                    [*launcher, str(guard_read), str(status_write), seconds, "--", *command.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **command.environment},
                    cwd=command.directory,
                    pass_fds=(guard_read, status_write, *lend),
                    # Ctrl-C in the terminal goes to `up` alone, which then stops its children in order.
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._guard)
            os.close(self._status)
            raise
        finally:
            os.close(guard_read)
            os.close(status_write)

    @property
    def pid(self) -> int | None:
        """The command's process id; None until the launcher has started it."""
        if self._pid is None and self.exit_code is None:
            # Who waited for the command to serve may not have listened since its launcher spoke.
            self._listen()
        return self._pid

    def running(self) -> bool:
        """Take in what the launcher has reported; tell whether the child still runs."""
        if self.exit_code is not None:
            return False
        self._listen()
        if self.exit_code is None and self._launcher.poll() is not None:
            self._listen()
            if self.exit_code is None:
                # The launcher itself was killed. Its child died with it on Linux; make sure of the group everywhere.
                self._kill_group()
                self.exit_code = -signal.SIGKILL
        if self.exit_code is not None:
            self._close()
        return self.exit_code is None

    def stop(self) -> None:
        """Ask for a clean stop; the launcher kills what is left after the command's ``stop_seconds``."""
        if self._guard >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._guard, b"s")

    def kill(self) -> None:
        """End the child and its group at once."""
        if self.running():
            self._kill_group()

    def wait(self, seconds: float) -> bool:
        """Wait until the child has ended, at most so long; tell whether it has."""
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """Stop the child and wait for it, in bounded time."""
        self.stop()
        if not self.wait(self.command.stop_seconds + 2):
            self.kill()
            self._launcher.kill()
            self.wait(2)

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._status, 4096):
                self._heard += chunk
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "pid":
                self._pid = int(value)
            elif word == "exit":
                self.exit_code = int(value)

    def _kill_group(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        if self._guard >= 0:
            os.close(self._guard)
            os.close(self._status)
            self._guard = self._status = -1
        self._launcher.wait()


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(log.name + ".1"))
