"""What the engines would answer: a few carriers and a few windows, and every way to fail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from engine.query.expression import BadExpression, compiled

COUNTS = {
    "UA": 58_665,
    "B6": 54_635,
    "EV": 54_173,
    "DL": 48_110,
    "AA": 32_729,
    "MQ": 26_397,
    "US": 20_536,
    "9E": 18_460,
    "WN": 12_275,
    "VX": 5_162,
    "FL": 3_260,
    "AS": 714,
    "F9": 685,
    "YV": 601,
    "HA": 342,
    "OO": 32,
}
HOUR = 3_600_000
START = 1_357_020_000_000


class Unavailable(Exception):
    def __init__(
        self, code: str, words: str, *, status: int = 503, retryable: bool = False, state: dict[str, Any] | None = None
    ) -> None:
        super().__init__(words)
        self.code, self.words, self.status, self.retryable, self.state = code, words, status, retryable, state


def entry(key: str, value: Any, partition: int, **more: Any) -> dict[str, Any]:
    return {
        "key": key,
        "value": value,
        "timestamp": int(time.time() * 1000) - 2_000 - partition * 61_000,
        "partition": partition,
        "window": None,
        "session": None,
        "size": len(json.dumps(value)),
    } | more


def everything(store: str) -> list[dict[str, Any]]:
    if store != "delay-by-hour":
        rows = [entry(key, count, index % 4) for index, (key, count) in enumerate(sorted(COUNTS.items()))]
        rows[3] |= {"value": {"base64": "/wD+", "undecodable": "8 bytes expected, 3 found"}}
        return sorted(rows, key=lambda row: row["partition"])
    return [
        entry(origin, {"flights": 40 + number, "delay": {"sum": 812.5, "worst": [93, 71, 66]}, "note": "<b>not markup</b>"}, index % 4, window={"start": START + number * HOUR, "end": START + (number + 1) * HOUR})
        for index, origin in enumerate(("EWR", "JFK", "LGA")) for number in range(30)
    ]  # fmt: skip


def of_key(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    if params["key"] == "LGA":
        raise Unavailable("kafka-unavailable", "Kafka does not let the changelog be read.", retryable=True)
    now = int(time.time() * 1000)
    span = {"start": START} if store == "delay-by-hour" else None
    made = [
        {"offset": 58_664 - 900 * number, "timestamp": now - 40_000 * number, "span": span, "size": 61, "is_deletion": False, "changed": None,
         "value": {"flights": 43 - number, "note": "<b>not markup</b>"}}
        for number in range(3)
    ]  # fmt: skip
    made[0]["changed"] = {"paths": [{"path": "flights", "was": "42", "is": "43"}], "more": 0}
    made[1]["changed"] = {"paths": [{"path": "note", "was": None, "is": "<b>not markup</b>"}], "more": 2}
    made[2] |= {"is_deletion": True, "value": None, "size": None}
    words = "The whole changelog partition was read, 58,665 records. Compaction drops superseded values some time after they were written: what is listed is what the changelog still has, not all that ever was."
    stopped_by = "limit" if params["key"] == "EWR" and "limit" not in params else "begin"
    looked = {"from": 0, "to": 58_665, "begin": 0, "records": 58_665, "stopped_by": stopped_by, "words": words}
    topic = f"{app}-{store}-changelog"
    return {"versions": made, "changelog": topic, "partition": int(params["partition"]), "looked": looked}


def chosen(store: str, params: dict[str, str], *, bumped: bool) -> tuple[list[dict[str, Any]], int | None]:
    """The rows that a query means, and how many a filter looked at."""
    rows = everything(store)
    if "key" in params:
        rows = [row for row in rows if row["key"] == params["key"]]
    if "prefix" in params:
        rows = [row for row in rows if row["key"].startswith(params["prefix"])]
    rows = [row for row in rows if params.get("from", "") <= row["key"] <= params.get("to", "~")]
    if "window_from" in params:
        rows = [row for row in rows if row["window"]["start"] >= int(params["window_from"])]
    if "window_to" in params:
        rows = [row for row in rows if row["window"]["start"] <= int(params["window_to"])]
    if bumped:
        rows = [row | {"value": row["value"] + 1} if row["key"] == "UA" else row for row in rows]
    if "where" not in params:
        return rows, None
    try:
        test = compiled(params["where"])
    except BadExpression as error:
        raise Unavailable("bad-request", error.message, status=400, state=error.state) from error
    return [row for row in rows if test(row)], len(rows)


def of_avro(store: str, params: dict[str, str]) -> dict[str, Any]:
    from engine.query.refusal import Refusal
    from tests.pages import sample_avro

    try:
        return sample_avro.page(store, params)
    except Refusal as error:
        raise Unavailable(error.code, error.message, status=error.status, state=error.state) from error


def install(module: Callable[..., None], scene: dict[str, Any]) -> None:
    def page(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
        del app
        if "avro" in {params.get("key_format"), params.get("value_format")}:
            return of_avro(store, params)
        if scene.get("engines") == "restoring":
            raise Unavailable(
                "store-restoring",
                "Partition 3 of the store is restoring: 71 % applied. Ask again when it has ended.",
                retryable=True,
                state={"phase": "applying", "percent": 71},
            )
        if params.get("key_format") == "int64" and not params.get("key", "0").lstrip("-").isdigit():
            raise Unavailable("bad-request", f"{params['key']!r} is not an int64.")
        rows, scanned = chosen(store, params, bumped=bool(scene.get("bump")))
        first, limit = int(params.get("cursor", 0)), int(params.get("limit", 50))
        cursor = str(first + limit) if len(rows) > first + limit else None
        asked = {row["partition"] for row in rows} if "key" in params else set(range(4))
        sources = [
            {
                "instance": f"engine-{1 + number % 2}",
                "partition": number,
                "role": "active",
                "position": 58_665 + number,
                "lag": 0,
                "error": None,
            }
            for number in sorted(asked or {1})
        ]
        if scene.get("engines") == "partial" and "key" not in params:
            rows = [row for row in rows if row["partition"] != 3]
            sources[-1] |= {
                "role": None,
                "position": None,
                "lag": None,
                "error": {
                    "code": "store-moving",
                    "message": "Partition 3 is moving from engine-2 to engine-1.",
                    "retryable": True,
                },
            }
        return {
            "entries": rows[first : first + limit],
            "cursor": cursor,
            "sources": sources,
            "served_by": "engine-1",
            "scanned": scanned,
        }

    def largest(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
        rows = sorted(page(app, store, {"limit": "500"})["entries"], key=lambda row: -row["size"])[
            : int(params["limit"])
        ]
        source = {"instance": "engine-1", "partition": 0, "role": "active", "position": 58_665, "lag": 0, "error": None}
        return {"entries": rows, "scanned": 400_000, "approximate": 1_200_000, "complete": False, "sources": [source]}

    module("console.browse", "history", of_key=of_key)
    from tests.pages import sample_past

    module(
        "console.browse",
        "entries",
        page=page,
        largest=largest,
        Unavailable=Unavailable,
        several=sample_past.several,
        PARAMETERS=frozenset(),
    )
