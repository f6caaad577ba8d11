"""Sample data in the shapes of docs/snapshots.md: two applications, one of them behind.

``install`` puts it where the pages look: ``console.observe.snapshot``, ``console.browse.entries``, ``console.jobs``.
"""

from __future__ import annotations

import math
import sys
import time
import types
from collections import Counter
from typing import Any

from console.lag import verdicts
from tests.pages import sample_browse, sample_jobs
from tests.pages.sample_topology import TOPOLOGY

ENGINES = ["engine-1", "engine-2"]
POSITION_COLUMNS = [
    "partition",
    "task",
    "instance",
    "role",
    "state",
    "phase",
    "percent",
    "start",
    "position",
    "end",
    "snapshot_end",
    "lag",
    "rate_per_second",
    "eta",
    "keys_estimate",
    "bytes",
    "generation",
    "cause",
    "restored_records",
    "written_since_start",
    "restore_started_at",
    "restore_ended_at",
    "at",
    "verdict",
    "reason",
]
INPUT_COLUMNS = [
    "topic",
    "partition",
    "task",
    "instance",
    "position",
    "committed",
    "begin",
    "end",
    "lag",
    "lag_ms",
    "lag_ms_how",
    "rate_per_second",
    "lag_per_second",
    "eta",
    "verdict",
    "reason",
]
STORE_LAG_COLUMNS = [
    "store",
    "partition",
    "task",
    "instance",
    "role",
    "position",
    "end",
    "lag",
    "lag_ms",
    "lag_ms_how",
    "lag_per_second",
    "eta",
    "verdict",
    "reason",
]
FLOW: dict[str, Any] = {
    "nodes": {"source-flights": 12_400.0, "join-planes": 12_400.0, "by-carrier": 12_400.0, "sink-carrier": 12_400.0, "count": 9_100.0, "mean": 12_100.0, "sum": 0.0},
    "parts": {
        0: {"busy_ratio": 0.31, "waiting": 0, "paused": 0, "state": "working"}, 1: {"busy_ratio": 0.62, "waiting": 900, "paused": 0, "state": "busy"},
        2: {"busy_ratio": 0.9, "waiting": 20_000, "paused": 2, "state": "backpressured"}, 3: {"busy_ratio": 0.0, "waiting": 0, "paused": 0, "state": "idle"},
    },
    "topics": {
        "flights": {"lag": 0, "lag_ms": 0, "lag_ms_how": "caught-up", "inherited_ms": 0}, "planes": {"lag": None, "lag_ms": None, "lag_ms_how": None, "inherited_ms": None},
        "flights-by-hour-repartition": {"lag": 41_200, "lag_ms": 9_000, "lag_ms_how": "measured", "inherited_ms": 11_000},
    },
}  # fmt: skip
TASK_COLUMNS = [
    "task",
    "sub_topology",
    "partition",
    "instance",
    "state",
    "reason",
    "lag",
    "lag_ms",
    "rate_per_second",
    "stream_time",
    "standbys",
]
scene: dict[str, Any] = {}


def now() -> int:
    return int(time.time() * 1000)


def progress() -> float:
    return 40 + (time.time() * 1.3) % 59


def lost() -> bool:
    return scene.get("name") == "lost"


def observer() -> dict[str, Any]:
    age = scene.get("age_ms", 0) + 200
    stale = age > 5000
    return {
        "at": now() - age,
        "stale": stale,
        "position": 88_120,
        "problem": "Redis does not answer at 127.0.0.1:6379." if stale else None,
        "skipped": 0,
    }


def framed(**data: Any) -> dict[str, Any]:
    return {"at": now(), "observer": observer()} | data


def verdict(status: str, reason: str) -> dict[str, str]:
    return {"status": status, "reason": reason}


def store(
    name: str, kind: str, keys: int | None, size: int | None, cells: list[list[Any]], **more: Any
) -> dict[str, Any]:
    restoring = [cell for cell in cells if cell[3] == "restoring"]
    return {
        "name": name, "kind": kind, "backend": "rocksdb", "keys_estimate": keys, "bytes": size, "lag": 0, "partitions": len(cells), "restoring": len(restoring),
        "percent": min((cell[2] for cell in restoring), default=None), "eta": 18.0 if restoring else None, "strip": {"instances": ENGINES, "cells": cells},
        "states": dict(Counter(cell[3] for cell in cells).most_common()),
    } | more  # fmt: skip


