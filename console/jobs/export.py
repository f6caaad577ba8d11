"""Export: a store's entries written to a file under the data directory, page by page, as a reader would see them.

The file grows as ``<job>.<format>.part`` (mode 0600) and gets its name once it is whole, so a download is never half of
one. A delivery that died leaves a part that the next one writes anew. Files go after ``EXPORT_KEEP_SECONDS``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from django.conf import settings

from console import limits
from console.browse import entries
from console.jobs import survey
from console.jobs.work import Failed, LeaseLost, TryAgain
from console.observe import store_shapes
from engine.query import sheets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.jobs.work import Work
    from console.models import Job
    from console.observe.board import State

FORMATS = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
# An engine that restarts, or a rebalance, is over within this time; then the attempt is.
_AWAY_S = 60.0
_RETRY_S = 0.5


def refuse(arguments: dict[str, Any]) -> str | None:
    """Say what is wrong with the arguments, if anything."""
    if set(arguments) - {"format"} or arguments.get("format") not in FORMATS:
        return f'An export takes one argument, the format: {{"format": "{"|".join(FORMATS)}"}}.'
    return None


def preview(state: State, store: str, partitions: list[int], _arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what would be read and written."""
    found, problems = survey.places(state, store, partitions)
    copies = store_shapes.all_partitions(state, store)
    rows = []
    for each in found:
        record = store_shapes.primary(copies[each["partition"]], state.unreachable)
        keys = record.keys_estimate if record else None
        rows.append({**each, "records_estimate": keys, "seconds_estimate": None, "disk_bytes": None, "how": "worker"})
    keys_known = [row["records_estimate"] for row in rows]
    return {
        "partitions": rows,
        "totals": {
            "records_estimate": None if None in keys_known else sum(keys_known),
            "seconds_estimate": None,
            "disk_bytes": None,
        },
        "free_bytes": None,
        "effects": [
            "The entries are read page by page through the query service, as they are at that moment; the task goes on.",
            f"They are written to a file on {settings.HOST_NAME}, of at most {limits.EXPORT_BYTES_MAX:,} bytes.",
            "Only the console's user can read it there. Who may export can download it from the job's page.",
            f"The file is removed after {limits.EXPORT_KEEP_SECONDS // 3600} hours.",
        ],
        "problems": problems,
    }


def run(work: Work) -> dict[str, Any]:
    """Write the file, one partition after the other."""
    job = work.job
    path = path_of(job)
    part = path.with_name(path.name + ".part")
    if path.is_file():
        # An attempt died between naming the file and closing its row.
        return {"format": job.arguments["format"], "entries": None, "bytes": path.stat().st_size}
    try:
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            count = _write(work, file)
            file.flush()
            os.fsync(file.fileno())
        work.check()
        part.rename(path)
    except LeaseLost:
        raise  # the part is another worker's by now
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Failed(f"The file could not be written: {error}. Make room in {part.parent}.") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return {"format": job.arguments["format"], "entries": count, "bytes": path.stat().st_size}


def path_of(job: Job) -> Path:
    """Return where a job's file lies; its name comes from the job alone."""
    return Path(settings.DATA_DIR) / "exports" / f"{job.pk}.{job.arguments['format']}"


def sweep() -> int:
    """Remove files that are too old, and return how many."""
    directory, removed = Path(settings.DATA_DIR) / "exports", 0
    for path in directory.iterdir() if directory.is_dir() else ():
        if time.time() - path.stat().st_mtime > limits.EXPORT_KEEP_SECONDS:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _write(work: Work, file: BinaryIO) -> int:
    total = 0
    with sheets.SHEETS[work.job.arguments["format"]](file) as sheet:
        for partition in work.job.partitions:
            count = 0
            for found in _pages(work, partition):
                sheet.add(found)
                count += len(found)
                work.report(partition, phase="writing", entries=count)
                if file.tell() > limits.EXPORT_BYTES_MAX:
                    raise Failed(
                        f"The file passed {limits.EXPORT_BYTES_MAX:,} bytes and was given up. Export fewer partitions at once."
                    )
            total += count
            work.report(partition, phase="done", entries=count, now=True)
    return total


def _pages(work: Work, partition: int) -> Iterator[list[dict[str, Any]]]:
    params = {"partition": str(partition), "limit": str(limits.PAGE_ENTRIES_MAX)}
    while True:
        answer = _page(work, params)
        yield answer["entries"]
        if not answer["cursor"]:
            return
        params["cursor"] = answer["cursor"]


def _page(work: Work, params: dict[str, str]) -> dict[str, Any]:
    began = time.monotonic()
    while True:
        work.check()
        try:
            answer = entries.page(work.job.application, work.job.store, params)
        except entries.Unavailable as error:
            if not error.retryable:
                raise Failed(f"The store cannot be read: {error.words}") from error
            why = error.words
        else:
            # The owner's own line; instances that were asked before it and did not answer are not part of the page.
            failed = [
                each["error"] for each in answer["sources"] if each.get("error") and each["partition"] is not None
            ]
            if not failed:
                return answer
            why = str(failed[0]["message"])
        if time.monotonic() - began > _AWAY_S:
            raise TryAgain(f"partition {params['partition']} could not be read: {why}")
        time.sleep(_RETRY_S)
