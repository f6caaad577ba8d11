"""The files of a snapshot: a store as its changelog was before an offset, kept beside the live stores, never written again.

    <state-dir>/<application>/snapshots/<id>/          id: a UUID; <id>.staging until it is whole
        snapshot.json                                  what it is of, and how far each partition goes
        <partition>/                                   RocksDB, with the column families of the store's kind

A worker writes them, the engine that owns the state directory reads them. Any thread. Knows no Kafka.
"""

import dataclasses
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from engine.names import check_name
from engine.topology.stores import StoreSpec

FOLDER = "snapshots"
STAGING = ".staging"
DIRECTORY_MODE = 0o750
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FILE = "snapshot.json"
_SPEC_FIELDS = {field.name for field in dataclasses.fields(StoreSpec)} - {"key_serde", "value_serde", "supplier"}


@dataclass(frozen=True)
class SnapshotFile:
    """What `snapshot.json` says. `positions`: partition to the offset that the copy goes up to (exclusive)."""

    store: str
    changelog: str
    partition_count: int
    positions: dict[int, int]
    shape: dict[str, Any]

    def spec(self) -> StoreSpec:
        """How the copies are laid out; without serdes."""
        return spec_of(self.store, self.shape)


def spec_of(store: str, shape: dict[str, Any]) -> StoreSpec:
    """A spec for a copy on disk, whatever the live store lies in; fields that this version does not know are left out."""
    known = {name: value for name, value in shape.items() if name in _SPEC_FIELDS}
    return StoreSpec(**{**known, "name": store, "backend": "rocksdb", "max_bytes": None, "max_entries": None})


def directory_of(application: Path, snapshot: str) -> Path:
    """Where a snapshot lies below an application's directory; raises ConfigError for what is not a snapshot's id."""
    if not _ID.fullmatch(snapshot):
        raise ConfigError(f"{snapshot[:60]!r} is not a snapshot's id (a UUID in lower case)")
    return application / FOLDER / snapshot


def write(directory: Path, described: SnapshotFile) -> None:
    """Put `snapshot.json` into a directory, on disk before this returns."""
    path = directory / _FILE
    with path.open("w") as file:
        json.dump(dataclasses.asdict(described), file)
        file.flush()
        os.fsync(file.fileno())


def read(directory: Path) -> SnapshotFile | None:
    """What a snapshot's directory holds, or None when there is none; raises ConfigError for a file that is damaged."""
    path = directory / _FILE
    try:
        found = json.loads(path.read_text())
        positions = {int(partition): int(position) for partition, position in found["positions"].items()}
        return SnapshotFile(
            check_name(found["store"], "store name"),
            str(found["changelog"]),
            int(found["partition_count"]),
            positions,
            dict(found["shape"]),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): delete this snapshot and take another") from error
