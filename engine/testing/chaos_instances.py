"""Instances under chaos: engine processes that are killed, paused, stopped and started again on their directories."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.hosting.children import PARENT_PIPE

LOG_TAIL_CHARS = 1_500
KILL_SECONDS = 10.0


class Guard:
    """A pipe whose end tells the instances that the chaos run is gone: they end with it, however it went."""

    def __init__(self) -> None:
        self.readable, self._writable = os.pipe()
        os.set_inheritable(self.readable, True)  # noqa: FBT003 - os takes it by place

    def close(self) -> None:
        """Let go; instances that still run end."""
        os.close(self.readable)
        os.close(self._writable)


class Instance:
    """One engine process at a time on one state directory. One thread."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, guard: Guard) -> None:
        self._command = list(command)
        self._guard = guard
        self._environment = {**os.environ, **environment, PARENT_PIPE: str(guard.readable)}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.paused = False

    def start(self) -> None:
        """Start it; its output is appended to its log."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self._command,
                env=self._environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                pass_fds=(self._guard.readable,),
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What the last process ended with; None while it runs, or before the first."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(KILL_SECONDS)
        self.paused = False

    def pause(self) -> None:
        """Freeze it: it holds its connections and answers nothing."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGSTOP)
            self.paused = True

    def resume(self) -> None:
        """Let it go on as if nothing had been."""
        if self._process is not None and self.paused:
            self._process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self, seconds: float) -> int | None:
        """Stop it cleanly and return its exit code; None, and it is killed, when it takes longer."""
        if self._process is None:
            return 0
        self.resume()
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int | None:
        """Wait for it to end by itself and return its exit code; None, and it is killed, when it takes longer."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:] if self.log.exists() else ""
