"""How sample stores lie on disk, and what Kafka would say of their changelogs: no engine and no Kafka run beside the pages."""

from __future__ import annotations

from typing import Any

SETTINGS = {
    "cleanup_policy": "compact", "min_cleanable_dirty_ratio": 0.5, "min_compaction_lag_ms": 0, "max_compaction_lag_ms": None, "delete_retention_ms": 86_400_000,
    "retention_ms": None, "retention_bytes": None, "segment_ms": 604_800_000, "segment_bytes": 1_073_741_824,
}  # fmt: skip


def copy(partition: int) -> dict[str, Any]:
    wasteful = partition == 1
    levels = [
        {"level": 0, "files": 2 + partition, "bytes": 9_300_000 * (1 + partition), "entries": 61_000, "deletions": 12},
        {
            "level": 6,
            "files": 12,
            "bytes": 61_000_000 + 4_000_000 * partition,
            "entries": 402_000,
            "deletions": 0,
        },
    ]
    sst = sum(each["bytes"] for each in levels)
    return {
        "partition": partition, "task": f"1_{partition}", "instance": f"engine-{1 + partition % 2}", "role": "active", "backend": "rocksdb", "bytes": sst, "keys_estimate": 6_528, "max_bytes": None,
        "rocksdb": {
            "families": 4, "levels": levels, "sst_bytes": sst, "live_sst_bytes": sst, "live_data_bytes": sst // 3 if wasteful else int(sst / 1.1), "keys_estimate": 6_528,
            "pending_compaction_bytes": 18_400_000 if wasteful else 0, "compaction_pending": wasteful, "running_compactions": 1 if wasteful else 0, "running_flushes": 0, "flush_pending": False,
            "memtable_bytes": 2_100_000, "table_readers_bytes": 92_000, "snapshots": 0, "oldest_snapshot_at": None, "old_versions_held": 1 if partition == 2 else 0, "write_delays_total": 3, "write_stops_total": 0,
            "writes_stopped": False, "delayed_write_bytes_per_second": 0, "background_errors": 0,
        },
    }  # fmt: skip


def install(scene: dict[str, Any]) -> None:
    """Put the answers where the page asks for them."""
    from console.browse import storage
    from console.browse.changelog_facts import KafkaAway

    def copies(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
        del app
        from console.browse.entries import Unavailable

        if scene.get("engines") == "restoring":
            raise Unavailable("no-owner", "No instance of flights can be reached. Start one, or wait until it reports.")
        first, limit = int(params["from"]), int(params["limit"])
        count = 10_000 if store == "wide" else 4
        found = [copy(each) for each in range(first, min(first + limit, count))]
        sources: list[dict[str, Any]] = [{"instance": each["instance"], "partition": each["partition"], "error": None} for each in found]  # fmt: skip
        if store == "planes":
            found = [each | {"backend": "memory", "rocksdb": None, "bytes": 920_000, "max_bytes": 1_000_000 if each["partition"] else None} for each in found]  # fmt: skip
        if store == "delay-by-hour":
            found = [each for each in found if each["partition"] != 3]
            sources[-1]["error"] = {"code": "store-restoring", "message": "partition 3 of store delay-by-hour at instance engine-2 is restoring (71 %): ask again later", "retryable": True}  # fmt: skip
        return {"copies": found, "sources": sources, "next": first + limit if first + limit < count else None}

    def changelog(topic: str, partitions: list[int]) -> dict[str, Any]:
        if scene.get("engines") == "restoring":
            raise KafkaAway("timed out after 5 s")
        offsets = {each: (12_000 * each, 12_000 * each + (0 if each == 2 else 58_000)) for each in partitions}
        return {"settings": SETTINGS | ({"cleanup_policy": "delete"} if "planes" in topic else {}), "offsets": offsets}

    storage.copies = copies
    storage.changelog = changelog  # type: ignore[assignment]
