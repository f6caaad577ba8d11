"""The launcher that stands between ``up`` and each of its children, so that no child outlives ``up``.

Run by path, never imported with its package: standard library only, so that one costs 10 ms and a few megabytes.

    python -I -S child.py GUARD_FD STATUS_FD GRACE_SECONDS -- COMMAND…

The *guard* is the read end of a pipe whose only write end ``up`` holds. A byte in it means "stop"; its end means that
``up`` is gone, however it went. Either way the child gets SIGTERM, then its whole process group SIGKILL after the grace.
The *status* pipe tells ``up`` what happens: ``pid N``, ``exit CODE`` (negative: the signal that killed it), ``failed WHY``.
The child leads its own process group and whatever is left of the group when the child has ended is killed.
"""

import os
import select
import signal
import sys
import time
from types import FrameType

# `up` is gone and nobody waits for a long farewell: SIGTERM, and this many seconds.
ORPHAN_GRACE_SECONDS = 4.0
PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 127
DESCRIPTORS_END = 1024


def main(arguments: list[str]) -> int:
    """Start the command, wait for its end or for the guard's, leave nothing behind."""
    guard, status, grace = int(arguments[0]), int(arguments[1]), float(arguments[2])
    woken = _wake_on_signals()
    launcher = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(arguments[4:], launcher)
    _say(status, f"pid {pid}")
    _wait(pid, guard, woken, grace)
    code = os.waitstatus_to_exitcode(_reap(pid) or 0)
    _say(status, f"exit {code}")
    return 0


def _wake_on_signals() -> int:
    """Make SIGCHLD, and the signals that would end the launcher, readable from the returned descriptor."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Only the wake-up counts."""

    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignore)
    return readable


def _become(command: list[str], launcher: int) -> None:
    """In the forked process: turn into the command; never returns."""
    try:
        os.setpgid(0, 0)
        _die_with(launcher)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        # The pipes, and what `up` lends to its launchers (the lock of the data directory), are not the command's.
        os.closerange(3, DESCRIPTORS_END)
        os.execvp(command[0], command)  # noqa: S606 (no shell is what we want)
    except OSError as error:
        os.write(2, f"{command[0]} can't be started: {error}\n".encode())
    finally:
        os._exit(CANNOT_EXECUTE)


def _die_with(launcher: int) -> None:
    """On Linux, have the kernel kill this process when the launcher is killed; elsewhere `up` does it."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 (only in the forked process, where exec frees it again)

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != launcher:
        os._exit(CANNOT_EXECUTE)


def _wait(pid: int, guard: int, woken: int, grace: float) -> None:
    """Return when the child has ended, on its own or because the guard or a signal asked for it."""
    deadline: float | None = None
    watched = [guard, woken]
    while not _ended(pid):
        # Signals and the guard end the wait; the time limit is a second net, and the clock of a running deadline.
        readable, _, _ = select.select(watched, [], [], 2.0 if deadline is None else 0.05)
        stop = False
        if woken in readable:
            stop = any(number != signal.SIGCHLD for number in os.read(woken, 64))
        if guard in readable:
            if not os.read(guard, 1):
                watched = [woken]
                grace = min(grace, ORPHAN_GRACE_SECONDS)
                deadline = deadline and min(deadline, time.monotonic() + grace)
            stop = True
        if stop and deadline is None:
            deadline = time.monotonic() + grace
            # To the child alone: it knows how to end its own processes in order. The group follows when it is over.
            os.kill(pid, signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            _kill_group(pid)
    _kill_group(pid)


def _ended(pid: int) -> bool:
    """Tell whether the child has ended, without reaping it: its id must stay its own until its group is killed."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return _reap(pid, os.WNOHANG) is not None


_reaped: dict[int, int] = {}


def _reap(pid: int, options: int = 0) -> int | None:
    """Reap the child once; return its wait status, or None while it runs (with WNOHANG)."""
    if pid not in _reaped:
        found, status = os.waitpid(pid, options)
        if found == 0:
            return None
        _reaped[pid] = status
    return _reaped[pid]


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nobody left; macOS says "not permitted" for a group of zombies.
        return


def _say(status: int, message: str) -> None:
    try:
        os.write(status, message.encode() + b"\n")
    except OSError:
        # `up` is gone and with it the reader; the guard has said so too.
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
