"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from console.access.policy import ACTIONS
from console.alerts.conditions import CONDITIONS, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.api.dispatch import Route

_TEXT = {"type": "string"}
_NUMBER = {"type": ["number", "null"]}
_ANY_OBJECT = {"type": "object"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


_ALERT_RULE: dict[str, Any] = {
    "name": _TEXT,
    "application": {"type": "string", "description": "empty: any"},
    "condition": {"enum": list(CONDITIONS)},
    "subject": {"type": "string", "description": "a topic, store or instance; empty: any"},
    "threshold": {"type": "integer", "minimum": 0, "description": "records; seconds for lag in time and restores"},
    "verdict": {"enum": list(VERDICTS)},
    "for_seconds": {"type": "integer", "minimum": 0, "description": "shorter spells are not told"},
    "webhook_url": _TEXT,
    "emails": {"type": "array", "items": _TEXT},
    "enabled": {"type": "boolean"},
}

SCHEMAS: dict[str, Any] = {
    "Object": {"type": "object", "description": "See docs/snapshots.md; tables are unfolded into lists of objects."},
    "Error": _object(
        "error",
        error=_object(
            "code message retryable",
            code=_TEXT,
            message=_TEXT,
            retryable={"type": "boolean"},
            state={"type": ["object", "null"]},
        ),
    ),
    "Applications": _object(
        "applications",
        applications={
            "type": "array",
            "items": _object("id verdict stores", id=_TEXT, verdict=_ANY_OBJECT, stores={"type": "array"}),
        },
    ),
    "Stores": _object(
        "stores",
        stores={
            "type": "array",
            "items": _object("name kind partitions", name=_TEXT, kind=_TEXT, partitions={"type": "integer"}),
        },
    ),
    "Entries": _object(
        "entries cursor sources",
        entries={
            "type": "array",
            "items": _object(
                "key value partition",
                key={},
                value={},
                timestamp=_NUMBER,
                partition={"type": "integer"},
                window={"type": ["object", "null"]},
            ),
        },
        cursor={"type": ["string", "null"]},
        sources={
            "type": "array",
            "items": _object(
                "instance",
                instance={"type": ["string", "null"]},
                role={"type": ["string", "null"]},
                position=_NUMBER,
                lag=_NUMBER,
                error={"type": ["object", "null"]},
            ),
        },
    ),
    "History": _object(
        "versions changelog partition looked",
        versions={
            "type": "array",
            "items": _object(
                "offset timestamp value is_deletion",
                offset={"type": "integer"},
                timestamp=_NUMBER,
                value={},
                is_deletion={"type": "boolean"},
                span={"type": ["object", "null"]},
                size=_NUMBER,
                changed={"type": ["object", "null"]},
            ),
        },
        changelog=_TEXT,
        partition={"type": "integer"},
        looked=_object("from to begin records stopped_by words", words=_TEXT, stopped_by=_TEXT),
    ),
    "NewJob": _object(
        "kind application store partitions dry_run",
        kind={"enum": ["rebuild", "verify", "snapshot", "compact", "export"]},
        application=_TEXT,
        store=_TEXT,
        partitions={"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        dry_run={"type": "boolean", "description": "true: say what would happen and do nothing"},
        why=_TEXT,
        arguments={
            "type": "object",
            "description": "export: format; snapshot: as_of_offset (of one partition) or as_of_time (ms, the records' own), "
            "keep_hours; verify: against (the id of a snapshot) instead of the changelog. They may also stand at the top",
        },
        id={"type": "string", "format": "uuid", "description": "yours: sending it twice makes one job"},
    ),
    "NewAlertRule": _object("name condition", **_ALERT_RULE),
    "AlertRuleChange": {"type": "object", "description": "what is left out stays", "properties": _ALERT_RULE},
    "NewSchedule": _object(
        "kind application store cron",
        kind={"enum": ["compact", "verify", "rebuild", "export"]},
        application=_TEXT,
        store=_TEXT,
        partitions={"type": "array", "items": {"type": "integer", "minimum": 0}, "description": "empty: all by then"},
        cron={
            "type": "string",
            "description": "minute hour day month weekday, in UTC; or @hourly @daily @weekly @monthly",
        },
        why=_TEXT,
        arguments=_ANY_OBJECT,
    ),
    "Job": _object(
        "job",
        job=_object(
            "id number kind state progress",
            id=_TEXT,
            number={"type": "integer"},
            kind=_TEXT,
            state=_TEXT,
            progress=_ANY_OBJECT,
        ),
    ),
    "Snapshots": _object(
        "snapshots",
        snapshots={
            "type": "array",
            "items": _object(
                "id as_of partitions bytes created_at expires_at limits",
                id=_TEXT,
                as_of={"type": "object", "description": "offset, or time_ms"},
                partitions={"type": "array", "items": _ANY_OBJECT},
                bytes={"type": "integer"},
                created_at=_NUMBER,
                expires_at=_NUMBER,
                facts={"type": "object", "description": "the changelog's settings when it was taken"},
                limits={"type": "array", "items": _TEXT},
            ),
        },
    ),
    "Jobs": _object("jobs", jobs={"type": "array", "items": _ANY_OBJECT}),
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    health = {
        "summary": "Whether the console answers (open)",
        "security": [],
        "responses": {"200": {"description": "It does"}},
    }
    paths["/healthz"] = {"get": health}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Statehouse",
            "version": "1",
            "description": "Kafka state stores: who owns them, what is in them, how they are rebuilt.",
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "statehouse_session"},
            },
        },
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
    }


def _operation(route: Route) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    in_query = [
        {"name": name, "in": "query", "description": words, "schema": _TEXT} for name, words in route.parameters
    ]
    error = {
        "description": "An error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    content = (
        {"text/plain": {"schema": _TEXT}}
        if route.path == "/metrics"
        else {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.answer}"}}}
    )
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": f"Takes the role {ACTIONS[route.action]!r}."
        if route.action in ACTIONS
        else "The role depends on the kind of job.",
        "parameters": in_path + in_query,
        "responses": {str(route.status): {"description": route.summary, "content": content}, "default": error},
    }
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.body}"}}},
        }
    return operation
