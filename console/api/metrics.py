"""``/metrics``: what the console knows, for Prometheus. A value that is not known has no line, rather than a 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from console.observe import recorded
from console.observe.board import reader
from console.observe.lag_tables import time_lag
from console.observe.store_shapes import percent, primary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.api.dispatch import Call
    from console.observe.board import State

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

METRICS: dict[str, tuple[str, str]] = {
    "statehouse_observer_stale": ("gauge", "1 while nothing new is observed"),
    "statehouse_observer_lag_records": ("gauge", "status records not read yet"),
    "statehouse_instance_up": ("gauge", "1 while the instance reports"),
    "statehouse_instance_in_per_second": ("gauge", "records processed per second"),
    "statehouse_instance_processed_total": ("counter", "records processed since the instance started"),
    "statehouse_instance_commit_ms_p99": ("gauge", "99th percentile of commit times"),
    "statehouse_instance_skipped_total": ("counter", "records skipped"),
    "statehouse_instance_rss_bytes": ("gauge", "resident memory"),
    "statehouse_input_lag_records": ("gauge", "records that wait in an input partition"),
    "statehouse_input_lag_ms": ("gauge", "how far behind in time an input partition is"),
    "statehouse_store_lag_records": ("gauge", "changelog records that the serving copy has not applied"),
    "statehouse_store_bytes": ("gauge", "size of the serving copy"),
    "statehouse_store_keys_estimate": ("gauge", "about how many keys the serving copy has"),
    "statehouse_store_restored_percent": ("gauge", "progress of the serving copy's restore"),
    "statehouse_jobs": ("gauge", "jobs by state"),
}

Sample = tuple[str, dict[str, str], float | None]


def metrics(_call: Call) -> HttpResponse:
    """The page that Prometheus scrapes."""
    board = reader.read()
    samples: list[Sample] = [
        ("statehouse_observer_stale", {}, float(board.observer["stale"])),
        ("statehouse_observer_lag_records", {}, board.observer["lag"]),
    ]
    samples += [("statehouse_jobs", {"state": state}, count) for state, count in recorded.job_counts().items()]
    # What was last known is not what is: while the observation is stale there are no engine metrics at all.
    for state in board.applications.values() if not board.observer["stale"] else ():
        samples += [*_instances(state), *_inputs(state), *_stores(state)]
    return HttpResponse(_text(samples), content_type=_CONTENT_TYPE)


def _instances(state: State) -> Iterator[Sample]:
    for name, record in sorted(state.instances.items()):
        labels = {"application": state.id, "instance": name}
        is_up = name not in state.unreachable
        yield "statehouse_instance_up", labels, float(is_up)
        if not is_up:
            continue
        yield "statehouse_instance_in_per_second", labels, record.rates.in_per_second
        yield "statehouse_instance_processed_total", labels, record.rates.processed_total
        yield "statehouse_instance_commit_ms_p99", labels, record.rates.commit_ms_p99
        yield "statehouse_instance_skipped_total", labels, record.counters.skipped_total
        yield "statehouse_instance_rss_bytes", labels, record.memory.rss_bytes


def _inputs(state: State) -> Iterator[Sample]:
    for copies in state.tasks.values():
        for copy in copies:
            if copy.role != "active" or copy.instance in state.unreachable:
                continue
            for each in copy.inputs:
                labels = {"application": state.id, "topic": each.topic, "partition": str(each.partition)}
                yield "statehouse_input_lag_records", labels, each.lag
                yield "statehouse_input_lag_ms", labels, time_lag(state, each)


def _stores(state: State) -> Iterator[Sample]:
    for store, partitions in sorted(state.stores.items()):
        for partition, copies in sorted(partitions.items()):
            record = primary(copies, state.unreachable)
            if record is None or record.instance in state.unreachable:
                continue
            labels = {"application": state.id, "store": store, "partition": str(partition)}
            yield "statehouse_store_lag_records", labels, record.lag
            yield "statehouse_store_bytes", labels, record.bytes
            yield "statehouse_store_keys_estimate", labels, record.keys_estimate
            yield "statehouse_store_restored_percent", labels, percent(record)


def _text(samples: list[Sample]) -> str:
    """Write the samples in Prometheus' text format, one family after the other."""
    families: dict[str, list[str]] = {name: [] for name in METRICS}
    for name, labels, value in samples:
        if value is None:
            continue
        shown = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        families[name].append(f"{name}{{{shown}}} {value:g}" if shown else f"{name} {value:g}")
    lines = []
    for name, found in families.items():
        if found:
            kind, words = METRICS[name]
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *found]
    return "\n".join(lines) + "\n"
