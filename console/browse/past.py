"""Snapshots as readers see them: which there are, and a page of one, asked of the engine that has its files.

Written by ``jobs.snapshot``. Times are ms. A snapshot that was deleted or has expired is not found any more, whether or not
its files are gone already. Blocking; called by views and the API.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.utils import timezone

from console.browse import changelog_facts, engines, entries
from console.browse.entries import PARAMETERS, Unavailable
from console.models import Snapshot
from engine.query.questions import Call

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

_ROWS_MAX = 100


def listing(app: str, store: str) -> list[dict[str, Any]]:
    """Return a store's snapshots, newest first."""
    return [
        described(row) for row in _living().filter(application=app, store=store).order_by("-created_at")[:_ROWS_MAX]
    ]


def find(app: str, store: str, snapshot: str) -> Snapshot:
    """Return one, or raise ``Unavailable`` (not-found)."""
    try:
        row = _living().filter(pk=uuid.UUID(str(snapshot)), application=app, store=store).first()
    except ValueError:
        row = None
    if row is None:
        words = f"There is no snapshot {str(snapshot)[:60]} of {store}: it was deleted, or has expired. Take another."
        raise Unavailable("not-found", words, status=404, retryable=False)
    return row


def _living() -> QuerySet[Snapshot]:
    return Snapshot.objects.select_related("created_by").filter(deleted_at__isnull=True, expires_at__gt=timezone.now())


def described(row: Snapshot) -> dict[str, Any]:
    """Return a snapshot as the API shows it."""
    slots = sum(each["position"] - each["begin"] for each in row.partitions)
    records = sum(each["records"] for each in row.partitions)
    return {
        "id": str(row.pk),
        "number": row.number,
        "application": row.application,
        "store": row.store,
        "as_of": row.as_of,
        "partitions": row.partitions,
        "instance": row.instance,
        "host": row.host,
        "bytes": row.bytes,
        "why": row.why or None,
        "created_by": row.created_by.get_username() if row.created_by else None,
        "created_at": _ms(row.created_at),
        "expires_at": _ms(row.expires_at),
        "facts": row.facts,
        "records": records,
        "offsets": slots,
        "limits": limits_of(row, slots - records),
    }


def limits_of(row: Snapshot, without_record: int) -> list[str]:
    """Say what compaction may have taken from it, as far as that was measured."""
    if without_record <= 0:
        return ["Every offset up to its end still held its record when it was taken: nothing had been compacted away."]
    gaps = (
        f"{without_record:,} of its offsets held no record when it was taken: they were compacted away, or are the markers of "
        "transactions (one a commit)."
    )
    return [gaps, *changelog_facts.limits_in_words(row.facts)]


def page(app: str, store: str, snapshot: str, params: dict[str, str]) -> dict[str, Any]:
    """Return one page: the engine's answer with ``snapshot`` beside it. Raises ``Unavailable``."""
    unknown = sorted(set(params) - PARAMETERS | ({"max_lag"} & set(params)))
    if unknown:
        words = f"Unknown parameter {unknown[0][:40]!r}. Use: {', '.join(sorted(PARAMETERS - {'max_lag'}))}."
        raise Unavailable("bad-request", words, status=400, retryable=False)
    row = find(app, store, snapshot)
    instance = next((each for each in engines.reachable(app) if each.instance == row.instance), None)
    if instance is None:
        words = (
            f"The snapshot's files lie with {row.instance} on {row.host}, which cannot be reached. Start that instance with "
            "its state directory, or take another snapshot."
        )
        raise Unavailable("no-owner", words, state={"sources": []})
    path = f"/v1/snapshots/{quote(str(row.pk), safe='')}/entries"
    answer = entries.decoded(app, store, params, lambda given: entries.ask_one(instance, Call(path, given, dict)))
    answer["snapshot"] = described(row)
    return answer


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
