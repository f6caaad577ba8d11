"""Sample data in the shape of ``console.observe.snapshot`` (docs/snapshots.md): two applications, one of them behind."""

from __future__ import annotations

import math
import sys
import time
import types
from typing import Any

ENGINES = ("engine-1", "engine-2")


def now() -> int:
    return int(time.time() * 1000)


def partition(number: int, owner: str | None, **more: Any) -> dict[str, Any]:
    end = 420_000 + number * 1_700
    return {
        "partition": number, "task": f"1_{number}", "owner": owner, "role": "active", "state": "running", "phase": "done",
        "percent": 100.0, "position": end, "end": end, "lag": 0, "keys_estimate": 4, "bytes": 2_020, "standbys": [],
        "stalled": False, "reason": None, "generation": "g00000001", "changelog": "flights-departures-by-carrier-changelog",
    } | more  # fmt: skip


def stores(scene: dict[str, Any]) -> list[dict[str, Any]]:
    scene["tick"] += 1
    done = 60 + (scene["tick"] * 1.7) % 39
    hours = [partition(number, ENGINES[number % 2]) for number in range(4)]
    hours[3] |= {"phase": "applying", "percent": done, "lag": 118_000, "state": "restoring", "cause": "new owner"}
    if scene["name"] == "lost":
        hours[1] |= {"state": "unreachable", "reason": "engine-2 has not reported for 3 s"}
        hours[3] |= {"state": "moving", "phase": "done", "owner": "engine-1"}
    return [
        {"name": "departures-by-carrier", "kind": "key-value", "backend": "rocksdb", "keys_estimate": 16, "bytes": 8_080, "lag": 0,
         "partitions": [partition(number, ENGINES[number % 2]) for number in range(4)]},
        {"name": "delay-by-hour", "kind": "window", "backend": "rocksdb", "keys_estimate": 26_115, "bytes": 4_206_000, "lag": 118_000, "partitions": hours},
        {"name": "seats-by-destination", "kind": "key-value", "backend": "rocksdb", "keys_estimate": 105, "bytes": 21_400, "lag": 0,
         "partitions": [partition(number, ENGINES[(number + 1) % 2]) for number in range(4)]},
        {"name": "planes", "kind": "key-value", "backend": "memory", "keys_estimate": 3_322, "bytes": None, "lag": 12,
         "partitions": [partition(number, ENGINES[number % 2], **({"role": "standby"} if number == 2 else {})) for number in range(4)]},
    ]  # fmt: skip


def instance(name: str, **more: Any) -> dict[str, Any]:
    return {
        "instance": name, "state": "running", "reason": None, "host": "brick", "pid": 41_203 + int(name[-1]), "address": f"http://127.0.0.1:90{name[-1]}1",
        "guarantee": "exactly_once_v2", "started_at": now() - 4_000_000, "tasks": ["0_0", "1_0", "1_2"],
        "rates": {"in_per_second": 6_200.0, "processed_total": 168_388, "commits_total": 4_012, "commit_ms_p50": 41.0, "commit_ms_p99": 102.0, "busy_ratio": 0.41},
        "counters": {"skipped_total": 3, "dead_lettered_total": 0, "dropped_total": 12, "query_total": 812},
        "memory": {"rss_bytes": 212_000_000, "block_cache_bytes": 41_000_000, "block_cache_limit_bytes": 64_000_000, "memtable_bytes": 9_000_000,
                   "memtable_limit_bytes": 32_000_000, "uncommitted_bytes": 120_000, "in_memory_bytes": 4_000_000, "in_memory_limit_bytes": None},
        "disk": {"state_dir_bytes": 5_300_000, "free_bytes": 81_000_000_000}, "pressure": [], "last_error": None, "at": now() - 300,
    } | more  # fmt: skip


def overview(scene: dict[str, Any]) -> dict[str, Any]:
    wave = [12_400 + 2_600 * math.sin((scene["tick"] + step) / 4) for step in range(40)]
    lost = scene["name"] == "lost"
    flights = {
        "id": "flights", "state": "running", "verdict": {"level": "warn", "reason": "1 of 16 store partitions is restoring"},
        "verdicts": [], "instances": [instance("engine-1"), instance("engine-2", **({"state": "unreachable", "reason": "no report for 3 s"} if lost else {}))],
        "stores": stores(scene), "in_per_second": wave[-1], "in_per_second_history": wave, "commit_ms_p99": 102.0, "input_lag": 0,
    }  # fmt: skip
    if lost:
        flights["verdict"] = {"level": "bad", "reason": "engine-2 is unreachable"}
        flights["verdicts"] = [{"level": "bad", "reason": "has lost engine-2: no report for 3 s; its 6 tasks are moving to engine-1.", "about": "application"}]
    slow = {
        "id": "slow-lane", "state": "running", "verdict": {"level": "warn", "reason": "falling behind"},
        "verdicts": [{"level": "warn", "reason": "is falling behind: 41,200 records, +380/s, never at this rate.", "about": "lag"}],
        "instances": [instance("slow-1")],
        "stores": [{"name": "routes", "kind": "key-value", "backend": "rocksdb", "keys_estimate": 2_210, "bytes": 310_000, "lag": 0,
                    "partitions": [partition(0, "slow-1"), partition(1, "slow-1"), partition(2, "slow-1", stalled=True, reason="no movement for 40 s while lag > 0", lag=6_100), partition(3, None, percent=None)]}],
        "in_per_second": 120.0, "in_per_second_history": [120 + 9 * math.sin(step) for step in range(40)], "commit_ms_p99": 88.0, "input_lag": 41_200,
    }  # fmt: skip
    return {"at": now(), "observer_at": now() - scene["age_ms"] - 200, "applications": [] if scene["name"] == "empty" else [flights, slow]}


def install(scene: dict[str, Any]) -> None:
    """Put the samples where the pages look for the observer's snapshots."""
    module = types.ModuleType("console.observe.snapshot")
    module.overview = lambda: overview(scene)  # type: ignore[attr-defined]
    sys.modules["console.observe.snapshot"] = module
    import console.observe

    console.observe.snapshot = module  # type: ignore[attr-defined]
