"""RocksDB's figures of a store's copies as the compaction page draws them: rows, sums, and what is wrong in words."""

from __future__ import annotations

from typing import Any

# More than this many times the live data on disk, a compaction is worth its work.
_WASTEFUL = 2.0
# Below this size it is not: files of a few kB are mostly their own indexes.
_WASTE_BYTES_MIN = 16 * 1024 * 1024
_SUMMED = ("sst_bytes", "live_data_bytes", "pending_compaction_bytes", "memtable_bytes", "keys_estimate")


def row(copy: dict[str, Any]) -> dict[str, Any]:
    """Return a copy with its levels, each as a share of the largest, and what RocksDB's figures mean, if anything."""
    facts = copy["rocksdb"]
    if facts is None:
        bound, used = copy["max_bytes"], copy["bytes"]
        filled = 100 * used / bound if bound and used is not None else None
        return copy | {"filled": filled, "warnings": []}
    most = max((level["bytes"] for level in facts["levels"]), default=0)
    return copy | {
        "levels": [each | {"share": round(100 * each["bytes"] / most) if most else 0} for each in facts["levels"]],
        "files": sum(level["files"] for level in facts["levels"]),
        "deletions": sum(level["deletions"] for level in facts["levels"]),
        "amplification": _amplification(facts),
        "warnings": warnings(facts),
    }


def _amplification(facts: dict[str, Any]) -> float | None:
    """Return how many times the live data its files take; None where one of the two is not known or nothing."""
    live, files = facts["live_data_bytes"], facts["sst_bytes"]
    return round(files / live, 2) if live and files is not None else None


def warnings(facts: dict[str, Any]) -> list[str]:
    """Return what needs somebody, in words."""
    found = []
    if facts["background_errors"]:
        found.append("RocksDB met errors in the background: read the engine's log, and rebuild the partition.")
    if facts["writes_stopped"]:
        found.append(
            "RocksDB has stopped writes until it has compacted: the disk does not keep up with what is written."
        )
    elif facts["delayed_write_bytes_per_second"]:
        found.append(
            "RocksDB slows writes down until it has compacted: the disk does not keep up with what is written."
        )
    amplification = _amplification(facts)
    if amplification is not None and amplification > _WASTEFUL and facts["sst_bytes"] > _WASTE_BYTES_MIN:
        found.append(f"Its files take {amplification:.1f} times its live data: a compaction would give that back.")
    if facts["old_versions_held"] and not facts["running_compactions"]:
        found.append("A reader or a snapshot holds superseded files open, so their space is not free yet.")
    return found


def totals(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the sums over the copies on disk; a sum of which a part is not known is None. None without such copies."""
    facts = [each["rocksdb"] for each in rows if each["rocksdb"] is not None]
    if not facts:
        return None
    found: dict[str, Any] = {name: _sum([each[name] for each in facts]) for name in _SUMMED}
    # Compactions are counted by database, and each store partition is one.
    found["running_compactions"] = _sum([each["running_compactions"] for each in facts])
    found["write_delays_total"] = _sum([each["write_delays_total"] for each in facts])
    found["write_stops_total"] = _sum([each["write_stops_total"] for each in facts])
    return found | {"amplification": _amplification(found)}


def _sum(values: list[int | None]) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)
