"""A store's compaction: how its partitions lie on disk now, what compactions did, and what its changelog still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console import limits
from console.access import policy
from console.access.policy import requires
from console.browse import changelog_facts, entries, storage
from console.jobs import schedules
from console.observe import recorded
from console.observe.choice import Choice
from console.pages import columns, copy_as, jobs, levels
from console.pages import size as sizes
from console.pages import store as stores

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_JOBS = 5
# What the topic's settings are called in Kafka, in the order in which they are read; how each is written.
SETTINGS = (
    ("cleanup.policy", "cleanup_policy", "word"),
    ("min.cleanable.dirty.ratio", "min_cleanable_dirty_ratio", "ratio"),
    ("min.compaction.lag.ms", "min_compaction_lag_ms", "span"),
    ("max.compaction.lag.ms", "max_compaction_lag_ms", "span"),
    ("delete.retention.ms", "delete_retention_ms", "span"),
    ("segment.ms", "segment_ms", "span"),
    ("segment.bytes", "segment_bytes", "size"),
    ("retention.ms", "retention_ms", "span"),
    ("retention.bytes", "retention_bytes", "size"),
)


@requires("read-status")
def compaction(request: HttpRequest, app: str, store: str) -> HttpResponse:
    """Draw the tab: live, from figures that are some seconds old at most."""
    given = request.GET.get("from", "")
    first = int(given) if given.isdecimal() and len(given) < 10 else 0  # noqa: PLR2004 - a partition's number is an int32
    # One more than is shown says where the next page begins.
    wanted = Choice(words=f"{first}-{10**9 - 1}", size=limits.STORAGE_PARTITIONS_SHOWN + 1)
    seen = stores.find(app, store, wanted)
    keys = serving_copies(seen)
    following = [each for each in sorted(keys) if each >= first]
    shown = following[: limits.STORAGE_PARTITIONS_SHOWN]
    context = {
        "first": first,
        "following": following[len(shown)] if len(following) > len(shown) else None,
        **lying(app, store, first, seen),
        **changelog(seen, keys, shown),
        "caches": sizes.caches(app, seen),
        "compactions": compactions(app, store),
        "schedules": [
            each
            for each in schedules.listing()
            if (each["application"], each["store"], each["kind"]) == (app, store, "compact")
        ],
        "may_compact": policy.allowed(request.user, "compact", app, store),
        "compact_role": policy.ACTIONS["compact"],
        "copies": copy_as.read(
            request,
            f"/api/v1/applications/{app}/stores/{store}/rocksdb",
            {},
            f"store rocksdb --application {app} {store}",
        ),
        "changelog_copies": copy_as.read(request, f"/api/v1/applications/{app}/stores/{store}/changelog", {}),
    }
    return stores.page(request, "pages/store_compaction.html", seen, context, tab="compaction")


def serving_copies(seen: dict[str, Any]) -> dict[int, int | None]:
    """Return about how many keys each partition has, as the copy that serves says."""
    found = columns.of(seen["positions"], "partition", "role", "keys_estimate")
    return {partition: keys for partition, role, keys in reversed(found) if role != "standby"}


def lying(app: str, store: str, first: int, seen: dict[str, Any]) -> dict[str, Any]:
    """Return a row a partition of how it lies on disk or in memory, and who did not answer."""
    params = {"from": str(first), "limit": str(limits.STORAGE_PARTITIONS_SHOWN)}
    try:
        found = storage.copies(app, store, params)
    except entries.Unavailable as error:
        outcome = "not-ready" if error.retryable else "failed"
        return {"outcome": outcome, "words": error.words, "code": error.code, "in_memory": seen["backend"] == "memory"}
    rows = [levels.row(each) for each in found["copies"]]
    return {
        "outcome": "found",
        "rows": rows,
        "totals": levels.totals(rows),
        "failed": [each for each in found["sources"] if each.get("error")],
        "in_memory": bool(rows) and all(each["rocksdb"] is None for each in rows),
    }


def changelog(seen: dict[str, Any], keys: dict[int, int | None], shown: list[int]) -> dict[str, Any]:
    """Return the changelog's settings, what they mean, and how much of each partition may be superseded."""
    topic = seen["changelog"]
    if not topic:
        return {"topic": None}
    try:
        found = storage.changelog(topic, shown)
    except changelog_facts.KafkaAway as error:
        return {"topic": topic, "kafka_words": str(error)}
    settings = found["settings"]
    lines = []
    for partition in shown:
        begin, end = found["offsets"].get(partition, (None, None))
        lines.append({"partition": partition} | storage.cleanable(begin, end, keys[partition]))
    return {
        "topic": topic,
        "settings": [{"name": name, "value": settings[key], "how": how} for name, key, how in SETTINGS],
        "limits_words": changelog_facts.limits_in_words(settings),
        "compacted": "compact" in str(settings["cleanup_policy"] or ""),
        "lines": lines,
    }


def compactions(app: str, store: str) -> list[dict[str, Any]]:
    """Return the newest compactions of the store with sizes and levels before and after, those that run first."""
    found = recorded.jobs(app, store=store, kind="compact", limit=_JOBS)
    return [
        jobs.with_tone(each)
        | {
            "before": (each["result"] or {}).get("bytes_before"),
            "after": (each["result"] or {}).get("bytes_after"),
            "parts": [
                part["result"] | {"partition": part["partition"]}
                for part in jobs.parts(each)
                if part["result"].get("levels_after")
            ],
        }
        for each in found
    ]