def flights_stores() -> list[dict[str, Any]]:
    plain = [[number, number % 2, 100, "running", 1] for number in range(4)]
    hours = [cell.copy() for cell in plain]
    hours[3] = [3, 0, None, "moving", 0] if lost() else [3, 1, progress(), "restoring", 0]
    if lost():
        hours[1] = [1, 1, 100, "unreachable", 0]
    return [
        store("departures-by-carrier", "key-value", 16, 8_080, plain),
        store("delay-by-hour", "window", 26_115, 4_206_000, hours, lag=118_000),
        store("seats-by-destination", "key-value", 105, 21_400, [[number, (number + 1) % 2, 100, "running", 0] for number in range(4)]),
        *([store("wide", "key-value", 1_000_000, 81_000_000, [[number, number % 2, 100, "stalled" if number % 997 == 0 else "running", 0] for number in range(10_000)])] if scene.get("name") == "wide" else []),
        store("planes", "key-value", 3_322, None, [[0, 0, 100, "running", 0], [1, 1, 100, "running", 0], [2, None, None, "moving", 0], [3, 1, 99.4, "running", 0]], backend="memory", lag=12),
    ]  # fmt: skip


def slow_stores() -> list[dict[str, Any]]:
    cells = [
        [0, 0, 100, "running", 0],
        [1, 0, 100, "running", 0],
        [2, 0, 80, "stalled", 0],
        [3, None, None, "suspended", 0],
    ]
    return [store("routes", "key-value", 2_210, 310_000, cells) | {"strip": {"instances": ["slow-1"], "cells": cells}}]


