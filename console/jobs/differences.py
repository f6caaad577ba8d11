"""The rows that a verify found to differ, as readers ask for them: checked filters, pages, and a file of them all.

For pages and the API. Rows are at most ``DIFF_ROWS_MAX`` a job; what was found beyond is only counted.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.access import audit, policy
from console.models import Job
from console.observe import recorded
from engine.query.sheets import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User

WHAT = ("missing", "extra", "different")
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
PAGE_ROWS, PAGE_ROWS_MAX = 100, 1_000
_COLUMNS = (
    "partition",
    "what",
    "key",
    "start",
    "end",
    "in_store",
    "in_store_timestamp",
    "in_other",
    "in_other_timestamp",
)
_NAMES = {"what", "partition", "key", "limit", "cursor"}
_DIGITS_MAX = 9


class Wrong(Exception):
    """The question cannot be asked, or there is no such verify; ``code`` is stable."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: of one kind, of one partition, whose key's text holds some text (in any case); all where None."""

    what: str | None = None
    partition: int | None = None
    key: str | None = None


def job_of(job_id: str) -> Job:
    """Return the verify, or raise ``Wrong``."""
    try:
        job = Job.objects.filter(pk=uuid.UUID(str(job_id)), kind="verify").first()
    except ValueError:
        job = None
    if job is None:
        raise Wrong("not-found", f"There is no verify {str(job_id)[:60]}.")
    return job


def filter_of(given: Mapping[str, str]) -> Filter:
    """Read a filter; empty texts are no filter. Raises ``Wrong``."""
    what, partition = given.get("what") or None, given.get("partition") or None
    if what is not None and what not in WHAT:
        raise Wrong("bad-request", f"what={what[:40]!r} is none of {', '.join(WHAT)}.")
    return Filter(what, None if partition is None else _number(partition, "partition"), given.get("key") or None)


def page(job: Job, given: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of rows. Raises ``Wrong``."""
    unknown = sorted(set(given) - _NAMES)
    if unknown:
        raise Wrong("bad-request", f"Unknown parameter {unknown[0][:40]!r}. Use: {', '.join(sorted(_NAMES))}.")
    wanted = filter_of(given)
    limit = _number(given["limit"], "limit") if given.get("limit") else PAGE_ROWS
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise Wrong("bad-request", f"limit={limit} is not within 1 and {PAGE_ROWS_MAX}.")
    after = _number(given["cursor"], "cursor") if given.get("cursor") else -1
    rows = recorded.differences(
        job.pk, what=wanted.what, partition=wanted.partition, key=wanted.key, after=after, limit=limit + 1
    )
    more = len(rows) > limit
    return {
        "differences": rows[:limit],
        "cursor": str(rows[limit - 1]["ordinal"]) if more else None,
        "kept": job.result.get("kept", 0),
        "found": job.result.get("differences", 0),
    }


def file(user: User, job: Job, given: Mapping[str, str], *, via: str, address: str) -> tuple[str, str, bytes]:
    """Return a file's name, type and content: all rows that pass the filter. Audited. Raises ``Wrong``, ``PermissionDenied``."""
    policy.demand(user, "export", job.application, job.store)
    kind = given.get("format") or "csv"
    if kind not in FORMATS:
        raise Wrong("bad-request", f"format={kind[:40]!r} is none of {', '.join(FORMATS)}.")
    wanted = filter_of(given)
    parameters = {"job": str(job.pk), "differences": True, "format": kind}
    audit.write(
        user, "export", via=via, address=address, application=job.application, store=job.store, parameters=parameters
    )
    rows = recorded.differences(job.pk, what=wanted.what, partition=wanted.partition, key=wanted.key, limit=None)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) if kind == "jsonl" else _csv(rows)
    return (
        f"{job.application}-{job.store}-differences-{job.number}.{kind}",
        FORMATS[kind],
        content.encode(errors="replace"),
    )


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        sides = []
        for side in (row["in_store"], row["in_other"]):
            sides += ["", ""] if side is None else [safe_text(side["text"]), side["timestamp"]]
        writer.writerow(
            [row["partition"], row["what"], safe_text(row["key"]["text"]), row["start"], row["end"], *sides]
        )
    return text.getvalue()


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        raise Wrong("bad-request", f"{name}={text[:40]!r} is not a whole number from 0 on.")
    return int(text)
