"""Handlers that read: applications, stores, entries, lag, restores, events. Data comes from the snapshots."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console import limits
from console.access import audit_trail
from console.api.errors import ApiError
from console.browse import changelog_facts, entries, history, storage
from console.health import self_check
from console.models import Application
from console.observe import recorded, restore_detail, sizes, snapshot

if TYPE_CHECKING:
    from console.api.dispatch import Call

_HOUR_MS = 3_600_000


def applications(_call: Call) -> dict[str, Any]:
    """All applications in short."""
    return snapshot.overview()


def application(call: Call) -> dict[str, Any]:
    """One application; tables are unfolded into objects."""
    found = _found(snapshot.application(call.path["app"]), call)
    return {**found, "tasks": snapshot.rows(found["tasks"]), "matrix": snapshot.rows(found["matrix"])}


def stores(call: Call) -> dict[str, Any]:
    """The stores of an application."""
    found = _found(snapshot.application(call.path["app"]), call)
    return {"at": found["at"], "observer": found["observer"], "stores": found["stores"]}


def store(call: Call) -> dict[str, Any]:
    """One store with its partitions."""
    found = _found(snapshot.store(call.path["app"], call.path["store"]), call)
    return {**found, "positions": snapshot.rows(found["positions"])}


def store_entries(call: Call) -> dict[str, Any]:
    """One page of entries."""
    call.number("limit", limits.PAGE_ENTRIES_DEFAULT, limits.PAGE_ENTRIES_MAX)
    return _asked(lambda: entries.page(call.path["app"], call.path["store"], call.query))


def store_count(call: Call) -> dict[str, Any]:
    """About how many keys."""
    return _asked(lambda: entries.count(call.path["app"], call.path["store"]))


def store_largest(call: Call) -> dict[str, Any]:
    """The largest entries."""
    unknown = set(call.query) - {"limit", "partition", "key_format"}
    if unknown:
        raise ApiError("bad-request", f"Unknown parameter {min(unknown)[:40]!r}. Use: limit, partition, key_format.")
    return _asked(lambda: entries.largest(call.path["app"], call.path["store"], call.query))


def store_rocksdb(call: Call) -> dict[str, Any]:
    """How the copies of a store lie on disk, each from its owner."""
    unknown = set(call.query) - {"partition", "from", "limit", "max_lag"}
    if unknown:
        raise ApiError("bad-request", f"Unknown parameter {min(unknown)[:40]!r}. Use: partition, from, limit, max_lag.")
    return _asked(lambda: storage.copies(call.path["app"], call.path["store"], call.query))


def store_changelog(call: Call) -> dict[str, Any]:
    """What a store's changelog still holds, as far as Kafka tells."""
    found = _found(snapshot.store(call.path["app"], call.path["store"]), call)
    topic = found["changelog"]
    if not topic:
        raise ApiError("no-changelog", f"{call.path['store']} has no changelog: its application does not log it.")
    keys = {
        row["partition"]: row["keys_estimate"]
        for row in reversed(snapshot.rows(found["positions"]))
        if row["role"] != "standby"
    }
    first = call.number("from", 0, 2**31)
    count = call.number("limit", limits.PAGE_ROWS_DEFAULT, limits.PAGE_ROWS_MAX)
    partitions = [each for each in sorted(keys) if each >= first]
    try:
        told = storage.changelog(topic, partitions[:count])
    except changelog_facts.KafkaAway as error:
        raise ApiError("kafka-unavailable", f"Kafka does not answer: {error}") from error
    lines = []
    for partition in partitions[:count]:
        begin, end = told["offsets"].get(partition, (None, None))
        lines.append({"partition": partition, **storage.cleanable(begin, end, keys[partition])})
    return {
        "topic": topic,
        "settings": told["settings"],
        "partitions": lines,
        # The Kafka client has no request for these.
        "bytes": None,
        "last_cleaned_at": None,
        "next": partitions[count] if len(partitions) > count else None,
    }


def store_sizes(call: Call) -> dict[str, Any]:
    """How large a store was."""
    _found(snapshot.store(call.path["app"], call.path["store"]), call)
    since, until, points = _span(call)
    return sizes.read(call.path["app"], call.path["store"], since, until, points)


