"""What RocksDB tells of itself: levels, compaction, memtables, what is held open. Read on demand, never on a record's way.

Called under the backend's gate, from any thread. A figure that this RocksDB does not have is None, never 0. Sums are over
the store's column families: the entries, the meta values, one for each window segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rocksdict import Rdict

# Figures that each column family has, added up: our name -> RocksDB's property.
_SUMMED = {
    "sst_bytes": "total-sst-files-size",
    "live_sst_bytes": "live-sst-files-size",
    "live_data_bytes": "estimate-live-data-size",
    "keys_estimate": "estimate-num-keys",
    "pending_compaction_bytes": "estimate-pending-compaction-bytes",
    "memtable_bytes": "cur-size-all-mem-tables",
    "table_readers_bytes": "estimate-table-readers-mem",
}
# Figures of the whole database, whichever family is asked.
_WHOLE = {
    "running_compactions": "num-running-compactions",
    "running_flushes": "num-running-flushes",
    "snapshots": "num-snapshots",
    "delayed_write_bytes_per_second": "actual-delayed-write-rate",
    "background_errors": "background-errors",
}
# Flags that one family is enough to raise.
_ANY = {
    "compaction_pending": "compaction-pending",
    "flush_pending": "mem-table-flush-pending",
    "writes_stopped": "is-write-stopped",
}
_VERSIONS = "num-live-versions"
_OLDEST_SNAPSHOT = "oldest-snapshot-time"
_STALLS = re.compile(r"total-(delays|stops): ([0-9]+)")


def facts(database: Rdict, families: Mapping[str, Rdict]) -> dict[str, Any]:
    """Return the figures of one store's database; bytes, counts, and `oldest_snapshot_at` in ms.

    `old_versions_held` counts sets of files that are superseded but still in use, by an iterator, a snapshot or a compaction.
    """
    spaces = list(families.values())
    found: dict[str, Any] = {"families": len(spaces), "levels": _levels(database.live_files())}
    found |= {name: _total(_number(space, prop) for space in spaces) for name, prop in _SUMMED.items()}
    found |= {name: _number(database, prop) for name, prop in _WHOLE.items()}
    for name, prop in _ANY.items():
        total = _total(_number(space, prop) for space in spaces)
        found[name] = None if total is None else total > 0
    versions = _total(_number(space, _VERSIONS) for space in spaces)
    found["old_versions_held"] = None if versions is None else max(versions - len(spaces), 0)
    seconds = _number(database, _OLDEST_SNAPSHOT)
    found["oldest_snapshot_at"] = seconds * 1000 if seconds else None
    return found | _stalls(spaces)


def _levels(files: Iterable[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Files, bytes, rows and deletion marks of each level that has files, the newest level first."""
    levels: dict[int, dict[str, int]] = {}
    for file in files:
        level = levels.setdefault(
            file["level"], {"level": file["level"], "files": 0, "bytes": 0, "entries": 0, "deletions": 0}
        )
        level["files"] += 1
        level["bytes"] += file["size"]
        level["entries"] += file["num_entries"]
        level["deletions"] += file["num_deletions"]
    return [levels[number] for number in sorted(levels)]


def _stalls(spaces: Iterable[Rdict]) -> dict[str, int | None]:
    """How often RocksDB slowed writes down, and stopped them, since the store was opened."""
    counted: dict[str, list[int | None]] = {"delays": [], "stops": []}
    for space in spaces:
        told = dict(_STALLS.findall(space.property_value("rocksdb.cf-write-stall-stats") or ""))
        for name, values in counted.items():
            values.append(int(told[name]) if name in told else None)
    return {f"write_{name}_total": _total(values) for name, values in counted.items()}


def _number(space: Rdict, name: str) -> int | None:
    return space.property_int_value(f"rocksdb.{name}")


def _total(values: Iterable[int | None]) -> int | None:
    """The sum; None as soon as one part of it is not known."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)
