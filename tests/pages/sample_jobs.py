"""Jobs and restores in every state, and a preview of a rebuild."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.pages.sample_past import DIFFERENCES, RESTORING, VERIFIED

RUNNING = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0001"
DONE = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0002"
EXPORTED = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0004"
FAILED = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0003"
CREATED: list[dict[str, Any]] = []


class Refused(Exception):
    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


def restores(now: int, percent: float = 71.0) -> list[dict[str, Any]]:
    base = {"id": RESTORING, "application": "flights", "store": "delay-by-hour", "task": "1_3", "partition": 3, "instance": "engine-2", "role": "active", "cause": 'operator: "checksum warning"', "phase": "applying",
            "outcome": "running", "started_at": now - 14_000, "ended_at": None, "duration_ms": 14_000, "start": 0, "position": int(81_200 * percent), "snapshot_end": 8_120_004, "end": 8_122_314,
            "percent": percent, "records": int(81_200 * percent), "rate_per_second": 412_300.0, "eta": 5.7, "written_since_start": 2_310}  # fmt: skip
    done = base | {
        "id": 40,
        "partition": 1,
        "cause": "new owner",
        "phase": "done",
        "outcome": "done",
        "started_at": now - 4_000_000,
        "ended_at": now - 3_980_000,
        "duration_ms": 20_000,
        "percent": 100.0,
        "eta": 0.0,
        "position": 8_100_000,
    }
    return [
        base,
        done,
        done
        | {
            "id": 39,
            "store": "planes",
            "partition": 2,
            "cause": None,
            "outcome": "interrupted",
            "percent": None,
            "rate_per_second": None,
            "ended_at": now - 86_000_000,
        },
    ]


def jobs(now: int, percent: float) -> list[dict[str, Any]]:
    parts = {
        "0": {
            "start": 0,
            "position": 100,
            "end": 100,
            "phase": "done",
            "rate_per_second": 400_000.0,
            "percent": 100.0,
        },
        "3": {
            "start": 0,
            "position": int(81_200 * percent),
            "end": 8_120_004,
            "phase": "applying",
            "rate_per_second": 412_300.0,
            "percent": percent,
        },
        "2": {
            "start": None,
            "position": None,
            "end": None,
            "phase": "queued",
            "rate_per_second": None,
            "percent": None,
        },
    }
    base = {"id": RUNNING, "number": 7, "kind": "rebuild", "application": "flights", "store": "delay-by-hour", "partitions": [0, 2, 3], "state": "running", "reason": "", "why": "checksum warning in the log", "created_by": "ada",
            "created_at": now - 16_000, "started_at": now - 15_000, "ended_at": None, "duration_ms": 15_000, "attempts": 1, "host": "brick", "dry_run": {}, "progress": parts, "percent": percent, "eta": 5.7, "result": {}, "can_cancel": True}  # fmt: skip
    done = base | {"id": DONE, "number": 6, "kind": "compact", "store": "planes", "partitions": [0], "state": "succeeded", "why": "", "created_at": now - 7_200_000, "started_at": now - 7_199_000, "ended_at": now - 7_190_000, "duration_ms": 9_000,
                   "progress": {"0": {"phase": "done", "percent": 100.0}}, "percent": 100.0, "eta": 0.0, "result": {"partitions": {"0": {"bytes_before": 4_206_000, "bytes_after": 2_110_000, "levels_before": "Level Files Size(MB)\n  0        3        2", "levels_after": "Level Files Size(MB)\n  1        1        2"}}}, "can_cancel": False}  # fmt: skip
    return [
        base,
        done,
        done
        | {
            "id": EXPORTED,
            "number": 4,
            "kind": "export",
            "progress": {"0": {"phase": "done", "percent": 100.0, "entries": 26_115}},
            "result": {"format": "jsonl", "entries": 26_115, "bytes": 4_212_000},
        },
        done
        | {
            "id": VERIFIED,
            "number": 21,
            "kind": "verify",
            "store": "delay-by-hour",
            "progress": {"1": {"phase": "done", "percent": 100.0, "compared": 26_365}},
            "partitions": [1],
            "result": {"words": "Compared 26,365 rows. 4,210 differ.", "differences": 4_210, "kept": DIFFERENCES},
        },
        done
        | {
            "id": FAILED,
            "number": 5,
            "kind": "rebuild",
            "state": "failed",
            "reason": "The changelog of partition 0 was truncated at offset 12 while it was read. Start the rebuild again.",
            "percent": None,
            "result": {},
        },
    ]


def verifications(now: int, store: str) -> dict[str, Any]:
    if store != "delay-by-hour":
        return {"latest": None, "rows": [], "newest": None}
    value = {
        "text": '{"flights": 40, "note": "<b>not markup</b>"}',
        "cut": False,
        "kind": "json",
        "timestamp": 1_357_020_004_000,
    }
    key = {"text": "JFK", "cut": False, "kind": "text"}
    row = {"partition": 1, "what": "different", "key": key, "start": 1_357_020_000_000, "end": 1_357_023_600_000,
           "in_store": value, "in_other": value | {"text": '{"flights": 41, "note": "<b>not markup</b>"}'}}  # fmt: skip
    rows = [row, row | {"what": "missing", "in_store": None}, row | {"what": "extra", "in_other": None}]
    result = {"same": 26_110, "missing": 1, "extra": 1, "different": 1, "moved_on": 12, "expired": 240, "compared": 26_365, "differences": 3, "kept": 3,
              "words": "Compared 26,365 rows of the live store with a copy built from the changelog. 3 differ: 1 missing in the store, 1 that the changelog does not have, 1 with another value."}  # fmt: skip
    done = jobs(now, 0.0)[1] | {"id": DONE, "number": 6, "kind": "verify", "store": store, "result": result}
    return {"latest": done, "rows": rows, "newest": done | {"state": "succeeded"}}


def preview(
    kind: str, application: str, store: str, partitions: list[int], arguments: dict[str, Any]
) -> dict[str, Any]:
    rows = [{"partition": number, "task": f"1_{number}", "instance": f"engine-{1 + number % 2}", "host": "brick", "changelog": f"{application}-{store}-changelog", "begin": 0, "end": 8_120_004, "records_estimate": 8_120_004,
             "seconds_estimate": 19.7, "disk_bytes": 1_051_500, "bytes_now": 1_051_500, "how": "worker"} for number in partitions]  # fmt: skip
    count = len(partitions)
    facts = {}
    if kind == "snapshot":
        rows = [row | {"until": arguments.get("as_of_offset", 58_000)} for row in rows]
        facts = {"cleanup_policy": "compact", "min_compaction_lag_ms": 0, "delete_retention_ms": 86_400_000}
    return {"kind": kind, "application": application, "store": store, "backend": "rocksdb", "host": "brick", "partitions": rows, "totals": {"records_estimate": 8_120_004 * count, "seconds_estimate": 19.7 * count, "disk_bytes": 1_051_500 * count},
            "rate_per_second": 412_300.0, "rate_from": "restore #40", "facts": facts, "free_bytes": 81_000_000_000, "effects": ["The store stays readable; the swap happens between two commits.", "The old copy is kept until the new one has served."],
            "problems": [] if partitions else ["No partition was chosen."], "can_run": bool(partitions)}  # fmt: skip


def create(user: Any, **wanted: Any) -> SimpleNamespace:
    CREATED.append({"user": str(user), **wanted})
    return SimpleNamespace(id=RUNNING, number=7)


def cancel(user: Any, job_id: Any, **wanted: Any) -> SimpleNamespace:
    CREATED.append({"user": str(user), "cancel": str(job_id), **wanted})
    return SimpleNamespace(id=job_id, number=7)


def delete_snapshot(user: Any, app: str, store: str, snapshot: str, **wanted: Any) -> None:
    CREATED.append({"user": str(user), "delete": snapshot, "store": f"{app}/{store}", **wanted})


def install(module: Callable[..., None]) -> None:
    module(
        "console.jobs",
        "commands",
        create=create,
        cancel=cancel,
        preview=preview,
        delete_snapshot=delete_snapshot,
        check=lambda *_: None,
        check_arguments=lambda *_: None,
        Refused=Refused,
    )