def audit(call: Call) -> dict[str, Any]:
    """Who did what."""
    limit = call.number("limit", limits.PAGE_ROWS_DEFAULT, limits.PAGE_ROWS_MAX) or limits.PAGE_ROWS_DEFAULT
    return audit_trail.read(call.query, before=call.number("before", 0, 2**62) or None, limit=limit)


def checked(_call: Call) -> dict[str, Any]:
    """The self-check."""
    return self_check.outcome()


def store_history(call: Call) -> dict[str, Any]:
    """What the changelog still knows of one key."""
    return _asked(lambda: history.of_key(call.path["app"], call.path["store"], call.query))


def lag(call: Call) -> dict[str, Any]:
    """The lag of every partition; with ``kind`` and ``name`` also its recorded history."""
    app = call.path["app"]
    found = _found(snapshot.lag(app), call)
    answer = {**found, "inputs": snapshot.rows(found["inputs"]), "stores": snapshot.rows(found["stores"])}
    kind, name = call.query.get("kind"), call.query.get("name")
    if kind is None and name is None:
        return answer
    if kind not in {"input", "store"} or not name:
        raise ApiError("bad-request", "For a history give kind=input or kind=store, and name= its topic or store.")
    now_ms = time.time_ns() // 1_000_000
    since = call.number("since", now_ms - _HOUR_MS, now_ms + _HOUR_MS)
    until = call.number("until", now_ms, now_ms + _HOUR_MS)
    points = call.number("points", 300, 2_000)
    answer["history"] = snapshot.lag_history(app, kind, name, since, until, points)
    return answer


def restores(call: Call) -> dict[str, Any]:
    """Running restores, and a page of the recorded ones, newest first."""
    _known(call)
    app = call.path["app"]
    found = snapshot.restores(app)
    count = call.number("limit", limits.PAGE_ROWS_DEFAULT, limits.PAGE_ROWS_MAX)
    outcome = call.query.get("outcome") or "ended"
    if outcome not in {"done", "interrupted", "ended"}:
        raise ApiError("bad-request", f"outcome={outcome[:40]!r} is none of done, interrupted, ended.")
    before = call.number("before", 0, 2**62) or None
    history = recorded.restores(app, words=call.query.get("q"), outcome=outcome, before=before, limit=count)
    return {
        **found,
        "history": history,
        "next_before": history[-1]["id"] if len(history) == count and history else None,
    }


def restore(call: Call) -> dict[str, Any]:
    """One restore: as it stands, its phases, the task's other stores, events, who asked."""
    text = call.path["restore"]
    found = restore_detail.of(int(text), call.path["app"]) if text.isdecimal() and len(text) < 18 else None  # noqa: PLR2004 - an int64
    if found is None:
        raise ApiError("not-found", f"There is no restore {text[:60]} of {call.path['app'][:60]}.")
    return found


def events(call: Call) -> dict[str, Any]:
    """What instances said has happened, newest first; ``before`` (ms) pages back."""
    _known(call)
    count = call.number("limit", limits.PAGE_ROWS_DEFAULT, limits.PAGE_ROWS_MAX)
    before = call.number("before", 0, 10**15) or None
    found = recorded.events(call.path["app"], event=call.query.get("event"), limit=count, before_ms=before)
    return {"events": found, "next_before": found[-1]["at"] if len(found) == count and found else None}


def _span(call: Call) -> tuple[int, int, int]:
    """Return since, until (ms) and the most points."""
    now_ms = time.time_ns() // 1_000_000
    since = call.number("since", now_ms - _HOUR_MS, now_ms + _HOUR_MS)
    return since, call.number("until", now_ms, now_ms + _HOUR_MS), call.number("points", 300, 2_000)


def _found(found: dict[str, Any] | None, call: Call) -> dict[str, Any]:
    if found is None:
        what = " / ".join(call.path.values())
        raise ApiError("not-found", f"Nobody has reported {what}.")
    return found


def _known(call: Call) -> None:
    app = call.path["app"]
    if not Application.objects.filter(id=app).exists():
        _found(snapshot.application(app), call)


def _asked(ask: Any) -> dict[str, Any]:
    try:
        return dict(ask())
    except entries.Unavailable as error:
        raise ApiError(
            error.code, error.words, status=error.status, retryable=error.retryable, state=error.state
        ) from error
