"""The table of the API: URLs, handlers, actions and the OpenAPI document all come from it."""

from __future__ import annotations

from console.access.policy import BY_ARGUMENT
from console.api import alerts, jobs, metrics, openapi, reads, schedules, snapshots
from console.api.dispatch import Route

_APP = "/api/v1/applications/{app}"
_STORE = _APP + "/stores/{store}"
_ALERTS = "/api/v1/alerts"
_SNAPSHOT = _STORE + "/snapshots/{snapshot}"
_ENTRIES = (
    ("key", "one key; with window_from or session_from: its windows or sessions"),
    ("prefix", "keys whose bytes begin so"),
    ("from", "first key, inclusive"),
    ("to", "last key, inclusive"),
    ("window_from", "first window start in ms, inclusive"),
    ("window_to", "last window start in ms, inclusive"),
    ("session_from", "sessions that end at this ms or later"),
    ("session_to", "sessions that start at this ms or earlier"),
    ("as_of", "the version valid at this ms"),
    ("valid_from", "a key's versions that were valid at this ms or later"),
    ("valid_to", "a key's versions that were valid at this ms or earlier"),
    ("where", "only entries for which this expression holds (docs/contracts.md)"),
    ("reverse", "true: from the end"),
    ("limit", "1 to 1000, default 100"),
    ("cursor", "the last page's cursor"),
    ("partition", "one partition only"),
    ("max_lag", "let a standby answer that is at most so many records behind"),
    ("key_format", "read and show keys as string, int64, json, base64, hex …"),
    ("value_format", "show values so"),
)
_HISTORY = (
    ("key", "the key"),
    ("partition", "where it lies; by default where Kafka's partitioner puts it"),
    ("limit", "the most versions, 1 to 100, default 20"),
    ("window_from", "one window only: its start in ms"),
    ("session_from", "one session only: its start in ms"),
    ("key_format", "read the key as string, int64, json, base64, hex …"),
    ("value_format", "show values so"),
)
_DIFFERENCES = (
    ("what", "missing (in the store), extra (only in the store) or different"),
    ("partition", "one partition only"),
    ("key", "a part of the key as it is shown"),
)
_LARGEST = (("limit", "1 to 100, default 20"), ("partition", "one partition only"), ("key_format", "show keys so"))
_SIZES = (("since", "ms"), ("until", "ms"), ("points", "at most so many times, default 300"))
_AUDIT = (
    ("q", "a part of any text"),
    ("user", "of one user only"),
    ("action", "one action only"),
    ("application", "of one application only"),
    ("store", "of one store only"),
    ("limit", "1 to 1000, default 100"),
    ("before", "the last answer's next_before"),
)
_RESTORES = (
    ("q", "a part of the cause, store or instance, or a task"),
    ("outcome", "done, interrupted, or ended (default: both)"),
    ("limit", "1 to 1000, default 100"),
    ("before", "the last page's next_before"),
)
_LAG = (
    ("kind", "input or store: adds the history"),
    ("name", "its topic or store"),
    ("since", "ms"),
    ("until", "ms"),
    ("points", "at most so many times, default 300"),
)
_EVENTS = (("event", "one kind of event only"), ("limit", "1 to 1000, default 100"), ("before", "older than this ms"))

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/v1/applications",
        "read-status",
        reads.applications,
        "All applications in short",
        answer="Applications",
    ),
    Route("GET", _APP, "read-status", reads.application, "One application: instances, tasks with roles, topology"),
    Route("GET", _APP + "/stores", "read-status", reads.stores, "The stores of an application", answer="Stores"),
    Route("GET", _STORE, "read-status", reads.store, "One store with its partitions"),
    Route("GET", _STORE + "/entries", "browse", reads.store_entries, "One page of entries", _ENTRIES, "Entries"),
    Route(
        "GET",
        _STORE + "/largest",
        "browse",
        reads.store_largest,
        "The largest entries, as far as a bounded look goes",
        _LARGEST,
    ),
    Route(
        "GET",
        _STORE + "/rocksdb",
        "read-status",
        reads.store_rocksdb,
        "How each partition lies on disk: levels, compaction, memtables",
        (
            ("partition", "one partition only"),
            ("from", "the first partition"),
            ("limit", "1 to 1000 partitions, default 100"),
            ("max_lag", "let a standby answer that is at most so many records behind"),
        ),
    ),
    Route(
        "GET",
        _STORE + "/changelog",
        "read-status",
        reads.store_changelog,
        "The changelog's settings and offsets, and how much of it may be superseded",
        (("from", "the first partition"), ("limit", "1 to 1000 partitions, default 100")),
    ),
    Route(
        "GET",
        _STORE + "/sizes",
        "read-status",
        reads.store_sizes,
        "How large a store was, from recorded samples",
        _SIZES,
    ),
    Route("GET", _STORE + "/count", "browse", reads.store_count, "About how many keys a store has"),
    Route(
        "GET",
        _STORE + "/history",
        "browse",
        reads.store_history,
        "What the changelog still knows of a key, newest first",
        _HISTORY,
        "History",
    ),
    Route("GET", _STORE + "/snapshots", "browse", snapshots.listing, "The snapshots of a store", answer="Snapshots"),
    Route("GET", _SNAPSHOT, "browse", snapshots.show, "One snapshot, with what compaction may have taken from it"),
    Route("DELETE", _SNAPSHOT, "snapshot", snapshots.delete, "Delete a snapshot and its files"),
    Route(
        "GET",
        _SNAPSHOT + "/entries",
        "browse",
        snapshots.entries,
        "One page of a store as it was",
        tuple(each for each in _ENTRIES if each[0] != "max_lag"),
        "Entries",
    ),
    Route("GET", _APP + "/lag", "read-status", reads.lag, "Lag, rate, time left and verdict of every partition", _LAG),
    Route("GET", _APP + "/restores", "read-status", reads.restores, "Running and recorded restores", _RESTORES),
    Route(
        "GET",
        _APP + "/restores/{restore}",
        "read-status",
        reads.restore,
        "One restore: progress, phases, the task's other stores, what happened, who asked",
    ),
    Route("GET", _APP + "/events", "read-status", reads.events, "What instances said has happened", _EVENTS),
    Route(
        "GET",
        "/api/v1/jobs",
        "read-jobs",
        jobs.listing,
        "The newest jobs",
        (("application", "of one application only"),),
        "Jobs",
    ),
    Route(
        "POST",
        "/api/v1/jobs",
        BY_ARGUMENT,
        jobs.create,
        "Preview or make a job",
        body="NewJob",
        answer="Job",
        status=201,
    ),
    Route("GET", _ALERTS, "read-alerts", alerts.listing, "Alert rules, what is open, what ended, and what was sent"),
    Route("POST", _ALERTS + "/rules", "manage-alerts", alerts.create, "Make a rule", body="NewAlertRule", status=201),
    Route(
        "PATCH",
        _ALERTS + "/rules/{rule}",
        "manage-alerts",
        alerts.change,
        "Change what is given of a rule",
        body="AlertRuleChange",
    ),
    Route("POST", _ALERTS + "/rules/{rule}/test", "manage-alerts", alerts.send_test, "Send its receivers a test"),
    Route("DELETE", _ALERTS + "/rules/{rule}", "manage-alerts", alerts.delete, "Delete a rule; its history stays"),
    Route("GET", "/api/v1/jobs/{job}", "read-jobs", jobs.show, "One job", answer="Job"),
    Route(
        "GET",
        "/api/v1/jobs/{job}/differences",
        "browse",
        jobs.differing,
        "The rows that a verify found to differ",
        (*_DIFFERENCES, ("limit", "1 to 1000, default 100"), ("cursor", "the last page's cursor")),
    ),
    Route(
        "GET",
        "/api/v1/jobs/{job}/differences/file",
        "export",
        jobs.differing_file,
        "All of these rows as a file",
        (*_DIFFERENCES, ("format", "csv (default) or jsonl")),
    ),
    Route("GET", "/api/v1/jobs/{job}/file", "export", jobs.file, "The file of an export"),
    Route("POST", "/api/v1/jobs/{job}/cancel", "cancel-job", jobs.cancel, "Ask a job to end", answer="Job"),
    Route(
        "GET",
        "/api/v1/audit",
        "read-audit",
        reads.audit,
        "Who did what, from where, with which result, newest first",
        _AUDIT,
    ),
    Route("GET", "/api/v1/self-check", "read-status", reads.checked, "What the console depends on, looked at in order"),
    Route(
        "GET",
        "/api/v1/schedules",
        "read-jobs",
        schedules.listing,
        "Jobs that come again",
        (("application", "of one application only"),),
    ),
    Route("POST", "/api/v1/schedules", "schedule", schedules.create, "Make one", body="NewSchedule", status=201),
    Route("POST", "/api/v1/schedules/{schedule}/pause", "schedule", schedules.pause, "Let one rest"),
    Route("POST", "/api/v1/schedules/{schedule}/resume", "schedule", schedules.resume, "Let one run again"),
    Route("DELETE", "/api/v1/schedules/{schedule}", "schedule", schedules.delete, "Delete one; its jobs stay"),
    Route("GET", "/api/v1/openapi.json", "read-status", lambda _call: openapi.document(ROUTES), "This document"),
    Route("GET", "/metrics", "read-metrics", metrics.metrics, "Metrics for Prometheus"),
)
