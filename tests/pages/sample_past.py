"""Snapshots and the rows of a verify, as rows of the site's own database; what the engine would answer of a snapshot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

SNAPSHOT = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0021"
OF_WINDOWS = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0022"
SCHEDULE = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0041"
REBUILT = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0061"
RESTORING = 941
COMPACTED = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0051"
VERIFIED = "6b1f4f2e-3d35-4a6f-9a6e-0d2b7b8a0031"
DIFFERENCES = 130
FACTS = {
    "cleanup_policy": "compact",
    "min_compaction_lag_ms": 0,
    "delete_retention_ms": 86_400_000,
    "retention_ms": None,
}


def seed() -> None:
    from console.models import Application, Difference, Event, Job, Restore, Schedule, Snapshot

    now = datetime.now(UTC)
    for number, (name, store, as_of, records) in enumerate(
        (
            (SNAPSHOT, "departures-by-carrier", {"offset": 58_000}, 16_400),
            (OF_WINDOWS, "delay-by-hour", {"time_ms": 1_357_030_000_000}, 58_000),
        ),
        11,
    ):
        partitions = [{"partition": 0, "begin": 0, "position": 58_000, "records": records, "bytes": 412_000}]
        if "time_ms" in as_of:
            partitions = [partitions[0] | {"partition": each} for each in range(4)]
        Snapshot.objects.update_or_create(
            id=name,
            defaults={
                "number": number, "application": "flights", "store": store, "instance": "engine-1", "host": "brick", "directory": "/nowhere",
                "partitions": partitions, "as_of": as_of, "facts": FACTS, "bytes": 412_000, "why": "before the deploy",
                "created_at": now - timedelta(hours=2), "expires_at": now + timedelta(days=3), "deleted_at": None,
            },
        )  # fmt: skip
    job = Job.objects.create(
        id=VERIFIED, number=21, kind="verify", application="flights", store="delay-by-hour", state="succeeded", queue="host.brick",
        partitions=[1], result={"kept": DIFFERENCES, "differences": 4_210},
    )  # fmt: skip
    levels = "Level Files Size(MB)\n--------------------\n  0        7       21\n  6       12       78\n"
    Job.objects.create(
        id=COMPACTED, number=20, kind="compact", application="flights", store="delay-by-hour", state="succeeded", queue="host.brick", partitions=[1],
        started_at=now - timedelta(hours=6, seconds=4), ended_at=now - timedelta(hours=6),
        result={"bytes_before": 99_400_000, "bytes_after": 61_200_000, "partitions": {"1": {"bytes_before": 99_400_000, "bytes_after": 61_200_000, "levels_before": levels, "levels_after": levels.replace(" 7       21", " 0        0").replace("12       78", "10       61")}}},
    )  # fmt: skip
    whats = ("different", "missing", "extra")
    rows = []
    for ordinal in range(DIFFERENCES):
        what, key = whats[ordinal % 3], f"K{ordinal:03}<b>"
        side = {"text": f'{{"flights": {ordinal}}}', "cut": False, "kind": "json", "timestamp": 1_357_020_004_000}
        rows.append(
            Difference(
                job=job, ordinal=ordinal, partition=1, what=what, key=key, key_shown={"text": key, "cut": False, "kind": "text"},
                start=1_357_020_000_000, end=1_357_023_600_000,
                in_store=None if what == "missing" else side, in_other=None if what == "extra" else side | {"text": '{"flights": 7}'},
            )
        )  # fmt: skip
    Difference.objects.bulk_create(rows)
    Application.objects.get_or_create(id="flights")
    causes = ("new owner", "corruption: block checksum", 'operator: "checksum warning"', "lost disk", "")
    Restore.objects.bulk_create(
        Restore(
            application_id="flights", store="planes" if number % 7 == 0 else "delay-by-hour", task=f"1_{number % 4}", partition=number % 4, instance=f"engine-{1 + number % 2}",
            incarnation=1, role="active", cause=causes[number % 5], started_at=now - timedelta(minutes=3 + 11 * number), ended_at=now - timedelta(minutes=2 + 11 * number),
            outcome="interrupted" if number % 9 == 0 else "done", start_offset=0, position=8_100_000, snapshot_end=8_100_000, end_offset=8_100_400, records=8_000_000, rate_per_second=412_300.0,
        )
        for number in range(59)
    )  # fmt: skip
    began = now - timedelta(seconds=14)
    seen = lambda seconds: int((began + timedelta(seconds=seconds)).timestamp() * 1000)  # noqa: E731
    common = {
        "application_id": "flights", "task": "1_3", "partition": 3, "instance": "engine-2", "incarnation": 9, "role": "active", "started_at": began,
        "start_offset": 0, "snapshot_end": 8_120_004, "end_offset": 8_122_314, "records": 5_765_202, "rate_per_second": 412_300.0,
    }  # fmt: skip
    phases = [
        {"phase": "queued", "at": seen(0)},
        {"phase": "fetching", "at": seen(1)},
        {"phase": "applying", "at": seen(3)},
    ]
    Restore.objects.create(pk=RESTORING, store="delay-by-hour", cause='operator: "checksum warning"', outcome="running", phase="applying", position=5_765_202, phases=phases, **common)  # fmt: skip
    Restore.objects.create(
        pk=RESTORING + 1, store="delays", cause="new owner", outcome="done", phase="done", position=8_120_004, ended_at=began + timedelta(seconds=6), phases=[*phases[:2], {"phase": "done", "at": seen(6)}], **common,
    )  # fmt: skip
    Job.objects.create(
        id=REBUILT, number=22, kind="rebuild", application="flights", store="delay-by-hour", state="running", queue="host.brick", partitions=[0, 3], why="checksum warning in the log",
        created_by=None, started_at=began - timedelta(seconds=1),
    )  # fmt: skip
    Job.objects.filter(pk=REBUILT).update(created_at=began - timedelta(seconds=2))
    Event.objects.create(application_id="flights", instance="engine-2", incarnation=9, sequence=1, at=began, event="restore-started", task="1_3", store="delay-by-hour", message="from offset 0 to 8,120,004: operator")  # fmt: skip
    common = {"application": "flights", "store": "delay-by-hour", "cron": "30 2 * * mon"}
    Schedule.objects.create(
        id=SCHEDULE, kind="compact", next_at=now + timedelta(hours=9), last_at=now - timedelta(days=6), why="before Monday",
        last_outcome="skipped: Job #7 (rebuild) works on partition 3. Wait for it, or cancel it.", **common,
    )  # fmt: skip


def page(app: str, store: str, snapshot: str, params: dict[str, str]) -> dict[str, Any]:
    """The present's entries with older values; one key that is gone by now."""
    from console.browse import entries, past

    found = entries.page(app, store, {**params, "limit": "500", "cursor": "0"})
    rows = []
    for row in found["entries"]:
        older = row["value"] - 7 if isinstance(row["value"], int) and row["key"] != "UA" else row["value"]
        if isinstance(older, dict) and "flights" in older:
            older = older | {"flights": older["flights"] - 1}
        rows.append(row | {"value": older, "timestamp": 1_357_020_004_000 + (row["key"] == "UA")})
    source = {
        "instance": "engine-1",
        "partition": 0,
        "role": "snapshot",
        "position": 58_000,
        "lag": None,
        "error": None,
    }
    if "key" not in params and store != "delay-by-hour":
        rows.insert(0, rows[0] | {"key": "ZZ", "value": 12})
    first, limit = int(params.get("cursor", 0)), int(params.get("limit", 50))
    cursor = str(first + limit) if len(rows) > first + limit else None
    return {
        "scanned": found.get("scanned"),
        "entries": rows[first : first + limit],
        "cursor": cursor,
        "sources": [source],
        "snapshot": past.described(past.find(app, store, snapshot)),
    }


def several(app: str, store: str, wanted: list[dict[str, Any]], formats: dict[str, str]) -> dict[str, Any]:
    """What the store says of some keys now: one is as it was."""
    del app, formats
    from tests.pages.sample_browse import everything

    now = {row["key"]: row for row in everything(store)}
    rows = []
    for key in (each["key"] for each in wanted):
        row = now.get(key)
        found = {"key": key, "found": row is not None, "value": row["value"] if row else None}
        rows.append(found | {"timestamp": 1_357_020_004_001 if key == "UA" else row and row["timestamp"]})
    return {"entries": rows, "sources": []}


def install() -> None:
    """Put the engine's answers where the pages ask for them; called once Django is set up."""
    from console.browse import past
    from console.jobs import schedules

    past.page = page
    schedules._partitions = lambda _app, _store: [0, 1, 2, 3]