def rates(per_second: float) -> dict[str, Any]:
    points = [
        [now() - (60 - step) * 4000, per_second * (1 + 0.2 * math.sin((time.time() // 1 + step) / 5))]
        for step in range(60)
    ]
    return {"in_per_second": points[-1][1], "commit_ms_p99": 102.0, "busy_ratio": 0.41, "history": points}


CALM = {"total": 0, "rate_per_second": 0.0, "eta": 0.0, "lag_ms": 0, "lag_ms_how": "caught-up"}
BEHIND = {"total": 41_200, "rate_per_second": 380.0, "eta": "never", "lag_ms": 311_000, "lag_ms_how": "at-least"}


def chosen(choice: Any, items: list[Any], rows: list[Any]) -> tuple[list[Any], dict[str, int]]:
    """The chosen rows, by the console's own rules."""
    from console.observe.choice import pick

    found = pick(items, choice)
    return [rows[place] for place in found.places], found.as_facts()


def packed(stores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from console.observe.store_shapes import pack

    return [each | {"strip": pack(each["strip"])} for each in stores]


def rail() -> dict[str, Any]:
    return framed(applications=[{"id": each["id"], "verdict": each["verdict"]} for each in overview()["applications"]])


def exists(app: str, store: str | None = None) -> bool:
    card = next((each for each in overview()["applications"] if each["id"] == app), None)
    return card is not None and (store is None or any(each["name"] == store for each in card["stores"]))


def overview(*, bounded: bool = False) -> dict[str, Any]:
    if bounded:
        whole = overview()
        return whole | {"applications": [each | {"stores": packed(each["stores"])} for each in whole["applications"]]}
    if scene.get("name") == "empty":
        return framed(
            totals=dict.fromkeys(
                ("applications", "stores", "partitions", "instances", "unreachable", "restoring", "jobs_running"), 0
            ),
            problems=[],
            applications=[],
        )
    flights = {
        "id": "flights", "verdict": verdict("OK", "1 of 16 partitions is restoring"), "instances": {"total": 2, "running": 2, "unreachable": 0}, "tasks": 8, "partitions": 16,
        "rates": rates(12_400), "lag": CALM, "pressure": [], "stores": flights_stores(),
    }  # fmt: skip
    slow = {
        "id": "slow-lane", "verdict": verdict("WARN", "falling behind: 41,200 records, +380/s, never at this rate"), "instances": {"total": 1, "running": 1, "unreachable": 0},
        "tasks": 4, "partitions": 4, "rates": rates(120), "lag": BEHIND, "pressure": [], "stores": slow_stores(),
    }  # fmt: skip
    problems = [
        {
            "status": "WARN",
            "application": "slow-lane",
            "instance": None,
            "store": None,
            "words": "slow-lane is falling behind: 41,200 records, +380/s, never at this rate",
            "page": "lag",
        }
    ]
    if lost():
        flights |= {
            "verdict": verdict("STOP", "engine-2 has not reported for 3 s"),
            "instances": {"total": 2, "running": 1, "unreachable": 1},
        }
        problems.insert(
            0,
            {
                "status": "STOP",
                "application": "flights",
                "instance": "engine-2",
                "store": None,
                "words": "flights: engine-2 is unreachable, no report for 3 s; 4 tasks are moving",
                "page": "application",
            },
        )
    totals = {
        "applications": 2,
        "stores": 5,
        "partitions": 20,
        "instances": 3,
        "unreachable": int(lost()),
        "restoring": 1,
        "jobs_running": 1,
    }
    return framed(totals=totals, problems=problems, applications=[flights, slow])


def instance(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "incarnation": 1, "state": "running", "reason": None, "verdict": verdict("OK", ""), "at": now() - 300, "age_ms": 300, "host": "brick", "pid": 41_203 + int(name[-1]),
        "address": f"http://127.0.0.1:90{name[-1]}1", "guarantee": "exactly_once_v2", "started_at": now() - 4_000_000, "topology_hash": "6f1c…", "member_id": "m", "group_generation": 7,
        "tasks": ["0_0", "0_2", "1_0", "1_2"] if name[-1] == "1" else ["0_1", "0_3", "1_1", "1_3"], "standby_tasks": ["1_1"] if name[-1] == "1" else ["1_0"],
        "rates": {"in_per_second": 6_200.0, "processed_total": 168_388, "commits_total": 4_012, "commit_ms_p50": 41.0, "commit_ms_p99": 102.0, "busy_ratio": 0.41},
        "counters": {"skipped_total": 3, "dead_lettered_total": 0, "dropped_total": 12, "query_total": 812},
        "memory": {"rss_bytes": 212_000_000, "block_cache_bytes": 63_000_000 if name[-1] == "2" else 41_000_000, "block_cache_limit_bytes": 64_000_000, "memtable_bytes": 9_000_000, "memtable_limit_bytes": 32_000_000,
                   "uncommitted_bytes": 120_000, "in_memory_bytes": 4_000_000, "in_memory_limit_bytes": None},
        "caches": [{"name": "block-cache", "hits_total": 812_000, "misses_total": 300_400, "hit_ratio": 0.617}, {"name": "record-cache", "hits_total": 9_120_000, "misses_total": 12_000, "hit_ratio": None if name[-1] == "2" else 0.9987}],
        "disk": {"state_dir_bytes": 5_300_000, "free_bytes": 81_000_000_000}, "pressure": [], "budgets": [
            {"name": "block-cache", "used": 41_000_000, "limit": 64_000_000, "advice": None},
            {"name": "in-memory", "used": 4_000_000, "limit": None, "advice": None},
            {"name": "disk", "used": 930_000_000 if name[-1] == "2" else 430_000_000, "limit": 1_000_000_000, "advice": "Use more instances, a shorter retention, or a larger disk." if name[-1] == "2" else None}],
        "last_error": None, "record_ms": 0.8,
    } | more  # fmt: skip


def tasks(app: str, choice: Any, first: Any = ()) -> dict[str, Any] | None:
    del first
    found = application(app, choice)
    return found and found | {"instances": [each["name"] for each in found["instances"]]}


def application(app: str, choice: Any = None) -> dict[str, Any] | None:
    from console.observe.choice import Item

    card = next((each for each in overview(bounded=choice is not None)["applications"] if each["id"] == app), None)
    if card is None:
        return None
    names = ENGINES if app == "flights" else ["slow-1"]
    instances = [instance(name) for name in names]
    tasks, matrix = [], []
    for sub in (0, 1):
        for number in range(4):
            task, owner = f"{sub}_{number}", names[number % len(names)]
            state = "restoring" if (sub, number) == (1, 3) and app == "flights" else "running"
            if lost() and owner == "engine-2":
                tasks.append([task, sub, number, None, "moving", "its owner is gone", None, None, None, None, []])
                matrix.append([task, owner, "active", "unreachable"])
                continue
            tasks.append([task, sub, number, owner, state, None, 0, 0, 1_540.0, 1_357_034_400_000 + number, []])
            matrix.append([task, owner, "active", state])
            if app == "flights" and task in {"1_0", "1_1"} and not lost():
                matrix.append([task, names[1 - number % 2], "standby", "running"])
    if lost() and app == "flights":
        instances[1] |= {
            "state": "unreachable",
            "reason": "no report for 3 s; its port refuses connections",
            "age_ms": 3_100,
            "at": now() - 3_100,
        }
    else:
        instances[0]["last_error"] = {
            "at": now() - 600_000,
            "message": "_TRANSPORT: 127.0.0.1:9092: disconnected; retried",
        }
    rows, facts = chosen(choice, [Item(each[0], each[2], each[3], each[4]) for each in tasks], tasks)
    events = [
        {"at": now() - back * 1000, "event": name, "instance": names[-1], "incarnation": 1, "sequence": number, "task": task, "store": kept, "message": words, "data": {}}
        for number, (back, name, task, kept, words) in enumerate(
            [(12, "restore-started", "1_3", "delay-by-hour", "from offset 0 to 8,120,004: operator"), (14, "task-assigned", "1_3", None, "by the group, generation 7"),
             (15, "rebalance", None, None, "engine-2 joined; 4 tasks moved in 1.2 s"), (4_000, "started", None, None, "exactly_once_v2, topology 6f1c")]
        )
    ]  # fmt: skip
    return framed(
        id=app, first_seen=now() - 90_000_000, verdict=card["verdict"], lag=card["lag"], rates=card["rates"], instances=instances,
        tasks={"columns": TASK_COLUMNS, "rows": rows}, chosen=facts, task_states=dict(Counter(each[4] for each in tasks)), matrix={"columns": ["task", "instance", "role", "state"], "rows": matrix}, stores=card["stores"],
        topology={"hash": TOPOLOGY["hash"], "description": TOPOLOGY}, flow=FLOW, topology_hashes=[TOPOLOGY["hash"]], problems=[each for each in overview()["problems"] if each["application"] == app], rebalances=[events[2]], events=events,
        ownership=[{"task": "1_3", "instance": names[-1], "role": "active", "since": now() - 14_000, "until": None, "reason": "assigned"}],
    )  # fmt: skip


def snapshot_store(app: str, name: str, choice: Any = None) -> dict[str, Any] | None:
    from console.observe.choice import Item

    found = application(app)
    kept = next((each for each in found["stores"] if each["name"] == name), None) if found else None
    if kept is None:
        return None
    names = kept["strip"]["instances"]
    cells = kept["strip"]["cells"]
    items = [
        Item(str(each[0]), each[0], None if each[1] is None else names[each[1]], each[3], each[0] % 7, each[0])
        for each in cells
    ]
    cells, facts = chosen(choice, items, cells)
    if choice is not None:
        kept = packed([kept])[0]
    rows = []
    for number, owner, fill, state, standbys in cells:
        restoring = state == "restoring"
        base = [number, f"1_{number}", names[owner] if owner is not None else None, "active" if owner is not None else None, state, "applying" if restoring else "done" if owner is not None else None,
                fill, 0, 5_765_202, 8_122_314 if restoring else 5_765_202, 8_120_004, 2_357_112 if restoring else 0 if owner is not None else None, 412_300.0 if restoring else 310.0,
                18.0 if restoring else None, 6_528, 1_051_500, "g00000001", 'operator: "checksum warning"' if restoring else None, 5_765_202, 2_310,
                now() - 14_000, None, now() - 300, "STALL" if state == "stalled" else "OK", "no movement for 40 s while lag > 0" if state == "stalled" else None]  # fmt: skip
        rows.append(base)
        if standbys:
            behind = 12 * number
            words = f"{behind} records behind, and following." if behind else "Caught up."
            rows.append(
                [
                    *base[:2],
                    names[1 - owner],
                    "standby",
                    "running",
                    "done",
                    100,
                    *base[7:11],
                    behind,
                    *base[12:-2],
                    "OK",
                    words,
                ]
            )
    return framed(
        application=app, **kept, store=name, verdict=verdict("OK", ""), key_serde="string", value_serde="json" if kept["kind"] == "window" else "int64", changelog=f"{app}-{name}-changelog", caching=True,
        window_ms=3_600_000 if kept["kind"] == "window" else None, retention_ms=86_400_000 if kept["kind"] == "window" else None, sub_topology=1,
        positions={"columns": POSITION_COLUMNS, "rows": rows}, chosen=facts, holders=names, jobs=[], restores=sample_jobs.restores(now())[1:],
    )  # fmt: skip


def stuck() -> list[verdicts.Finding]:
    """What the real judge says of a partition that stands still, and of one whose records were deleted unread."""
    still = [verdicts.Sample(at=1_000 * at, lag=500, position=100, end=600) for at in range(40)]
    return [
        verdicts.judge(still, 40_000),
        verdicts.judge(still, 40_000, committed=40, begin=100),
    ]


def lag(app: str, choice: Any = None, pages: Any = None) -> dict[str, Any] | None:
    del choice, pages
    if app not in {"flights", "slow-lane"}:
        return None
    behind = app == "slow-lane"
    inputs, kept = [], []
    for number in range(4):
        waiting = 10_300 + 900 * number if behind else 0
        owner = "slow-1" if behind else ENGINES[number % 2]
        status, eta, words = ("WARN", "never", "+95/s over 5 min") if behind else ("OK", 0.0, None)
        inputs.append(
            [
                "flights",
                number,
                f"0_{number}",
                owner,
                84_000 - waiting,
                83_900 - waiting,
                0,
                84_000,
                waiting,
                waiting * 8,
                "at-least" if behind and number == 3 else "measured" if behind else "caught-up",
                30.0,
                95.0 if behind else 0.0,
                eta,
                status,
                words,
            ]
        )
        kept.append(
            [
                "routes" if behind else "delay-by-hour",
                number,
                f"1_{number}",
                owner,
                "active",
                5_000,
                5_000,
                0,
                0,
                "caught-up",
                0.0,
                0.0,
                "OK",
                None,
            ]
        )
    if behind:
        inputs[2][9:11] = [None, None]
    if scene.get("name") == "stuck":
        for row, found in zip(inputs, stuck(), strict=False):
            row[-3:] = [found.eta, found.status, found.reason]
    return framed(
        id=app, verdict=verdict("WARN" if behind else "OK", "falling behind: 41,200 records, +380/s, never at this rate" if behind else "lag is 0"), lag=BEHIND if behind else CALM,
        inputs={"columns": INPUT_COLUMNS, "rows": inputs}, stores={"columns": STORE_LAG_COLUMNS, "rows": kept},
        problems=[each for each in overview()["problems"] if each["application"] == app],
        skew=[{"kind": "input", "name": "flights", "slowest": 3, "lag": 13_000, "median_lag": 11_000}] if behind else [],
        chosen={name: {"total": 4, "matching": 4, "page": 0, "pages": 1} for name in ("inputs", "changelogs", "standbys")},
        furthest=[{"kind": kind, "name": name, "partitions": [0, 1, 2, 3], "total": 4, "is_behind": behind} for kind, name in (("input", "flights"), ("store", kept[0][0]))],
    )  # fmt: skip


def lag_history(
    app: str, kind: str, name: str, since_ms: int, until_ms: int, points: int = 300, partitions: list[int] | None = None
) -> dict[str, Any]:
    del name
    at = list(range(since_ms, until_ms, max(1, (until_ms - since_ms) // points)))
    behind = app == "slow-lane" and kind == "input"
    series = [
        {
            "partition": number,
            "lag": [(2_000 + index * (30 + number) if behind else 0) for index in range(len(at))],
            "lag_ms": [(7_000 + index * 40 * (1 + number) if behind else 0) for index in range(len(at))],
        }
        for number in range(4)
        if partitions is None or number in partitions
    ]
    if behind:
        series[2]["lag"][40:70] = series[2]["lag_ms"][40:70] = [None] * 30
    return {"at": at, "series": series}


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def restores(app: str | None = None, choice: Any = None) -> dict[str, Any]:
    from console.observe.choice import Item

    del app
    one, *history = sample_jobs.restores(now(), progress())
    quiet = scene.get("name") == "empty"
    running = [] if quiet else [one]
    if scene.get("name") == "wide":
        running = [one | {"partition": number} for number in range(120)]
    shown, facts = chosen(choice, [Item("", each["partition"], None, "applying") for each in running], running)
    return framed(
        running=shown,
        chosen=facts,
        slowest=None,
        history=[] if quiet else history,
        jobs=[] if quiet else sample_jobs.jobs(now(), progress())[:1],
    )


def jobs(app: str | None = None) -> dict[str, Any]:
    del app
    return framed(
        jobs=[] if scene.get("name") == "empty" else sample_jobs.jobs(now(), progress()),
        counts={"running": 1, "succeeded": 1, "failed": 1},
    )


def job(identity: str) -> dict[str, Any] | None:
    found = next((each for each in sample_jobs.jobs(now(), progress()) if each["id"] == str(identity)), None)
    return framed(**found) if found else None


def verifications(app: str, store: str) -> dict[str, Any]:
    del app
    return sample_jobs.verifications(now(), store)


def install(shared: dict[str, Any]) -> None:
    """Put the samples where the pages look for the observer, the engines and the workers."""
    global scene  # noqa: PLW0603 (the site steers it)
    scene = shared
    module(
        "console.observe",
        "snapshot",
        overview=overview,
        rail=rail,
        exists=exists,
        tasks=tasks,
        application=application,
        store=snapshot_store,
        lag=lag,
        lag_history=lag_history,
        rows=rows,
        restores=restores,
        jobs=jobs,
        job=job,
        verifications=verifications,
    )
    sample_browse.install(module, scene)
    sample_jobs.install(module)


def write_ownership() -> None:
    """Put a day of ownership into the site's database: a move half an hour ago, and an hour in which nobody observed."""
    from datetime import timedelta

    from django.utils import timezone

    from console.models import Application, Instance, Observed, Ownership

    moment = timezone.now()
    Application.objects.get_or_create(id="flights")
    minutes = lambda count: moment - timedelta(minutes=count)  # noqa: E731
    Observed.objects.create(since=minutes(1_000), until=minutes(45))
    Observed.objects.create(since=minutes(40), until=moment + timedelta(days=1))
    Instance.objects.create(application_id="flights", name="engine-1", incarnation=0, started_at=minutes(900), last_seen=minutes(31), ended_at=minutes(31), ending="expired")  # fmt: skip
    for number in range(8):
        task, owner = f"{number // 4}_{number % 4}", ENGINES[number % 2]
        common = {"application_id": "flights", "task": task, "incarnation": 1, "role": "active"}
        if number in {5, 7}:
            Ownership.objects.create(
                **common, instance="engine-1", since=minutes(900), until=minutes(31), reason="the instance fell silent"
            )
            Ownership.objects.create(**common, instance=owner, since=minutes(30))
        else:
            Ownership.objects.create(**common, instance=owner, since=minutes(900))
        Ownership.objects.create(**common | {"role": "standby"}, instance=ENGINES[1 - number % 2], since=minutes(600))


def write_alerts() -> None:
    """Put rules, an open alert, an ended one and its messages into the site's database."""
    from datetime import timedelta

    from django.utils import timezone

    from console.models import Alert, AlertDelivery, AlertRule

    moment = timezone.now()
    late = AlertRule.objects.create(
        name="orders are late", application="slow-lane", condition="lag-time", threshold=120_000, for_seconds=60,
        webhook_url="https://hooks.example.com/services/T0/B1/s3cret", emails=["night-shift@example.com"],
    )  # fmt: skip
    AlertRule.objects.create(name="anything stands still", condition="verdict", verdict="STALL", emails=["night-shift@example.com"], enabled=False)  # fmt: skip
    about = {"rule": late, "rule_name": late.name, "application": "slow-lane", "kind": "input", "name": "flights"}
    words = "partition 3 is 5 min behind"
    since = moment - timedelta(minutes=12)
    Alert.objects.create(
        **about, state="firing", words=words, value=311_000, since=since, fired_at=since + timedelta(seconds=60)
    )
    since = moment - timedelta(hours=5)
    ended = Alert.objects.create(**about, state="resolved", words=words, since=since, fired_at=since + timedelta(seconds=60), resolved_at=since + timedelta(minutes=31), ending="partition 3 is 40 s behind")  # fmt: skip
    for transition, state, error in (("firing", "sent", ""), ("resolved", "failed", "it answered 404")):
        AlertDelivery.objects.create(alert=ended, rule_name=late.name, transition=transition, channel="webhook", target=late.webhook_url, state=state, attempts=1, error=error, sent_at=since if state == "sent" else None)  # fmt: skip


def module(package: str, name: str, **members: Any) -> None:
    """Stand in for one module of the console."""
    made = types.ModuleType(f"{package}.{name}")
    vars(made).update(members)
    sys.modules[f"{package}.{name}"] = made
    __import__(package)
    setattr(sys.modules[package], name, made)
