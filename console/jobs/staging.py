"""Where a copy is built: the directory beside the live generation. The only module of the console that writes there.

The engine says where a store lies; that is checked against the names of the job before anything is made or removed.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from console.jobs.control import Refusal
from console.jobs.work import Failed, TryAgain
from engine.topology.stores import StoreSpec

if TYPE_CHECKING:
    from console.jobs.control import Owner
    from console.jobs.work import Work
    from console.models import Job

_GENERATION = re.compile(r"g\d{8}")
_STAGING = ".staging"
_DIRECTORY_MODE = 0o750
_SPEC_FIELDS = {field.name for field in dataclasses.fields(StoreSpec)} - {"key_serde", "value_serde", "supplier"}


class Staged:
    """A generation on disk that a job has begun. One thread."""

    def __init__(self, directory: Path, generation: str) -> None:
        self.directory, self.generation = directory, generation

    @property
    def staged(self) -> Path:
        """Where the copy grows."""
        return self.directory / (self.generation + _STAGING)

    @property
    def is_live(self) -> bool:
        """Whether the swap has happened: an attempt that died right after it finds that here."""
        return _current(self.directory) == self.generation

    @property
    def is_complete(self) -> bool:
        """Whether the copy has been built to its end."""
        return (self.directory / self.generation).is_dir()

    def prepare(self) -> None:
        """Remove what an attempt that died has left; ``build_generation`` makes the directory itself."""
        shutil.rmtree(self.staged, ignore_errors=True)

    def complete(self) -> None:
        """Give the finished copy its name: from now on an attempt that finds it goes straight to the swap."""
        self.staged.rename(self.directory / self.generation)
        handle = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def discard(self) -> None:
        """Remove the copy, unless it has become the live one. One that has its name may have been ordered: end that first."""
        shutil.rmtree(self.staged, ignore_errors=True)
        if not self.is_live:
            shutil.rmtree(self.directory / self.generation, ignore_errors=True)


class Copy:
    """A copy that nobody will serve: built to be read, in a directory of the job's own. ``staged`` is made by the build."""

    def __init__(self, staged: Path, spec: StoreSpec, changelog: str, partition: int) -> None:
        self.staged, self.spec, self.changelog, self.partition = staged, spec, changelog, partition

    def prepare(self) -> None:
        """Remove what is there: half a copy of an attempt that died, or a whole one that has served."""
        shutil.rmtree(self.staged, ignore_errors=True)


class Place(Staged):
    """The generation that a job builds for one partition, and what it is built from."""

    def __init__(self, directory: Path, generation: str, spec: StoreSpec, changelog: str, partition: int) -> None:
        super().__init__(directory, generation)
        self.spec, self.changelog, self.partition = spec, changelog, partition


def of(job: Job) -> list[tuple[int, Staged]]:
    """Return what any attempt of the job has begun on this host, with its partition; some of it may be live, or gone."""
    kept = job.result.get("generations", {}).items()
    return [(int(partition), staged) for partition, each in kept if (staged := _staged(job, each)) is not None]


def former(job: Job) -> list[Staged]:
    """Return what attempts have begun on this host beside instances that the partition has left since."""
    return [staged for each in job.result.get("former", []) if (staged := _staged(job, each)) is not None]


def discard_staged(job: Job) -> None:
    """Remove the copies in building of any attempt; what has a generation's own name is the engine's and stays."""
    for staged in (*(each for _, each in of(job)), *former(job)):
        staged.prepare()


def _staged(job: Job, kept: dict[str, str]) -> Staged | None:
    directory = Path(kept["directory"])
    if not directory.is_dir() or not _GENERATION.fullmatch(kept["generation"]):
        return None
    return Staged(_checked(directory, job.application, job.store), kept["generation"])


def store_of(work: Work, owner: Owner) -> dict[str, Any]:
    """Ask the owner what it has of the partition: directory, changelog, backend, ``spec`` (contracts, section 2)."""
    job, partition = work.job, owner.partition
    try:
        tasks = owner.call("GET", "/v1/control/tasks").get("tasks", [])
    except Refusal as error:
        raise Failed(f"The engine does not say where its stores lie: {error.words}") from error
    found = next((task["stores"][job.store] for task in tasks if _has(task, job.store, partition)), None)
    if found is None:
        raise TryAgain(f"the engine that reports partition {partition} no longer has it")
    if not isinstance(found.get("spec"), dict):
        raise Failed(
            "The engine does not say how the store is laid out (no `spec` in /v1/control/tasks). Update the engine."
        )
    return dict(found)


def locate(work: Work, owner: Owner) -> Place | None:
    """Ask the owner where the store lies; None for one in memory. The generation's name is kept in the row."""
    job, partition = work.job, owner.partition
    host = owner.instance().host
    found = store_of(work, owner)
    if found.get("backend") != "rocksdb" or not found.get("directory"):
        return None
    if host != settings.HOST_NAME:
        raise Failed(f"Partition {partition} has moved to {host} since the dry run. Start the job again.")
    directory = _checked(Path(str(found["directory"])), job.application, job.store)
    known = {key: value for key, value in found["spec"].items() if key in _SPEC_FIELDS}
    spec = StoreSpec(**{**known, "name": job.store})
    names: dict[str, Any] = dict(job.result.get("generations", {}))
    kept = names.get(str(partition), {})
    if kept.get("directory") != str(directory):
        left = [*job.result.get("former", []), *([kept] if kept else [])]
        kept = {"directory": str(directory), "generation": _next(directory)}
        work.remember(generations={**names, str(partition): kept}, former=left)
    return Place(directory, str(kept["generation"]), spec, str(found["changelog"]), partition)


def _has(task: dict[str, Any], store: str, partition: int) -> bool:
    return (
        task.get("partition") == partition
        and task.get("role", "active") == "active"
        and store in task.get("stores", {})
    )


def _checked(directory: Path, application: str, store: str) -> Path:
    """Return the directory if it is one of this store's: ``…/<application>/<task>/<store>``, and really there."""
    resolved = directory.resolve()
    if not directory.is_absolute() or resolved.name != store or resolved.parent.parent.name != application:
        raise Failed(
            f"The engine named a directory that is not one of store {store}'s: {directory}. Nothing was touched."
        )
    if not resolved.is_dir():
        raise Failed(f"The worker does not see {directory}. Run it on the engine's host, with the same mounts.")
    return resolved


def _current(directory: Path) -> str | None:
    try:
        return (directory / "CURRENT").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _next(directory: Path) -> str:
    """Return a generation's name that is not in use, staged or live."""
    names = [path.name.removesuffix(_STAGING) for path in directory.iterdir()] + [_current(directory) or ""]
    return f"g{max((int(name[1:]) for name in names if _GENERATION.fullmatch(name)), default=0) + 1:08d}"
