"""The data directory of ``manage.py up``: who holds it, what is in it, and the small files that make a second start like the first."""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.embedded import ports
from engine.embedded.failure import StartFailure

# Kafka's log of a year of flights with all changelogs, the state stores, and room for RocksDB to compact.
DISK_BYTES_MIN = 1024**3
# The parts of an `up` that was killed end within child.ORPHAN_GRACE_SECONDS; then the lock is free.
LOCK_WAIT_SECONDS = 15.0


class DataDirectory:
    """The one ``up`` that holds this directory; the lock lives as long as this process and its launchers."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock_descriptor = -1
        self._taken: set[int] = set()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def open(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Create the directory, take its lock, check the disk. ``waiting`` is called once if an earlier `up` is still ending."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartFailure(
                f"The data directory {self.path} can't be used: {error.strerror}. "
                "Give one that you may write to with --data-dir."
            ) from error
        self._lock(descriptor, waiting)
        free = shutil.disk_usage(self.path).free
        if free < DISK_BYTES_MIN:
            raise StartFailure(
                f"The disk of {self.path} has {free // 1024**2} MiB left and Statehouse needs {DISK_BYTES_MIN // 1024**2} MiB. "
                "Free some space, or give a directory on another disk with --data-dir."
            )

    def close(self) -> None:
        """Give the directory back."""
        if self.lock_descriptor >= 0:
            os.close(self.lock_descriptor)
            self.lock_descriptor = -1

    def secret(self, name: str, length: int = 24) -> str:
        """Return the secret kept in the file ``name`` (mode 0600); make it at the first call."""
        path = self / name
        if not path.exists():
            self.write_private(name, secrets.token_urlsafe(length) + "\n")
        return path.read_text().strip()

    def write_private(self, name: str, text: str) -> None:
        """Write a file that only its owner may read, whole or not at all."""
        path = self / name
        partial = path.with_name(f".{name}.partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def port(self, name: str, usual: int | None) -> int:
        """Return a free port for the part ``name``: the one of the last start, else ``usual``, else any; and remember it."""
        remembered = self._remembered()
        last = remembered.get(name)
        port = ports.choose(last, avoid=self._taken) if isinstance(last, int) and ports.is_free(last) else -1
        if port < 0:
            port = ports.choose(usual, avoid=self._taken)
        self.remember_port(name, port)
        return port

    def remember_port(self, name: str, port: int) -> None:
        """Keep ``port`` for the next start and out of the hands of the other parts of this one."""
        self._taken.add(port)
        self.write_private("ports.json", json.dumps({**self._remembered(), name: port}, indent=2) + "\n")

    def _remembered(self) -> dict[str, Any]:
        try:
            found = json.loads((self / "ports.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _lock(self, descriptor: int, waiting: Callable[[], None]) -> None:
        """Take the lock, naming its holder when it can't be had."""
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                if _runs(holder) or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise StartFailure(
                        f"Another `up` (process {holder or 'unknown'}) is running on {self.path}. "
                        "Use that one, stop it first, or give another directory with --data-dir."
                    ) from None
                if not told:
                    waiting()
                    told = True
                time.sleep(0.1)
            else:
                break
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self.lock_descriptor = descriptor


def _runs(holder: str) -> bool:
    """Tell whether the process that wrote its id into the lock is alive; its children may hold the lock a little longer."""
    try:
        os.kill(int(holder), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
