"""The files of one engine instance: who holds the directory, who the instance is, which generation of a store is live.

    <state-dir>/.lock                          flock, held while the engine runs
    <state-dir>/instance.json                  the instance's id, and the id its transactions derive from
    <state-dir>/<application>/<task>/<store>/  CURRENT (the live generation's name) beside the generations
        g00000001/  g00000002.staging/

Owner: the engine; the lock is taken before anything else starts. `CURRENT` is moved by the loop only. Names are checked
before a path is made of them. Everything is created with mode 0750.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from engine.config import new_instance_id
from engine.errors import ConfigError, DiskFull, DiskNearlyFull, Fatal, StateDirectoryLocked
from engine.names import check_name

DIRECTORY_MODE = 0o750
FIRST_GENERATION = "g00000001"
STAGING_SUFFIX = ".staging"
CURRENT = "CURRENT"
_GENERATION = re.compile(r"g(\d{8})")
_TASK = re.compile(r"\d{1,6}_\d{1,6}")
# No room on the device, none within the user's quota, none within the process's limit on a file's size.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Identity(NamedTuple):
    """Who an instance is across restarts."""

    instance_id: str
    transactional_id: str


class StateDirectory:
    """The state directory of one instance and one application."""

    def __init__(self, root: Path, application_id: str) -> None:
        self.root = root.absolute()
        self.application_id = check_name(application_id, "application id")
        self.application = self.root / self.application_id
        self._lock: int | None = None

    # -- who holds it -------------------------------------------------------------------------------------------------

    def lock(self) -> None:
        """Take the directory for this process; raises StateDirectoryLocked at once when another one holds it."""
        self._make(self.root)
        self._make(self.application)
        path = self.root / ".lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise StateDirectoryLocked(
                f"the state directory {self.root} is in use by process {holder}: stop that engine, or give this one "
                "another --state-dir"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle

    def unlock(self) -> None:
        """Let go of the directory; called last."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_new(self) -> bool:
        """Whether no instance has had it yet; until `identity` is asked for."""
        return not self._identity_file.exists()

    @property
    def _identity_file(self) -> Path:
        return self.root / "instance.json"

    def identity(self, given: str | None = None) -> Identity:
        """The ids of this instance, made at the first start and kept; a `given` instance id replaces the kept one."""
        path = self._identity_file
        kept = {}
        if path.exists():
            try:
                kept = json.loads(path.read_text())
                check_name(kept["instance_id"], "instance id")
                check_name(kept["process_id"], "process id")
            except (ValueError, KeyError, TypeError, ConfigError) as error:
                raise Fatal(f"{path} is damaged ({error}): move it away, and the instance gets a new id") from error
        instance_id = given or kept.get("instance_id") or new_instance_id()
        process_id = kept.get("process_id") or uuid.uuid4().hex
        transactional_id = f"{self.application_id}-{process_id}"
        text = {"instance_id": instance_id, "process_id": process_id, "transactional_id": transactional_id}
        if kept != text:
            _write(path, json.dumps(text) + "\n")
        return Identity(instance_id, transactional_id)

    # -- generations --------------------------------------------------------------------------------------------------

    def store_directory(self, task: str, store: str) -> Path:
        """Where the generations of one store partition lie."""
        if not _TASK.fullmatch(task):
            raise ConfigError(f"task {task!r} is not <sub-topology>_<partition>")
        return self.application / task / check_name(store, "store name")

    def generation_directory(self, task: str, store: str, generation: str) -> Path:
        """Where one generation lies; raises ConfigError for a name that is none."""
        if not _GENERATION.fullmatch(generation.removesuffix(STAGING_SUFFIX)):
            raise ConfigError(f"generation {generation!r} is not g and eight digits, such as {FIRST_GENERATION}")
        return self.store_directory(task, store) / generation

    def current(self, task: str, store: str) -> str | None:
        """The live generation's name, or None when there is no usable one."""
        name = self._named(task, store)
        return name if name is not None and (self.store_directory(task, store) / name).is_dir() else None

    def make_current(self, task: str, store: str) -> str:
        """The live generation's name; one is named where none is. Its directory may not be there yet."""
        name = self._named(task, store)
        if name is None:
            name = self.next_generation(task, store)
            self.move_current(task, store, name)
        return name

    def next_generation(self, task: str, store: str) -> str:
        """A name that no generation of the store has, staged ones included."""
        known = [*self.generations(task, store), self._named(task, store) or "g00000000"]
        return f"g{max(int(name[1:9]) for name in known) + 1:08d}"

    def _named(self, task: str, store: str) -> str | None:
        """What `CURRENT` says, whether it is there or not."""
        try:
            name = (self.store_directory(task, store) / CURRENT).read_text().strip()
        except FileNotFoundError:
            return None
        return name if _GENERATION.fullmatch(name) else None

    def generations(self, task: str, store: str) -> list[str]:
        """Names of the generations on disk, staged ones with their suffix, oldest first."""
        directory = self.store_directory(task, store)
        if not directory.is_dir():
            return []
        names = (p.name for p in directory.iterdir() if p.is_dir())
        return sorted(n for n in names if _GENERATION.fullmatch(n.removesuffix(STAGING_SUFFIX)))

    def move_current(self, task: str, store: str, generation: str) -> None:
        """Name another generation live: the file is complete and on disk before it takes the old one's place."""
        if not _GENERATION.fullmatch(generation):
            raise ConfigError(f"generation {generation!r} cannot become live: it is not g and eight digits")
        directory = self.store_directory(task, store)
        self._make(directory.parent)
        self._make(directory)
        _write(directory / CURRENT, generation + "\n")

    def remove_generation(self, task: str, store: str, generation: str) -> None:
        """Delete a generation that is not live; raises ConfigError for the live one."""
        if generation == self.current(task, store):
            raise ConfigError(f"generation {generation} of store {store} of task {task} is live: it is not removed")
        shutil.rmtree(self.generation_directory(task, store, generation), ignore_errors=True)

    def discard(self, task: str, store: str) -> None:
        """Drop the live generation, so that the store is rebuilt into a new one."""
        name = self.current(task, store)
        if name is not None:
            self.move_current(task, store, self.next_generation(task, store))
            self.remove_generation(task, store, name)

    # -- what is left over --------------------------------------------------------------------------------------------

    def tasks(self) -> list[str]:
        """Tasks that have files here."""
        if not self.application.is_dir():
            return []
        return sorted(p.name for p in self.application.iterdir() if p.is_dir() and _TASK.fullmatch(p.name))

    def sweep(self, task: str, store: str) -> None:
        """Remove generations that are neither live nor staged: an engine died between a swap and its cleaning."""
        live = self.current(task, store)
        for name in self.generations(task, store):
            if name != live and not name.endswith(STAGING_SUFFIX) and live is not None and name < live:
                self.remove_generation(task, store, name)

    def remove_unowned(self, owned: Iterable[str], delay_ms: int) -> list[str]:
        """Delete tasks not in `owned` that nobody touched for `delay_ms`; returns their ids."""
        keep = set(owned)
        oldest = time.time() - delay_ms / 1000
        removed = [t for t in self.tasks() if t not in keep and self._touched(self.application / t) < oldest]
        for task in removed:
            shutil.rmtree(self.application / task, ignore_errors=True)
        return removed

    def check_space(self, free_min: int) -> None:
        """Raise DiskNearlyFull when less than `free_min` bytes are free for this user; 0 checks nothing."""
        if free_min <= 0:
            return
        free = shutil.disk_usage(self.root).free
        if free < free_min:
            raise DiskNearlyFull(
                f"{self.root} has {free:,} bytes free, and disk_free_bytes_min is {free_min:,}: make room there and start "
                "again, or lower that setting"
            )

    def bytes_used(self) -> int:
        """Size of all files below the application's directory."""
        return sum(_size(path) for path in _files(self.application))

    def _touched(self, directory: Path) -> float:
        return max((_changed(path) for path in (directory, *_files(directory))), default=0.0)

    @staticmethod
    def _make(directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
        if directory.stat().st_uid == os.getuid():
            directory.chmod(DIRECTORY_MODE)


def named(error: BaseException) -> BaseException:
    """An operating system's error as the engine's, where it says that there is no room; any other as it is."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = f" for {error.filename}" if error.filename else ""
        return DiskFull(f"there is no room left{where} ({error.strerror}): make room and start again")
    return error


def _write(path: Path, text: str) -> None:
    """Replace `path` by a file with `text` that a crash leaves whole, old or new."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            yield Path(folder, name)


def _size(path: Path) -> int:
    # RocksDB deletes files while we walk: one that has gone has no size.
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
