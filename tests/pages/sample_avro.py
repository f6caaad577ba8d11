"""What engines and a schema registry would say of a store whose keys and values are Avro, read by the console's own code.

Asked for with ``avro`` as a format: planes by tail, with seats and an engine; one value whose schema the registry does not know,
and one whose bytes its schema does not fit.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from engine import serdes

_KEY = '{"type": "record", "name": "Plane", "fields": [{"name": "tail", "type": "string"}]}'
_VALUE = """{"type": "record", "name": "Facts", "fields": [
  {"name": "seats", "type": "int"}, {"name": "built", "type": ["null", "int"]},
  {"name": "engine", "type": {"type": "record", "name": "Engine", "fields": [{"name": "kind", "type": "string"}, {"name": "count", "type": "int"}]}}]}"""
_TIME = 1_357_020_000_000
PLANES = {"N10156": 55, "N102UW": 182, "N103US": 182, "N104UW": 182, "N10575": 55, "N105UW": 182}


@cache
def _rows(url: str, store: str) -> list[dict[str, Any]]:
    key = serdes.avro(_KEY, registry=url).for_topic(f"flights-{store}-changelog", is_key=True).serialize
    value = serdes.avro(_VALUE, registry=url).for_topic(f"flights-{store}-changelog", is_key=False).serialize
    rows = []
    for number, (tail, seats) in enumerate(PLANES.items()):
        engine = {"kind": "Turbo-fan", "count": 2}
        raw = value({"seats": seats, "built": None if number == 0 else 1998 + number, "engine": engine})
        if tail == "N10575":
            raw = b"\0\0\0\0\x63" + raw[5:]
        if tail == "N105UW":
            raw = raw[:6]
        rows.append(
            {
                "key": _shown(key({"tail": tail})), "value": _shown(raw), "timestamp": _TIME, "partition": number % 4, "window": None, "session": None,
                "size": len(raw),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: row["partition"])


def _shown(raw: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(raw).decode()}


def page(store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return a page as ``console.browse.entries`` would. Raises the engine's ``Refusal``."""
    from django.conf import settings

    from console.browse import translated

    url = settings.SCHEMA_REGISTRY_URL = _registry().url

    def question(given: dict[str, str]) -> dict[str, Any]:
        rows = [row for row in _rows(url, store) if given.get("key") in {None, row["key"]["base64"]}]
        first, limit = int(given.get("cursor", 0)), int(given["limit"])
        more = str(first + limit) if len(rows) > first + limit else None
        sources = [
            {"instance": f"engine-{1 + number % 2}", "partition": number, "role": "active", "position": 58_665 + number, "lag": 0, "error": None}
            for number in range(4)
        ]  # fmt: skip
        return {
            "entries": [dict(row) for row in rows[first : first + limit]],
            "cursor": more,
            "sources": sources,
            "served_by": "engine-1",
        }

    _rows(url, store)
    return translated.page(params, question, f"flights-{store}-changelog")


@cache
def _registry() -> Any:
    from tests.serdes.small_registry import SmallRegistry

    return SmallRegistry()
